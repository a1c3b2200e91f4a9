/** How figures of panels are written, and when they are good or bad. */

import { ago, bytes, count, duration, line, percent, short, UNKNOWN, usd } from "../../format";
import type { Answer, Panel } from "./queries";

export function written(value: unknown, unit: string): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (typeof value !== "number") return line(typeof value === "string" ? value : JSON.stringify(value));
  switch (unit) {
    case "share":
      return percent(value);
    case "ns":
      return duration(value);
    case "ms":
      return duration(value * 1e6);
    case "s":
      return duration(value * 1e9);
    case "usd":
      return usd(value);
    case "usd_per_hour":
      return `${usd(value)}/h`;
    case "per_minute":
      return `${value > 0 && value < 0.005 ? value.toPrecision(1) : short(value)}/min`;
    case "bytes":
      return bytes(value);
    case "time":
      return ago(value);
    case "count":
      return Number.isInteger(value) ? count(value) : short(value);
    default:
      return short(value);
  }
}

export type Tone = "" | "ok" | "warning" | "error";

/** The level of a figure. Thresholds hold for shares where the panel shows some, else for figures in the unit of the first. */
export function tone(panel: Panel, answer: Answer, value: unknown, unit: string, units: string[]): Tone {
  if (typeof value !== "number" || panel.thresholds.length === 0) return "";
  if (unit !== (units.includes("share") ? "share" : units.find((one) => one !== ""))) return "";
  let found: Tone = "";
  for (const one of panel.thresholds)
    if (one.at === null || one.at === undefined || value >= one.at * scale(panel, answer)) found = one.level;
  return found;
}

/** What thresholds of one hour are multiplied with. */
export function scale(panel: Panel, answer: Answer): number {
  return panel.per_hour ? Math.max(1, (answer.times.length * (answer.bucket_ns ?? 0)) / 3600e9) : 1;
}

/** Colours of lines, in their order; the ninth begins anew. */
export const LINES = [
  "--accent",
  "--kind-tool",
  "--kind-memory",
  "--kind-gate",
  "--kind-git",
  "--kind-execution",
  "--kind-structure",
  "--kind-agent",
  "--kind-decision",
];

export const lineToken = (place: number): string => LINES[place % LINES.length]!;
