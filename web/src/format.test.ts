import { describe, expect, it } from "vitest";
import { ago, bytes, duration, headline, line, percent, short, usd, visible } from "./format";

describe("figures", () => {
  it("of durations have the unit that fits", () => {
    expect([0, 950, 1_500, 830_000, 1_240_000_000, 59_940_000_000, 192e9, 7_260e9, 90_000e9, null].map((ns) => duration(ns))).toEqual([
      "0 s",
      "950 ns",
      "1.50 µs",
      "830 µs",
      "1.24 s",
      "59.9 s",
      "3m 12s",
      "2h 01m",
      "1d 01h",
      "–",
    ]);
  });

  it("of money show what is worth something", () => {
    expect([0, 0.000012, 0.0345, 0.999, 12.3456, 1234.5, null].map((value) => usd(value))).toEqual([
      "$0",
      "$0.000012",
      "$0.0345",
      "$1.00",
      "$12.35",
      "$1,235",
      "–",
    ]);
  });

  it("are short where they are large", () => {
    expect([999, 1000, 12_345, 999_999, 4_100_000].map((value) => short(value))).toEqual(["999", "1k", "12.3k", "1.00M", "4.10M"]);
    expect([512, 2048, 10 << 20].map(bytes)).toEqual(["512 B", "2 KiB", "10 MiB"]);
    expect([0, 0.004, 0.41, null].map((share) => percent(share))).toEqual(["0 %", "0.4 %", "41 %", "–"]);
  });

  it("of time are relative", () => {
    const now = 1_700_000_000_000;
    expect([0, 30, 240, 7200, 3 * 86400, 70 * 86400, -60].map((seconds) => ago((now / 1000 - seconds) * 1e9, now))).toEqual([
      "just now",
      "30 s ago",
      "4 min ago",
      "2 h ago",
      "3 days ago",
      "2 months ago",
      "in 1 min",
    ]);
  });
});

describe("hostile text", () => {
  it("has its control characters shown, and keeps to its line", () => {
    expect(visible("a\u0000b\u001b[31m\n")).toBe("a␀b␛[31m\n");
    expect(visible("run \u202egnp.exe\u202c, \u200fشكرا")).toBe("run gnp.exe\u202c, \u200fشكرا");
    expect(line("a\n\tb \u202eevil\u202c")).toBe("a b evil");
    expect(headline("tests FAILED\n=======\nFAIL: one")).toBe("tests FAILED FAIL: one");
    expect(line("x".repeat(400), 10)).toBe(`${"x".repeat(10)}…`);
  });
});
