import "./system.css";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Trouble } from "../../app/Broken";
import { bytes, count, line, plural } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { Bar, Figure, When } from "../../parts/Figures";
import { type Column, Table } from "../../parts/Table";
import { type Health, health, type Line, type Stats, stats } from "./queries";

const ROW = 42;
const HEAD = 27;
const MOST_ROWS = 8;

/** What came in and what became of it, what the store holds, and what goes out of it again. */
export default function System() {
  const account = useQuery(stats);
  const store = useQuery(health);
  const error = account.error ?? store.error;
  const of = account.data;
  return (
    <main className="system">
      <header className="page-title">
        <h1>System</h1>
        <p aria-live="polite">{store.data && account.isFetched && <Sentence of={of ?? null} store={store.data} />}</p>
      </header>
      {error && <Trouble error={error} />}
      {of?.trouble && (
        <p className="cut-note" role="alert">
          <strong className="error">The store takes nothing in at the moment.</strong> {line(of.trouble, 2000)} What was acknowledged waits
          in the log.
        </p>
      )}
      {of !== undefined && <Account of={of} />}
      {store.data && (
        <div className="system-parts">
          <Storage of={store.data} log={of ?? null} />
          <Keeping of={of ?? null} />
          <Faults of={of ?? null} store={store.data} />
        </div>
      )}
    </main>
  );
}

function Sentence({ of, store }: { of: Stats | null; store: Health }) {
  const held = `the store holds ${plural(store.spans, "span")} in ${bytes(store.bytes)}`;
  const lost = store.losses.reduce((sum, loss) => sum + total(loss.dropped), 0);
  const recorders = lost ? <span className="error">; recorders dropped {count(lost)}</span> : null;
  if (of?.trouble) return <strong className="error">The store takes nothing in; {count(of.waiting)} records wait in the log.</strong>;
  if (of && of.gap !== 0) return <strong className="error">{count(of.gap)} records are not accounted for.</strong>;
  if (!of || of.received === 0)
    return (
      <>
        No sender has sent anything yet; {held}
        {recorders}.
      </>
    );
  const rejected = total(of.rejected);
  return (
    <>
      All {count(of.received)} records that were received are accounted for: {count(of.stored)} stored,{" "}
      <span className={rejected ? "error" : ""}>{count(rejected)} rejected</span>, {count(of.waiting)} waiting; {held}
      {recorders}.
    </>
  );
}

const COLUMNS: Column<Line>[] = [
  {
    title: "Sender, signal",
    width: "minmax(84px, 1.5fr)",
    cell: (row) => (
      <span className="stacked">
        <span>{line(row.sender)}</span>
        <span className="faint">{row.signal}</span>
      </span>
    ),
    hint: "The address that it sends from, or its key; and what it sent.",
  },
  {
    title: "Received",
    width: "minmax(56px, 0.6fr)",
    align: "right",
    cell: (row) => count(row.received),
    hint: "Records of all acknowledged requests, each arrival for itself.",
  },
  { title: "Stored", width: "minmax(56px, 0.6fr)", align: "right", cell: (row) => count(row.stored), hint: "Those the store has." },
  {
    title: "Rejected",
    width: "minmax(56px, 0.6fr)",
    align: "right",
    cell: (row) => {
      const sum = total(row.rejected);
      return sum ? (
        <span className="error" data-hint={reasons(row.rejected)}>
          ✕ {count(sum)}
        </span>
      ) : (
        <span className="faint">0</span>
      );
    },
    hint: "Those the store will not have.",
  },
  {
    title: "Waiting",
    width: "minmax(56px, 0.6fr)",
    align: "right",
    cell: (row) => (row.waiting ? count(row.waiting) : <span className="faint">0</span>),
    hint: "Those still in the log.",
  },
  {
    title: "Cut",
    width: "minmax(56px, 0.6fr)",
    align: "right",
    cell: (row) => {
      const sum = total(row.cut);
      return sum ? (
        <span className="warning" data-hint={`${reasons(row.cut)}\nbeyond the limits of one record, which is stored without them.`}>
          ▲ {count(sum)}
        </span>
      ) : (
        <span className="faint">0</span>
      );
    },
    wide: true,
    hint: "What stored records are without, beyond the limits of one record; no part of the sum.",
  },
  { title: "Why rejected", width: "minmax(80px, 1.5fr)", cell: (row) => line(reasons(row.rejected).replace(/\n/g, ", ")), wide: true },
];

