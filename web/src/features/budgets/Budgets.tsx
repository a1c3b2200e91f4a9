import "./budgets.css";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { useView } from "../../app/view";
import { term } from "../../filter/terms";
import { ago, count, exact, line, percent, plural, UNKNOWN, utc } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { Figure } from "../../parts/Figures";
import { amount, type Budget, Gauge, type Limit, limitsOf, nameOf, tone, unit } from "../../parts/Gauge";
import { SidePanel } from "../../parts/SidePanel";
import { type Column, Table } from "../../parts/Table";
import { budgets } from "./queries";

/** What may be spent, what was, and what will be. */
export default function Budgets() {
  const [view, setView] = useView();
  const found = useQuery(budgets);
  const rows = useMemo(() => (found.data?.budgets ?? []).flatMap(limitsOf).sort((a, b) => b.share - a.share), [found.data]);
  const chosen = rows.find((row) => row.id === view.preview);
  const show = (row: Limit | undefined) => setView({ preview: row?.id }, { replace: true });
  const selected = useMemo(() => new Set(chosen ? [chosen.id] : []), [chosen]);
  const ledger = found.data?.ledger;
  return (
    <main className="budgets">
      <header className="page-title">
        <h1>Budgets</h1>
        <p aria-live="polite">{rows.length > 0 && <Sentence rows={rows} unused={ledger === "none"} />}</p>
      </header>
      {ledger && ledger !== "ok" && ledger !== "none" && <CutNote>What was spent cannot be read: {line(ledger)}</CutNote>}
      <div className="columns">
        {found.error && rows.length === 0 ? (
          <div className="empty">
            <Trouble error={found.error} />
          </div>
        ) : (
          <Table
            label="Budgets"
            columns={chosen ? FEW : COLUMNS}
            rows={rows}
            id={(row) => row.id}
            loading={found.isPending}
            rowHeight={42}
            open={(row) => show(chosen?.id === row.id ? undefined : row)}
            preview={(row) => show(chosen?.id === row.id ? undefined : row)}
            onActive={chosen ? show : undefined}
            selected={selected}
            empty={
              <Empty title="No budget is declared" command="clew budgets set daily --usd 5 --window day">
                A budget refuses, or tells of, the model call that would spend more. One for all programs of this machine:
              </Empty>
            }
            foot={
              rows.length > 0 && (
                <span className="budget-legend">
                  <span>Fullest first</span>
                  <span>Solid: spent</span>
                  <span>Hatched: reserved by calls under way</span>
                  <span>Thin lines: thresholds</span>
                  <span>Coloured line: projected</span>
                </span>
              )
            }
          />
        )}
        {chosen && (
          <SidePanel title={nameOf(chosen.of)} close={() => show(undefined)}>
            <Account row={chosen} all={rows.filter((row) => row.of === chosen.of)} />
          </SidePanel>
        )}
      </div>
    </main>
  );
}

const COLUMNS: Column<Limit>[] = [
  {
    title: "Budget",
    width: "minmax(84px, 1.2fr)",
    cell: (row) => (
      <span className="stacked">
        <strong>{line(row.of.name)}</strong>
        <span className="faint">{row.of.per ? `${row.of.per} ${line(row.of.key) || "(each)"}` : "all calls"}</span>
      </span>
    ),
  },
  { title: "Used", width: "minmax(70px, 2.4fr)", cell: (row) => <Gauge row={row} /> },
  {
    title: "%",
    width: "42px",
    align: "right",
    cell: (row) => <span className={tone(row) === "over" ? "error" : tone(row) === "warned" ? "warning" : ""}>{percent(row.share)}</span>,
  },
  {
    title: "Spent of limit",
    width: "116px",
    align: "right",
    cell: (row) => (
      <span className="stacked">
        <Spent row={row} />
        <span className="faint">
          of {amount(row.measure, row.limit)}
          {unit(row.measure)}
        </span>
      </span>
    ),
  },
  {
    title: "Reserved",
    width: "72px",
    align: "right",
    cell: (row) => (row.reserved ? amount(row.measure, row.reserved) : <span className="faint">0</span>),
    wide: true,
    hint: "Held for calls that are under way.",
  },
  {
    title: "Remaining",
    width: "84px",
    align: "right",
    cell: (row) => <span className={row.remaining < 0 ? "error" : ""}>{amount(row.measure, row.remaining)}</span>,
    wide: true,
    hint: "Limit less what is spent and reserved; negative when overspent.",
  },
  {
    title: "Projected",
    width: "84px",
    align: "right",
    cell: (row) => <Projected row={row} />,
    wide: true,
    hint: "Spent by the end of the period, at the rate so far.",
  },
  {
    title: "Window, end",
    width: "90px",
    cell: (row) => (
      <span className="stacked">
        <span>{row.of.window ?? "none"}</span>
        <Ends of={row.of} />
      </span>
    ),
    wide: true,
  },
];

/** Those that have room beside the panel. */
const FEW = COLUMNS.filter((column) => !column.wide);

/** Spent: at least this where calls have no price, estimated where they told no usage. */
function Spent({ row }: { row: Limit }) {
  const { estimated_calls: estimated, unpriced_calls: unpriced } = row.of;
  const unknown = row.measure === "usd" && unpriced > 0;
  const guessed = estimated > 0 && (row.measure === "usd" || row.measure === "tokens");
  const hint = [
    `Booked in the ledger${row.of.period_start ? ` since ${exact(row.of.period_start * 1e9)}` : ""}.`,
    unknown ? `At least this: ${plural(unpriced, "call")} had no price.` : "",
    guessed ? `${plural(estimated, "call")} told no usage: what was reserved stands for it.` : "",
  ];
  return (
    <Figure unknown={unknown} estimated={guessed} hint={hint.filter(Boolean).join("\n")}>
      {unknown && "≥ "}
      {amount(row.measure, row.spent)}
    </Figure>
  );
}

