import { useState } from "react";
import { Dialog } from "../../app/Dialog";
import { FilterField } from "../../filter/FilterBar";
import { type Answer, type Asked, type Dashboard, type Panel, preview } from "./queries";
import { VIEWS } from "./Views";

const FIGURES = ["spans", "per_minute", "errors", "error_rate", "p50", "p95", "p99", "calls", "tokens", "cost"];
const VIEWS_OF = { sql: ["table", "line", "bars", "stat"], spans: ["line", "bars", "table", "stat"] } as const;
const KEYS = [
  "",
  "agent",
  "model",
  "tool",
  "kind",
  "name",
  "service",
  "provider",
  "workflow",
  "persona",
  "session",
  "user",
  "error",
  "status",
];
const SAMPLE =
  "SELECT toStartOfHour(start_time) AS at, model, count() AS calls\nFROM model_calls\nWHERE start_ns BETWEEN {from:Int64} AND {to:Int64}\nGROUP BY at, model ORDER BY at";

/** An id from a title that none of the others has. */
export function slug(title: string, taken: string[]): string {
  const base =
    title
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 50) || "panel";
  if (!taken.includes(base)) return base;
  let number = 2;
  while (taken.includes(`${base}-${number}`)) number++;
  return `${base}-${number}`;
}

/** A panel from SQL or from the filter language, with what it would show. */
export function EditDialog({
  panel,
  asked,
  close,
  keep,
}: {
  panel: Panel | null;
  asked: Asked;
  close: () => void;
  keep: (panel: Panel) => Promise<void>;
}) {
  const question = panel?.question;
  const [title, setTitle] = useState(panel?.title ?? "");
  const [of, setOf] = useState<"sql" | "spans">(question?.of === "spans" ? "spans" : "sql");
  const [query, setQuery] = useState(question?.of === "sql" ? question.query : SAMPLE);
  const [filter, setFilter] = useState(question?.of === "spans" ? question.filter : "");
  const [by, setBy] = useState(question?.of === "spans" ? question.by : "");
  const [figures, setFigures] = useState<string[]>(question?.of === "spans" ? question.figures : ["spans"]);
  const [shown, setShown] = useState<string>(panel?.view ?? "line");
  const [width, setWidth] = useState(panel?.width ?? 6);
  const [seen, setSeen] = useState<Answer | null>(null);
  const [trouble, setTrouble] = useState("");
  const isOther = question !== undefined && question.of !== "sql" && question.of !== "spans";
  const view = (isOther || (VIEWS_OF[of] as readonly string[]).includes(shown) ? shown : VIEWS_OF[of][0]) as Panel["view"];
  const made: Panel = {
    thresholds: [],
    help: "",
    fill: "",
    none: "",
    per_hour: false,
    limit: 10,
    ...panel,
    id: panel?.id ?? "preview",
    title: title.trim() || "Panel",
    view,
    width,
    question: isOther ? question : of === "sql" ? { of: "sql", query } : { of: "spans", filter, by, figures, compare: false },
  };
  const run = (does: () => Promise<void>) => {
    setTrouble("");
    does().catch((error: Error) => setTrouble(error.message));
  };
  const look = () => run(async () => setSeen(await preview(made, asked)));
  const View = VIEWS[made.view];
  return (
    <Dialog title={panel ? "Edit the panel" : "Add a panel"} close={close} className="panel-edit">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          run(async () => {
            await keep(made);
            close();
          });
        }}
      >
        <h2>{panel ? "Edit the panel" : "Add a panel"}</h2>
        <label>
          Title
          <input className="field" required maxLength={120} value={title} onChange={(event) => setTitle(event.target.value)} />
        </label>
        {!isOther && (
          <div className="choices" role="group" aria-label="From">
            {(["sql", "spans"] as const).map((one) => (
              <button key={one} type="button" aria-pressed={of === one} onClick={() => setOf(one)}>
                {one === "sql" ? "From SQL" : "From a filter"}
              </button>
            ))}
          </div>
        )}
        {isOther ? (
          <pre className="panel-question">{JSON.stringify(question, null, 2)}</pre>
        ) : of === "sql" ? (
          <label>
            One SELECT over the views; {"{from:Int64}"} and {"{to:Int64}"} are the period
            <textarea className="field mono" rows={7} spellCheck={false} value={query} onChange={(event) => setQuery(event.target.value)} />
          </label>
        ) : (
          <>
            <FilterField of="spans" value={filter} onChange={setFilter} placeholder="which spans: status:error kind:tool" live />
            <label>
              By
              <select className="field" aria-label="By" value={by} onChange={(event) => setBy(event.target.value)}>
                {(KEYS.includes(by) ? KEYS : [...KEYS, by]).map((key) => (
                  <option key={key} value={key}>
                    {key || "all together"}
                  </option>
                ))}
              </select>
            </label>
            <fieldset>
              <legend>Figures</legend>
              {FIGURES.map((figure) => (
                <label key={figure}>
                  <input
                    type="checkbox"
                    checked={figures.includes(figure)}
                    onChange={(event) =>
                      setFigures(event.target.checked ? [...figures, figure] : figures.filter((each) => each !== figure))
                    }
                  />
                  {figure.replace("_", " ")}
                </label>
              ))}
            </fieldset>
          </>
        )}
        <div className="panel-edit-row">
          {!isOther && (
            <label>
              Drawn as
              <select className="field" value={view} onChange={(event) => setShown(event.target.value)}>
                {VIEWS_OF[of].map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            </label>
          )}
          <label>
            Width
            <select className="field" value={width} onChange={(event) => setWidth(Number(event.target.value))}>
              {[3, 4, 6, 8, 12].map((one) => (
                <option key={one} value={one}>
                  {one} of 12
                </option>
              ))}
            </select>
          </label>
          <button type="button" className="button" onClick={look}>
            Preview
          </button>
          <button type="submit" className="button">
            {panel ? "Keep" : "Add"}
          </button>
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
        </div>
        {(trouble || seen?.trouble) && (
          <pre className="panel-trouble" role="alert">
            {trouble || seen?.trouble}
          </pre>
        )}
        {seen && !seen.trouble && !trouble && (
          <section className="panel" aria-label="Preview">
            {seen.series.length + seen.values.length + seen.rows.length === 0 ? (
              <p className="soft">Nothing in this period.</p>
            ) : (
              <View panel={made} answer={seen} go={() => undefined} time={asked.time} />
            )}
            {seen.notes.length > 0 && <p className="panel-notes">{seen.notes.join("; ")}</p>}
          </section>
        )}
      </form>
    </Dialog>
  );
}

