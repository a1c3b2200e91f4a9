import "./parts.css";
import { useState } from "react";
import { chosen, toggle } from "../filter/terms";
import { count, line, short } from "../format";

export type Facet = { field: string; values: { value: string; count: number }[]; more?: boolean };

/** How often each value of some fields occurs; a click includes a value, Alt-click (or its ×) excludes it, a second one takes that back.
 *  A narrow screen has a button for them. */
export function Facets({
  facets,
  cut,
  filter,
  set,
  label = "Facets",
}: {
  /** Undefined while they are counted. */
  facets: Facet[] | undefined;
  /** How many rows were counted, where there are more. */
  cut?: number;
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
      <aside className={`facets ${open ? "open" : ""}`} aria-label={label} aria-busy={!facets}>
        {!facets && <Skeletons />}
        {cut !== undefined && (
          <p className="facets-cut" role="note">
            Counts of the newest {count(cut)}; a time range counts all.
          </p>
        )}
        {facets
          ?.filter((facet) => facet.values.length > 0)
          .map((facet) => {
            const most = facet.values[0]?.count ?? 1;
            return (
              <details key={facet.field} className="facet" open>
                <summary>{facet.field}</summary>
                {facet.values.map((one) => {
                  const state = chosen(filter, facet.field, one.value);
                  return (
                    <div key={one.value} className={`facet-row ${state ?? ""}`}>
                      <button
                        type="button"
                        className="facet-value"
                        aria-pressed={state === "in"}
                        onClick={(event) => set(toggle(filter, facet.field, one.value, event.altKey ? "out" : "in"))}
                      >
                        <span className="cut" title={line(one.value)}>
                          {line(one.value) || "(none)"}
                        </span>
                        <span className="faint" title={count(one.count)} style={{ opacity: 0.75 + 0.25 * (one.count / most) }}>
                          {short(one.count)}
                        </span>
                      </button>
                      <button
                        type="button"
                        className="facet-exclude"
                        aria-label={`Exclude ${facet.field} ${line(one.value) || "(none)"}`}
                        aria-pressed={state === "out"}
                        onClick={() => set(toggle(filter, facet.field, one.value, "out"))}
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

function Skeletons() {
  return (
    <div aria-hidden="true" className="facets-waiting">
      {Array.from({ length: 9 }, (_, row) => (
        <div key={row} className="skeleton" style={{ width: `${45 + ((row * 23) % 45)}%` }} />
      ))}
    </div>
  );
}
