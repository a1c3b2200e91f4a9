import "./gauge.css";
import type { Schemas } from "../api/client";
import { count, duration, line, usd } from "../format";

/** An account of a budget. The client types pairs as lists. */
export type Budget = Omit<Schemas["BudgetState"], "fired"> & { fired: (string | number)[][] };

/** One limit of one account. */
export type Limit = {
  id: string;
  of: Budget;
  measure: string;
  limit: number;
  spent: number;
  reserved: number;
  remaining: number;
  share: number;
};

/** The limits of an account, each for itself. */
export function limitsOf(of: Budget): Limit[] {
  return Object.entries(of.limits).map(([measure, limit]) => {
    const spent = of.spent[measure] ?? 0;
    return {
      id: [of.name, of.key, measure].join("/"),
      of,
      measure,
      limit,
      spent,
      reserved: of.reserved[measure] ?? 0,
      remaining: of.remaining[measure] ?? 0,
      share: limit ? spent / limit : spent ? Number.POSITIVE_INFINITY : 0,
    };
  });
}

export function amount(measure: string, value: number): string {
  if (measure === "usd") return value < 0 ? `−${usd(-value)}` : usd(value);
  if (measure === "seconds") return value < 0 ? `−${duration(-value * 1e9)}` : duration(value * 1e9);
  return value < 0 ? `−${count(Math.round(-value))}` : count(Math.round(value));
}

/** What a bare number counts. */
export function unit(measure: string): string {
  return measure === "tokens" || measure === "calls" ? ` ${measure}` : "";
}

export function nameOf(of: Budget): string {
  return line(of.key ? `${of.name} of ${of.per} ${of.key}` : of.name);
}

export function tone(row: Limit): "over" | "warned" | "" {
  if (row.share >= 1) return "over";
  return row.of.fired.some(([measure]) => measure === row.measure) ? "warned" : "";
}

/** What is spent and reserved of a limit, and what will be by its end. */
export function Gauge({ row }: { row: Limit }) {
  const projected = row.of.projected[row.measure] ?? null;
  const ends = Math.max(row.limit, row.spent + row.reserved, Math.min(projected ?? 0, row.limit * 1.5), 1e-12) * 1.02;
  const at = (value: number) => `${Math.max(0, Math.min(100, (100 * value) / ends))}%`;
  const said = [
    `${amount(row.measure, row.spent)} of ${amount(row.measure, row.limit)}${unit(row.measure)} spent`,
    row.reserved ? `${amount(row.measure, row.reserved)} reserved by calls under way` : "",
    row.of.thresholds.length ? `Tells at ${row.of.thresholds.map((one) => `${one} %`).join(", ")}` : "",
    projected !== null ? `${amount(row.measure, projected)} by its end at the rate so far` : "",
  ];
  return (
    <span className="gauge" role="img" aria-label={said.filter(Boolean).join("; ")} data-hint={said.filter(Boolean).join("\n")}>
      <span className={`gauge-spent ${tone(row)}`} style={{ width: at(row.spent) }} />
      {row.reserved > 0 && <span className="gauge-reserved" style={{ left: at(row.spent), width: at(row.reserved) }} />}
      {projected !== null && projected > row.spent && <span className="gauge-projected" style={{ width: at(projected) }} />}
      {row.of.thresholds.map(
        (one) => one !== 100 && <span key={one} className="gauge-threshold" style={{ left: at((row.limit * one) / 100) }} />,
      )}
      <span className="gauge-limit" style={{ left: at(row.limit) }} />
    </span>
  );
}
