/** Answers as their panel's view draws them. */

import { useMemo } from "react";
import { between } from "../../app/time";
import { clock, count, exact, line, percent } from "../../format";
import { Chart } from "../../parts/Chart";
import { Figure, When } from "../../parts/Figures";
import { Spark } from "../../parts/Histogram";
import { lineToken, tone, type Tone, written } from "./figures";
import type { Answer, Panel } from "./queries";

export type Go = (page: string, filter: string | null | undefined, time?: string) => void;
type Shown = { panel: Panel; answer: Answer; go: Go; time: string };

export const HEIGHTS: Record<string, number> = { line: 196, heatmap: 196, stat: 84, bars: 130, gauge: 130, table: 130 };

const SHAPES: Record<Tone, string> = { "": "", ok: "", warning: "▲ ", error: "✕ " };

function Toned({ of, children }: { of: Tone; children: React.ReactNode }) {
  return (
    <span className={of ? `tone-${of}` : undefined}>
      {SHAPES[of] && <span aria-label={of === "error" ? "bad:" : "warning:"}>{SHAPES[of]}</span>}
      {children}
    </span>
  );
}

export function Lines({ panel, answer, go }: Shown) {
  const times = useMemo(() => answer.times.map((ns) => ns / 1e9), [answer.times]);
  const lines = useMemo(
    () => answer.series.map((one, place) => ({ label: one.label, values: one.values, token: lineToken(place) })),
    [answer.series],
  );
  const unit = answer.series[0]?.unit ?? "";
  const unknown = answer.series.reduce((sum, one) => sum + one.unknown.length, 0);
  const marks = panel.thresholds
    .filter((one) => typeof one.at === "number" && one.level !== "ok")
    .map((one) => ({ at: one.at as number, token: one.level === "error" ? "--error" : "--warning" }));
  return (
    <>
      <Chart
        times={times}
        lines={lines}
        marks={marks}
        format={(value) => written(value, unit)}
        label={`${panel.title}: ${answer.series.map((one) => `${one.label} ${written(last(one.values), unit)}`).join(", ")}`}
        height={150}
        sync="dashboard"
        choose={(at, place) => {
          const start = answer.times[place];
          if (start !== undefined) go("/search", answer.series[at]?.filter, between(start, start + (answer.bucket_ns ?? 60e9)));
        }}
      />
      <ul className="legend">
        {answer.series.map((one, place) => (
          <li key={one.label}>
            <span className="legend-line" style={{ background: `var(${lineToken(place)})` }} aria-hidden="true" />
            <Behind filter={one.filter} go={go}>
              {line(one.label, 60) || "(none)"}
            </Behind>
          </li>
        ))}
        {unknown > 0 && (
          <li>
            <Figure unknown hint="Some calls have no price or recorded no usage: these buckets are at least what is drawn.">
              {count(unknown)} not wholly known
            </Figure>
          </li>
        )}
      </ul>
    </>
  );
}

function last(values: (number | null)[]): number | null {
  return [...values].reverse().find((value) => value !== null) ?? null;
}

/** A text that leads to what lies behind it. */
export function Behind({
  filter,
  go,
  page = "/search",
  className = "cut",
  children,
}: {
  filter: string | null | undefined;
  go: Go;
  page?: string;
  className?: string;
  children: React.ReactNode;
}) {
  if (filter === null || filter === undefined) return <span className={className}>{children}</span>;
  return (
    <button type="button" className={`link ${className}`} onClick={() => go(page, filter)}>
      {children}
    </button>
  );
}

