/** The time range that all views share, as the URL has it: "", "1h" or "2026-01-31T15:00..2026-01-31T16:00" (UTC). */

export const RANGES: [string, string][] = [
  ["", "Any time"],
  ["15m", "15 minutes"],
  ["1h", "1 hour"],
  ["6h", "6 hours"],
  ["1d", "1 day"],
  ["7d", "7 days"],
  ["30d", "30 days"],
];

/** A filter with the range as a condition of it. */
export function within(filter: string | undefined, time: string | undefined): string {
  const given = (filter ?? "").trim();
  if (!time) return given;
  const range = time.includes("..") ? `start:${time}` : `since:${time}`;
  return given ? `(${given}) ${range}` : range;
}

/** A range between two times in nanoseconds, outward to whole seconds. */
export function between(firstNs: number, lastNs: number): string {
  const iso = (ms: number) => new Date(ms).toISOString().slice(0, 19);
  return `${iso(Math.floor(firstNs / 1e9) * 1000)}..${iso(Math.ceil(lastNs / 1e9) * 1000)}`;
}

export function title(time: string | undefined): string {
  const known = RANGES.find(([value]) => value === (time ?? ""));
  if (known) return known[1];
  const [from = "", to = ""] = (time ?? "").split("..");
  return to ? `${from.replace("T", " ")} to ${from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to.replace("T", " ")}` : (time ?? "");
}