function Ends({ of }: { of: Budget }) {
  if (of.period_end) {
    const ns = of.period_end * 1e9;
    return (
      <time className="faint" dateTime={utc(ns)} data-hint={`Counts anew at ${exact(ns)} (local)\n${utc(ns)}`}>
        {ago(ns)}
      </time>
    );
  }
  return (
    <span
      className="faint"
      data-hint={of.window ? "It looks back all the time, and never ends." : "It counts until it is reset: clew budgets reset."}
    >
      {of.window ? "rolling" : "never"}
    </span>
  );
}

function Projected({ row }: { row: Limit }) {
  const projected = row.of.projected[row.measure] ?? null;
  if (projected !== null)
    return (
      <Figure estimated hint={`Spent by ${row.of.period_end ? exact(row.of.period_end * 1e9) : "its end"}, at the rate so far.`}>
        <span className={projected > row.limit ? "warning" : ""}>{amount(row.measure, projected)}</span>
      </Figure>
    );
  return (
    <Figure unknown hint={row.of.period_end ? "It began too short a time ago to tell." : "It has no end to project to."}>
      {UNKNOWN}
    </Figure>
  );
}

function Sentence({ rows, unused }: { rows: Limit[]; unused: boolean }) {
  const over = rows.filter((row) => row.share >= 1);
  const soon = rows.filter((row) => row.of.exhausted_at && row.share < 1).sort((a, b) => a.of.exhausted_at! - b.of.exhausted_at!)[0];
  const fullest = rows[0]!;
  if (unused) return <>{plural(rows.length, "limit")}; nothing was spent of them yet.</>;
  return (
    <>
      {over.length > 0 ? (
        <strong className="error">
          {plural(over.length, "limit")} of {count(rows.length)} reached: {nameOf(over[0]!.of)}, {percent(over[0]!.share)} of its{" "}
          {over[0]!.measure}
        </strong>
      ) : (
        <>
          {plural(rows.length, "limit")}, none reached; <em>{nameOf(fullest.of)}</em> is fullest, {percent(fullest.share)} of its{" "}
          {fullest.measure}
        </>
      )}
      {soon && (
        <>
          ; <em>{nameOf(soon.of)}</em> will be spent {ago(soon.of.exhausted_at! * 1e9)} at the rate so far
        </>
      )}
      .
    </>
  );
}

/** The filter for runs that spend of an account, when one says it. */
function runsOf(of: Budget): string {
  const known = ["run", "workflow", "agent", "persona", "model", "session", "user"];
  const own = of.per && of.key && known.includes(of.per) ? [term(of.per, of.key)] : [];
  const only = Object.entries(of.only)
    .filter(([field, value]) => known.includes(field) && field !== of.per && /^[\w.+@*-]+$/.test(value))
    .map(([field, value]) => `${field}:${value}`);
  return [...own, ...only].join(" ");
}

function Account({ row, all }: { row: Limit; all: Limit[] }) {
  const { of } = row;
  return (
    <>
      <dl className="facts">
        <dt>At the limit</dt>
        <dd>{of.hard ? "refuses the call before it is made" : "tells, and lets the call through"}</dd>
        <dt>Window</dt>
        <dd>{of.window ?? "none"}</dd>
        <dt>Since</dt>
        <dd>{of.period_start ? exact(of.period_start * 1e9) : "its first call"}</dd>
        <dt>Until</dt>
        <dd>{of.period_end ? exact(of.period_end * 1e9) : <Ends of={of} />}</dd>
        <dt>Thresholds</dt>
        <dd>{of.thresholds.map((one) => `${one} %`).join(", ") || "none"}</dd>
        <dt>Passed</dt>
        <dd>{of.fired.map(([measure, one]) => `${one} % of ${measure}`).join(", ") || "none in this period"}</dd>
        {of.exhausted_at && (
          <>
            <dt>Spent up</dt>
            <dd>
              {ago(of.exhausted_at * 1e9)}, {exact(of.exhausted_at * 1e9)}, at the rate so far
            </dd>
          </>
        )}
        {Object.keys(of.only).length > 0 && (
          <>
            <dt>Only calls of</dt>
            <dd>
              {Object.entries(of.only)
                .map(([field, value]) => `${field} ${line(value)}`)
                .join(", ")}
            </dd>
          </>
        )}
        {"usd" in of.limits && (
          <>
            <dt>No price</dt>
            <dd>
              {of.unpriced === "refuse" ? "such calls are refused" : "such calls are counted as unknown"}
              {of.unpriced_calls > 0 && `: ${count(of.unpriced_calls)} so far`}
            </dd>
          </>
        )}
        <dt>No usage</dt>
        <dd>{of.estimated_calls ? `${plural(of.estimated_calls, "call")}, booked as reserved` : "no call without it"}</dd>
        <dt>Declared in</dt>
        <dd className="mono">{line(of.source)}</dd>
      </dl>
      {all.map((one) => (
        <div key={one.id}>
          <h3>{one.measure}</h3>
          <Gauge row={one} />
          <p>
            <Spent row={one} /> of {amount(one.measure, one.limit)}, {amount(one.measure, one.reserved)} reserved,{" "}
            {amount(one.measure, one.remaining)} remaining
          </p>
        </div>
      ))}
      <h3>Runs</h3>
      <Link to="/runs" search={{ filter: runsOf(of) || undefined } as never}>
        Show the runs that it holds for
      </Link>
    </>
  );
}