/** A dashboard of one's own, with the panels of another or none. */
export function CopyDialog({
  of,
  taken,
  close,
  keep,
}: {
  of: Dashboard;
  taken: string[];
  close: () => void;
  keep: (dashboard: Dashboard) => Promise<void>;
}) {
  const [title, setTitle] = useState(`${of.title}, mine`);
  const [isEmpty, setEmpty] = useState(false);
  const [trouble, setTrouble] = useState("");
  return (
    <Dialog title="A dashboard of your own" close={close}>
      <form
        className="panel-edit-form"
        onSubmit={(event) => {
          event.preventDefault();
          const made = { ...of, name: slug(title, taken), title: title.trim(), panels: isEmpty ? [] : of.panels };
          keep(made)
            .then(close)
            .catch((error: Error) => setTrouble(error.message));
        }}
      >
        <h2>A dashboard of your own</h2>
        <label>
          Title
          <input className="field" required maxLength={120} value={title} onChange={(event) => setTitle(event.target.value)} />
        </label>
        <label className="check">
          <input type="checkbox" checked={isEmpty} onChange={(event) => setEmpty(event.target.checked)} />
          without the panels of {of.title}
        </label>
        {trouble && (
          <pre className="panel-trouble" role="alert">
            {trouble}
          </pre>
        )}
        <div className="panel-edit-row">
          <button type="submit" className="button">
            Make it
          </button>
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}