/** received = stored + rejected + waiting, line by line. */
function Account({ of }: { of: Stats | null }) {
  if (of === null)
    return (
      <section>
        <h2>Received</h2>
        <p className="soft">
          This server only answers; <code>clew serve</code> also receives.
        </p>
      </section>
    );
  const lines = [...of.lines].sort((a, b) => b.received - a.received || (a.sender < b.sender ? -1 : 1));
  return (
    <section aria-labelledby="system-received">
      <h2 id="system-received">Received = stored + rejected + waiting</h2>
      {lines.length === 0 ? (
        <Empty title="Nothing was sent to this server yet" command={`OTEL_EXPORTER_OTLP_ENDPOINT=${location.origin} python app.py`}>
          Programs that <code>import clew</code> record through the spool, and imports go straight in: neither is counted here. Any
          OpenTelemetry program sends with:
        </Empty>
      ) : (
        <div className="system-account" style={{ height: Math.min(lines.length, MOST_ROWS) * ROW + HEAD }}>
          <Table label="Senders" columns={COLUMNS} rows={lines} id={(row) => `${row.signal} ${row.sender}`} rowHeight={ROW} />
        </div>
      )}
      {lines.length > 0 && <Cut of={of.cut} />}
    </section>
  );
}

/** What stored records are without. */
function Cut({ of }: { of: Stats["cut"] }) {
  const { values = 0, ...left } = of;
  const out = Object.entries(left).filter(([, number]) => number > 0);
  const said = [
    out.length > 0 && `${out.map(([what, number]) => plural(number, what.replace(/s$/, ""))).join(", ")} left out`,
    values > 0 && `${plural(values, "value")} shortened`,
  ].filter(Boolean);
  return (
    <p
      className="system-cut"
      data-hint="Each such record says on itself what it is without, as does the answer to its sender. It is no part of the sum."
    >
      {said.length === 0 ? (
        <span className="faint">No record was cut: all were within the limits of one record.</span>
      ) : (
        <>
          <span className="warning">▲ Cut beyond the limits of one record:</span> {said.join("; ")}. The records are stored.
        </>
      )}
    </p>
  );
}

function Storage({ of, log }: { of: Health; log: Stats | null }) {
  const most = Math.max(...of.tables.map((table) => table.bytes), 1);
  return (
    <Part title="Storage">
      <dl className="facts">
        <dt>Data directory</dt>
        <dd className="mono">{line(of.data_dir)}</dd>
        <dt>Size</dt>
        <dd data-hint="The whole data directory.">{bytes(of.bytes)}</dd>
        {log && (
          <>
            <dt>Log</dt>
            <dd data-hint="What was acknowledged and is not in the store yet. A full log answers 503, so that senders keep it.">
              {bytes(log.log_bytes)} of {bytes(log.log_limit_bytes)}
              {!log.settled && <span className="faint"> (settling)</span>}
            </dd>
          </>
        )}
        <dt>Spool</dt>
        <dd data-hint="What programs recorded by Clew wrote, and the store has not taken in yet.">
          {of.spool_files ? `${plural(of.spool_files, "file")}, ${bytes(of.spool_bytes)}` : "empty"}
        </dd>
        {of.unindexed > 0 && (
          <>
            <dt>Not indexed yet</dt>
            <dd data-hint="They came in under full load. Searches find their words by reading them, which takes longer, until the engine has merged them.">
              {plural(of.unindexed, "text")}
            </dd>
          </>
        )}
        <dt>Engine</dt>
        <dd>{line(of.engine)}</dd>
        <dt>Version</dt>
        <dd>
          {of.version}, schema {of.schema}
        </dd>
      </dl>
      <h2 className="system-next">Tables</h2>
      {of.tables.map((table) => (
        <div key={table.name} className="system-size">
          <span className="mono cut">{table.name}</span>
          <span data-hint="Rows">{plural(table.rows, "row")}</span>
          <Bar share={table.bytes / most}>{bytes(table.bytes)}</Bar>
        </div>
      ))}
    </Part>
  );
}

