import { expect, test } from "vitest";
import { scale, tone, written } from "./figures";
import type { Answer, Panel } from "./queries";

const panel = (thresholds: Panel["thresholds"], per_hour = false) => ({ thresholds, per_hour }) as Panel;
const hours = (count: number) => ({ times: Array.from({ length: count }, (_, at) => at * 3600e9), bucket_ns: 3600e9 }) as Answer;

test("figures are written in their unit, and unknown is no zero", () => {
  const said = [
    [null, "usd", "–"],
    [0.0512, "usd", "$0.0512"],
    [2.5, "usd_per_hour", "$2.50/h"],
    [1.5e9, "ns", "1.50 s"],
    [0.25, "share", "25 %"],
    [7.57, "per_minute", "7.57/min"],
    [1234, "count", "1,234"],
    ["<b>\u202ex", "", "<b>x"],
  ] as const;
  for (const [value, unit, text] of said) expect(written(value, unit)).toBe(text);
});

test("a threshold holds from its value on, for shares where there are some", () => {
  const passed = panel([{ level: "error" }, { level: "warning", at: 0.8 }, { level: "ok", at: 0.95 }] as Panel["thresholds"]);
  const units = ["count", "share"];
  expect([0.5, 0.8, 0.95].map((value) => tone(passed, hours(1), value, "share", units))).toEqual(["error", "warning", "ok"]);
  expect(tone(passed, hours(1), 0.5, "count", units)).toBe("");
  expect(tone(passed, hours(1), null, "share", units)).toBe("");
});

test("thresholds of an hour grow with the period", () => {
  const used = panel([{ level: "warning", at: 10 }] as Panel["thresholds"], true);
  expect(scale(used, hours(24))).toBe(24);
  expect(tone(used, hours(24), 200, "tokens", ["", "tokens"])).toBe("");
  expect(tone(used, hours(24), 240, "tokens", ["", "tokens"])).toBe("warning");
});
