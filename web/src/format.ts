/** How figures are written, the same everywhere. Unknown is "–", never 0. */

export const UNKNOWN = "–";

/** Nanoseconds as "830 µs", "1.24 s", "3m 12s". */
export function duration(ns: number | null | undefined): string {
  if (ns === null || ns === undefined) return UNKNOWN;
  if (ns === 0) return "0 s";
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${digits(ns / 1e3)} µs`;
  if (ns < 1e9) return `${digits(ns / 1e6)} ms`;
  if (ns < 60e9) return `${digits(ns / 1e9)} s`;
  const seconds = Math.round(ns / 1e9);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${pad(Math.floor((seconds % 3600) / 60))}m`;
  return `${Math.floor(seconds / 86400)}d ${pad(Math.floor((seconds % 86400) / 3600))}h`;
}

/** USD: cents for what is worth them, else as many digits as say something. */
export function usd(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value === 0) return "$0";
  const size = Math.abs(value);
  if (size >= 100) return `$${value.toLocaleString("en", { maximumFractionDigits: 0 })}`;
  if (size >= 0.995) return `$${value.toFixed(2)}`;
  if (size >= 0.0001) return `$${value.toFixed(4)}`;
  return `$${value.toPrecision(2)}`;
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : value.toLocaleString("en").replace("-", "−");
}

/** Large counts short: 12.3k, 4.1M. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value < 0) return `−${short(-value)}`;
  if (value < 1000) return digits(value);
  for (const [size, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (value >= size * 0.9995) return `${digits(value / size)}${letter}`;
  }
  return digits(value);
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  for (const [size, unit] of [
    [1 << 30, "GiB"],
    [1 << 20, "MiB"],
    [1 << 10, "KiB"],
  ] as const) {
    if (value >= size) return `${digits(value / size)} ${unit}`;
  }
  return `${value} B`;
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return UNKNOWN;
  const value = share * 100;
  return value !== 0 && Math.abs(value) < 10 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

export function plural(number: number, noun: string, nouns = `${noun}s`): string {
  return `${count(number)} ${number === 1 ? noun : nouns}`;
}

/** A time of nanoseconds since 1970: "just now", "4 min ago", "3 days ago". */
export function ago(ns: number, nowMs: number = Date.now()): string {
  const seconds = Math.round(nowMs / 1000 - ns / 1e9);
  if (seconds < -1) return `in ${distance(-seconds)}`;
  return seconds < 5 ? "just now" : `${distance(seconds)} ago`;
}

/** The same in the reader's zone, to the millisecond: "2026-01-31 15:30:05.250". */
export function exact(ns: number): string {
  const date = new Date(ns / 1e6);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${clock(ns)}`;
}

export function clock(ns: number): string {
  const date = new Date(ns / 1e6);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

export function utc(ns: number): string {
  return new Date(ns / 1e6).toISOString();
}

export function shortId(id: string): string {
  return id.slice(0, 8);
}

/**
 * Text whose control characters cannot disturb what stands around it: they are shown as symbols. What forces a direction on letters is taken out,
 * for it makes them read as others; marks that text from right to left needs stay.
 */
export function visible(text: string): string {
  return text.replace(/[\u202d\u202e]/g, "").replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : "\u2421";
  });
}

/** The same on one line, for a cell of a table or a label. */
export function line(text: string, most = 300): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return visible(cut.replace(/\s+/g, " ").trim()).replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");
}

/** The same for a sentence: rules of equal signs or dashes are left out. */
export function headline(text: string, most = 110): string {
  return line(text.replace(/([=\-_*#~])\1{3,}/g, " "), most);
}

function distance(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  const days = Math.floor(seconds / 86400);
  return days < 60 ? plural(days, "day") : days < 730 ? plural(Math.floor(days / 30), "month") : plural(Math.floor(days / 365), "year");
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1000) return String(value);
  return size >= 99.95 ? value.toFixed(0) : size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