/** How long it is kept, and what was taken out. */
function Keeping({ of }: { of: Stats | null }) {
  const retention = of?.retention;
  const removed = Object.entries(of?.removed ?? {}).flatMap(([signal, why]) =>
    Object.entries(why).map(([reason, number]) => ({ signal, reason, number })),
  );
  const days = (number: number) => (number ? plural(number, "day") : "for ever");
  const signals = [
    ["traces", retention?.traces_days],
    ["logs", retention?.logs_days],
    ["metrics", retention?.metrics_days],
  ] as const;
  return (
    <Part title="Retention">
      {retention ? (
        <dl className="facts">
          {signals.map(([signal, number]) => (
            <Kept key={signal} name={signal} days={days(number ?? 0)} oldest={retention.oldest[signal]} />
          ))}
          <dt>Size cap</dt>
          <dd data-hint="Above it the oldest days go first.">{retention.cap_bytes ? bytes(retention.cap_bytes) : "none"}</dd>
          <dt>Last looked at</dt>
          <dd>{retention.pruned_ns ? <When ns={retention.pruned_ns} /> : "not yet"}</dd>
        </dl>
      ) : (
        <p className="soft">
          Only <code>clew serve</code> drops what is old; <code>clew prune</code> does it by hand.
        </p>
      )}
      <h2 className="system-next">Removed</h2>
      {removed.length === 0 ? (
        <p className="soft">Nothing was taken out of the store.</p>
      ) : (
        removed.map(({ signal, reason, number }) => (
          <div key={`${signal} ${reason}`} className="system-size">
            <span className="cut">{reason}</span>
            <span>{signal}</span>
            <span>{count(number)}</span>
          </div>
        ))
      )}
    </Part>
  );
}

function Kept({ name, days, oldest }: { name: string; days: string; oldest: string | undefined }) {
  return (
    <>
      <dt>{name[0]!.toUpperCase() + name.slice(1)}</dt>
      <dd>
        {days}
        <span className="faint">{oldest ? `, oldest of ${oldest}` : ", none are there"}</span>
      </dd>
    </>
  );
}

/** What went wrong, each with what to do. */
function Faults({ of, store }: { of: Stats | null; store: Health }) {
  const dropping = store.losses.filter((loss) => total(loss.dropped) > 0);
  const sampled = store.losses.reduce((sum, loss) => sum + loss.sampled_out, 0);
  const noUsage = store.model_calls - store.calls_with_usage;
  return (
    <Part title="Faults">
      <dl className="facts">
        <dt>In quarantine</dt>
        <dd data-hint="Requests that the engine refused, set aside with its reason.">
          <Fault number={store.quarantined}>
            , <code>clew retry</code> tries again
          </Fault>
        </dd>
        <dt>Refused requests</dt>
        <dd data-hint="Answered with an error and not acknowledged: their senders have them.">
          <Fault number={total(of?.refused_requests ?? {})}>: {reasons(of?.refused_requests ?? {}).replace(/\n/g, ", ")}</Fault>
        </dd>
        <dt>Conflicts</dt>
        <dd data-hint="Spans that arrived again with other content.">
          <Fault number={store.conflicts} />
        </dd>
        <dt>Lost spans</dt>
        <dd data-hint="Their process ended before they did.">
          <Fault number={store.lost} />
        </dd>
        <dt>Sampled out</dt>
        <dd data-hint="Left out by recorders on purpose.">{count(sampled)}</dd>
        <dt>Dropped</dt>
        <dd data-hint="Records that recording processes could not write, by reason.">
          <Fault number={dropping.reduce((sum, loss) => sum + total(loss.dropped), 0)} />
        </dd>
        <dt>Calls, no usage</dt>
        <dd>
          <Figure unknown={noUsage > 0} hint="Model calls that recorded no usage: what they cost is not known.">
            {count(noUsage)} of {count(store.model_calls)}
          </Figure>
        </dd>
        <dt>Calls, no price</dt>
        <dd>
          <Figure unknown={store.unpriced_calls > 0} hint={`Prices: ${store.prices}.\nprices.toml in the data directory gives others.`}>
            {count(store.unpriced_calls)}
          </Figure>
        </dd>
      </dl>
      {dropping.length > 20 && <CutNote>The first 20 of {count(dropping.length)} processes that dropped records.</CutNote>}
      {dropping.slice(0, 20).map((loss) => (
        <div key={loss.process} className="system-size">
          <span className="cut">{line(loss.service) || line(loss.process)}</span>
          <span>{plural(total(loss.dropped), "record")}</span>
          <span className="cut">{reasons(loss.dropped).replace(/\n/g, ", ")}</span>
        </div>
      ))}
    </Part>
  );
}

function Fault({ number, children }: { number: number; children?: ReactNode }) {
  if (!number) return <span className="faint">none</span>;
  return (
    <span>
      <span className="error">✕ {count(number)}</span>
      {children}
    </span>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function total(by: Record<string, number>): number {
  return Object.values(by).reduce((sum, number) => sum + number, 0);
}

function reasons(by: Record<string, number>): string {
  return Object.entries(by)
    .map(([reason, number]) => `${count(number)} ${reason}`)
    .join("\n");
}