export function Stats({ panel, answer, go }: Shown) {
  const units = answer.values.map((one) => one.unit);
  return (
    <dl className="stats">
      {answer.values.map((one) => {
        const change = one.before && one.value !== null ? one.value / one.before - 1 : null;
        const text = `${one.is_partial ? "≥ " : ""}${written(one.value, one.unit)}`;
        return (
          <div key={one.title}>
            <dt>{one.title}</dt>
            <dd>
              <Toned of={one.level ?? tone(panel, answer, one.value, one.unit, units)}>
                <Figure
                  unknown={one.is_partial || one.value === null}
                  estimated={one.is_estimated}
                  hint={[one.hint, answer.provenance].filter(Boolean).join("\n")}
                >
                  {one.filter !== null && one.filter !== undefined ? (
                    <button type="button" className="stat-open" onClick={() => go("/search", one.filter)}>
                      {text}
                    </button>
                  ) : (
                    text
                  )}
                </Figure>
              </Toned>
              {one.before !== null && (
                <small data-hint={`${written(one.before, one.unit)} in the period before`}>
                  {change === null || Math.abs(change) < 0.005 ? "as before" : `${change > 0 ? "+" : "−"}${percent(Math.abs(change))}`}
                </small>
              )}
              {one.spark.length > 1 && <Spark values={heights(one.spark)} label={`${one.title} over the period`} />}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

/** Figures of any size, as heights that can be told apart. */
function heights(values: (number | null)[]): number[] {
  const most = Math.max(...values.map((value) => value ?? 0)) || 1;
  return values.map((value) => (100 * (value ?? 0)) / most);
}

export function Bars({ panel, answer, go }: Shown) {
  const unit = answer.columns[1]?.unit ?? "";
  const most = Math.max(...answer.rows.map((row) => Math.abs(Number(row.cells[1] ?? 0))), unit === "share" ? 1 : 1e-12);
  return (
    <ul className="bars">
      {answer.rows.map((row, place) => {
        const value = row.cells[1];
        const level = tone(panel, answer, value, unit, [unit]);
        return (
          <li key={`${String(row.cells[0])}${place}`}>
            <Behind filter={row.filter} go={go} page={row.page}>
              {line(String(row.cells[0] ?? ""), 80) || "(none)"}
            </Behind>
            <span className="bar-track" aria-hidden="true">
              <span className={`bar-size tone-${level || "none"}`} style={{ width: `${(100 * Math.abs(Number(value ?? 0))) / most}%` }} />
            </span>
            <span className="bar-figure" data-hint={answer.provenance}>
              <Toned of={level}>
                <Figure unknown={value === null}>{written(value, unit)}</Figure>
              </Toned>
            </span>
          </li>
        );
      })}
    </ul>
  );
}

export function Rows({ panel, answer, go }: Shown) {
  const units = answer.columns.map((column) => column.unit);
  return (
    // Focusable, for the keyboard scrolls it.
    <div className="panel-table" tabIndex={0} role="region" aria-label={panel.title}>
      <table>
        <thead>
          <tr>
            {answer.columns.map((column, place) => (
              <th key={place} scope="col" className={column.unit ? "cell-right" : undefined} data-hint={column.hint || undefined}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {answer.rows.map((row, number) => (
            <tr key={number}>
              {row.cells.map((cell, place) => {
                const unit = units[place] ?? "";
                const isFigure = unit !== "" || typeof cell === "number";
                const partial = row.partial.includes(place);
                return (
                  <td key={place} className={isFigure ? "cell-right" : "cut"}>
                    {place === 0 && !isFigure ? (
                      <Behind filter={row.filter} go={go} page={row.page}>
                        {written(cell, unit)}
                      </Behind>
                    ) : unit === "time" && typeof cell === "number" ? (
                      <When ns={cell} />
                    ) : isFigure ? (
                      <Toned of={tone(panel, answer, cell, unit, units)}>
                        <Figure
                          unknown={partial || cell === null}
                          hint={[partial ? row.hint : "", answer.provenance].filter(Boolean).join("\n")}
                        >
                          {partial && "≥ "}
                          {written(cell, unit)}
                        </Figure>
                      </Toned>
                    ) : (
                      <span data-hint={String(cell ?? "").length > 30 ? line(String(cell), 600) : undefined}>{written(cell, unit)}</span>
                    )}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What is spent beside its limit: name, unit, spent, reserved, limit, projected, thresholds in percent. */
export function Gauges({ answer, go }: Shown) {
  return (
    <ul className="bars gauges">
      {answer.rows.map((row, place) => {
        const [name, unit, spent, reserved, limit, projected, thresholds] = row.cells as [
          string,
          string,
          number,
          number,
          number,
          number | null,
          number[],
        ];
        const share = limit ? spent / limit : 0;
        const level: Tone = share >= 1 ? "error" : thresholds.some((one) => share >= one / 100) ? "warning" : "";
        const ends = Math.max(limit, spent + reserved, 1e-12);
        const said = [
          `${written(spent, unit)} of ${written(limit, unit)} spent, ${percent(share)}`,
          reserved ? `${written(reserved, unit)} reserved by calls under way` : "",
          projected === null ? "" : `${written(projected, unit)} by the end of its window, at the rate so far`,
          row.hint,
        ].filter(Boolean);
        return (
          <li key={`${name}${place}`}>
            <Behind filter={row.filter ?? ""} go={go} page={row.page}>
              {line(name, 80)}
            </Behind>
            <span className="bar-track" role="img" aria-label={said.join("; ")} data-hint={said.join("\n")}>
              <span className={`bar-size tone-${level || "none"}`} style={{ width: `${(100 * spent) / ends}%` }} />
              <span className="gauge-limit" style={{ left: `calc(${(100 * limit) / ends}% - 2px)` }} />
            </span>
            <span className="bar-figure">
              <Toned of={level}>
                <Figure unknown={row.partial.includes(2)} hint={row.hint}>
                  {row.partial.includes(2) && "≥ "}
                  {written(spent, unit)}
                </Figure>
              </Toned>{" "}
              <span className="faint">of {written(limit, unit)}</span>
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** How often each size occurs over time: the darker, the more often. */
export function Heat({ panel, answer, go }: Shown) {
  const most = Math.max(1, ...answer.series.flatMap((one) => one.values.map((value) => value ?? 0)));
  const rows = [...answer.series].reverse();
  const total = answer.series.reduce((sum, one) => sum + one.values.reduce<number>((all, value) => all + (value ?? 0), 0), 0);
  const columns = answer.times.length;
  return (
    <div className="heat">
      <div className="heat-rows" aria-hidden="true">
        {rows.map((one) => (
          <span key={one.label}>{one.label}</span>
        ))}
      </div>
      <svg
        viewBox={`0 0 ${columns} ${rows.length}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${panel.title}: ${count(total)} in ${rows.length} sizes, at most ${count(most)} in one field`}
      >
        {rows.flatMap((one, y) =>
          one.values.map((value, x) =>
            value ? (
              <rect
                key={`${x}.${y}`}
                x={x + 0.04}
                y={y + 0.06}
                width={0.92}
                height={0.88}
                fillOpacity={0.2 + (0.8 * value) / most}
                data-hint={`${count(value)} of ${one.label}\n${exact(answer.times[x] ?? 0)}`}
                onClick={() => go("/search", one.filter, between(answer.times[x]!, answer.times[x]! + (answer.bucket_ns ?? 60e9)))}
              />
            ) : null,
          ),
        )}
      </svg>
      <div className="heat-times axis" aria-hidden="true">
        <span>{when(answer.times[0])}</span>
        <span>{when(answer.times.at(-1))}</span>
      </div>
    </div>
  );
}

function when(ns: number | undefined): string {
  return ns === undefined ? "" : `${exact(ns).slice(5, 10)} ${clock(ns).slice(0, 5)}`;
}

export const VIEWS = { line: Lines, stat: Stats, bars: Bars, table: Rows, gauge: Gauges, heatmap: Heat };
