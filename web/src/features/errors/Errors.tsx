import "./errors.css";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { between, title, within } from "../../app/time";
import { useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { facetsIn, facetsOf, isThere } from "../../filter/queries";
import { count, exact, headline, line, plural } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { Facets } from "../../parts/Facets";
import { Bar, Kind, When } from "../../parts/Figures";
import { Histogram, Spark } from "../../parts/Histogram";
import { type Column, Table } from "../../parts/Table";
import { Panel } from "./Panel";
import { errorsOf, type Group, type Groups, MOST, type Order, ORDERS, type State, STATES } from "./queries";
import { StateMark, what } from "./State";

/** Failures as groups with their history: what is new, what came back, whom it met. */
export default function Errors() {
  const [view, setView] = useView();
  const filter = within(view.filter, view.time);
  const order: Order = view.order && view.order in ORDERS ? (view.order as Order) : "count";
  const state = STATES.find((one) => one === view.state);
  const found = useQuery(errorsOf(filter, order, state));
  const facets = useQuery({ ...facetsOf("errors", filter), enabled: isThere(found) });
  const groups = found.data;
  const rows = useMemo(() => groups?.errors ?? [], [groups]);
  const columns = useMemo(() => columnsOf(rows), [rows]);
  const chosen = view.error;
  const selected = useMemo(() => new Set(chosen ? [chosen] : []), [chosen]);
  const show = (group: Group | undefined) => setView({ error: group?.fingerprint }, { replace: chosen !== undefined });
  return (
    <main className="errors">
      <header className="page-title">
        <h1>Errors</h1>
        <p aria-live="polite">{groups && <Sentence of={groups} time={view.time} state={state} />}</p>
      </header>
      <FilterBar of="spans" page="/errors" error={found.error} placeholder="agent:coder kind:tool error:RateLimitError or any words" />
      {groups && groups.first_ns !== null && groups.bucket_ns !== null && (
        <div className="errors-histogram">
          <Histogram
            label="Failures over time"
            bars={{ startNs: groups.first_ns, widthNs: groups.bucket_ns, series: [{ name: "error", values: groups.counts }] }}
            choose={(first, last) => setView({ time: between(first, last) })}
          />
        </div>
      )}
      <div className="errors-choice">
        <div role="group" aria-label="State" className="choices">
          {([undefined, ...STATES] as (State | undefined)[]).map((one) => (
            <button
              key={one ?? "all"}
              type="button"
              className="choice"
              aria-pressed={state === one}
              data-hint={one && groups ? HINTS[one](groups) : undefined}
              onClick={() => setView({ state: one })}
            >
              {one ?? "all"} {groups && <span className="faint">{countOf(groups, one)}</span>}
            </button>
          ))}
        </div>
        <label className="errors-order">
          Order{" "}
          <select
            className="field"
            value={order}
            onChange={(event) => setView({ order: event.target.value === "count" ? undefined : event.target.value })}
          >
            {Object.entries(ORDERS).map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {groups?.since_ns !== null && groups?.since_ns !== undefined && (
        <CutNote>
          The newest {count(groups.looked_at)} failures were looked at, back to {exact(groups.since_ns).slice(0, 16)}; a time range or a
          filter on start reaches older ones.
        </CutNote>
      )}
      <div className="columns">
        <Facets
          {...facetsIn(facets.data, found.error ?? facets.error)}
          filter={view.filter ?? ""}
          set={(next) => setView({ filter: next || undefined })}
          label="Facets of the failures"
        />
        {found.error && rows.length === 0 ? (
          <div className="empty">
            <Trouble error={found.error} />
          </div>
        ) : (
          <Table
            label="Errors"
            columns={columns}
            rows={rows}
            id={(group) => group.fingerprint}
            rowHeight={42}
            loading={found.isPending}
            open={(group) => show(chosen === group.fingerprint ? undefined : group)}
            preview={(group) => show(chosen === group.fingerprint ? undefined : group)}
            onActive={chosen ? show : undefined}
            selected={selected}
            foot={groups?.more && <span>The first {count(MOST)} errors in this order; a filter or a time range leaves fewer.</span>}
            empty={
              <Nothing
                filtered={Boolean(view.filter || view.time || state)}
                clear={() => setView({ filter: undefined, time: undefined, state: undefined })}
              />
            }
          />
        )}
        {chosen && <Panel key={chosen} fingerprint={chosen} filter={filter} close={() => show(undefined)} />}
      </div>
    </main>
  );
}

const HINTS: Record<State, (of: Groups) => string> = {
  new: (of) => `Never before ${exact(of.period.first_ns).slice(0, 16)}, as far as the record goes back.`,
  regressed: (of) => `Came back: not in the ${lengthOf(of)} before, but earlier.`,
  ongoing: (of) => `In this time and in the ${lengthOf(of)} before.`,
  gone: (of) => `In the ${lengthOf(of)} before, and no more.`,
};

function lengthOf({ period }: Groups): string {
  const hours = Math.round((period.last_ns - period.first_ns) / 3.6e12);
  return hours >= 48 ? plural(Math.round(hours / 24), "day") : plural(Math.max(hours, 1), "hour");
}

function countOf(of: Groups, state: State | undefined): string {
  if (state === undefined) return count(of.groups);
  return state === "ongoing" ? "" : count(of[state]);
}

function columnsOf(rows: Group[]): Column<Group>[] {
  const most = Math.max(...rows.map((group) => group.count), 1);
  return [
    {
      title: "Error",
      width: "minmax(140px, 3fr)",
      cell: (group) => (
        <span className="stacked">
          <span className="error-head">
            <strong className="cut" title={line(what(group))}>
              {line(group.type) || headline(group.message, 80) || "(no message)"}
            </strong>
            <StateMark state={group.state} />
          </span>
          <span className="cut soft">{group.type ? headline(group.message, 200) || "(no message)" : ""}</span>
        </span>
      ),
    },
    {
      title: "Where",
      width: "minmax(80px, 1fr)",
      cell: (group) => (
        <span className="stacked">
          <Kind kind={group.kind} />
          <span className="cut soft">{line(group.place, 80) || "any model"}</span>
        </span>
      ),
      wide: true,
    },
    {
      title: "Over time",
      width: "110px",
      cell: (group) => (
        <Spark values={group.counts} label={`${plural(group.count, "failure")}, most ${count(Math.max(0, ...group.counts))} at once`} />
      ),
      wide: true,
    },
    {
      title: "Failures",
      width: "66px",
      align: "right",
      cell: (group) => (
        <span className="stacked">
          <Bar share={group.count / most}>{count(group.count)}</Bar>
          {group.state && <Change group={group} />}
        </span>
      ),
      hint: "In the time that is shown; below, how that compares with the time before.",
    },
    { title: "Runs", width: "48px", align: "right", cell: (group) => count(group.runs), wide: true },
    { title: "Agents", width: "minmax(60px, 0.9fr)", cell: (group) => line(group.agents.join(", ")), wide: true },
    {
      title: "Last, first",
      width: "88px",
      cell: (group) => (
        <span className="stacked">
          <When ns={group.last_ns} />
          <span className="faint">
            <When ns={group.first_ns} />
          </span>
        </span>
      ),
      hint: "When it was seen last and, below, first.",
    },
  ];
}

function Change({ group }: { group: Group }) {
  const by = group.count - group.before;
  return (
    <span className="faint" data-hint={`${plural(group.before, "failure")} in the time before`}>
      {by > 0 ? `+${count(by)}` : by < 0 ? `−${count(-by)}` : "±0"}
    </span>
  );
}

function Sentence({ of, time, state }: { of: Groups; time: string | undefined; state: State | undefined }) {
  if (of.count === 0)
    return (
      <>
        {of.gone
          ? `Nothing failed; ${plural(of.gone, "error")} of the time before ${of.gone === 1 ? "is" : "are"} gone.`
          : "Nothing failed."}
      </>
    );
  const worst =
    of.errors.find((group) => group.state === "new") ??
    of.errors.reduce<Group | undefined>((most, one) => (most && most.count >= one.count ? most : one), undefined);
  const changed = [
    of.new ? `${count(of.new)} new` : "",
    of.regressed ? `${count(of.regressed)} came back` : "",
    of.gone ? `${count(of.gone)} gone` : "",
  ].filter(Boolean);
  return (
    <>
      {plural(of.count, "failure")} of {plural(of.groups, "error")} in {plural(of.runs, "run")}
      {time ? ` in ${title(time)}` : ""}
      {changed.length > 0 && `; ${changed.join(", ")}`}
      {worst && !state && (
        <>
          ; {worst.state === "new" ? "new" : "most often"}: <em>{headline(what(worst), 90)}</em>
        </>
      )}
      .
    </>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered)
    return (
      <Empty
        title="Nothing failed here"
        action={
          <button type="button" className="button" onClick={clear}>
            Show all errors
          </button>
        }
      >
        No failure began in the spans that the filter and the time range leave.
      </Empty>
    );
  return (
    <Empty title="Nothing has failed" command="clew import traces.otlp.jsonl">
      A span that ends with an error stands here, with all that failed alike. Record a program, or import a record:
    </Empty>
  );
}
