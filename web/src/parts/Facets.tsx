import "./parts.css";
import { useState } from "react";
import { chosen, toggle } from "../filter/terms";
import { line, short } from "../format";

export type Facet = { field: string; values: { value: string; count: number }[]; more?: boolean };

/** How often each value of a field occurs in rows that are at hand, the most frequent ones. */
export function countsOf<Row>(field: string, rows: Row[], values: (row: Row) => string[], most = 8): Facet {
  const counts = new Map<string, number>();
  for (const row of rows) for (const value of values(row)) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  const sorted = [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
  return { field, values: sorted.slice(0, most), more: sorted.length > most };
}

/** How often each value of some fields occurs; a click includes a value, Alt-click (or its ×) excludes it, a second one takes that back.
 *  A narrow screen has a button for them. */
export function Facets({
  facets,
  filter,
  set,
  label = "Facets",
}: {
  facets: Facet[];
  filter: string;
  set: (filter: string) => void;
  label?: string;
}) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button facets-switch" aria-expanded={open} onClick={() => setOpen(!open)}>
        Facets
      </button>
      <aside className={`facets ${open ? "open" : ""}`} aria-label={label}>
        {facets
          .filter((facet) => facet.values.length > 0)
          .map((facet) => {
            const most = facet.values[0]?.count ?? 1;
            return (
              <details key={facet.field} className="facet" open>
                <summary>{facet.field}</summary>
                {facet.values.map(({ value, count }) => {
                  const state = chosen(filter, facet.field, value);
                  return (
                    <div key={value} className={`facet-row ${state ?? ""}`}>
                      <button
                        type="button"
                        className="facet-value"
                        aria-pressed={state === "in"}
                        onClick={(event) => set(toggle(filter, facet.field, value, event.altKey ? "out" : "in"))}
                      >
                        <span className="cut" title={line(value)}>
                          {line(value) || "(none)"}
                        </span>
                        <span className="faint" style={{ opacity: 0.75 + 0.25 * (count / most) }}>
                          {short(count)}
                        </span>
                      </button>
                      <button
                        type="button"
                        className="facet-exclude"
                        aria-label={`Exclude ${facet.field} ${line(value) || "(none)"}`}
                        aria-pressed={state === "out"}
                        onClick={() => set(toggle(filter, facet.field, value, "out"))}
                      >
                        ×
                      </button>
                    </div>
                  );
                })}
                {facet.more && <div className="facet-row faint">the most frequent ones</div>}
              </details>
            );
          })}
      </aside>
    </>
  );
}
