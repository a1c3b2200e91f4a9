import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { title, within } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { facetsIn, facetsOf, isThere } from "../../filter/queries";
import { count, exact, line, plural, utc } from "../../format";
import { Empty } from "../../parts/Empty";
import { Facets } from "../../parts/Facets";
import { announce, Id, When } from "../../parts/Figures";
import { SidePanel } from "../../parts/SidePanel";
import { type Column, Table } from "../../parts/Table";
import { Excerpt, Passage } from "./Marked";
import { type LogRecord, logsPage } from "./queries";
import { wordsOf } from "./words";

/** A record and its place in the list: records have no id of their own. */
type Row = { at: number; log: LogRecord };

/** Log records that match, newest first. */
export function Logs({ tabs }: { tabs: ReactNode }) {
  const [view, setView] = useView();
  const shared = useShared();
  const navigate = useNavigate();
  const filter = within(view.filter, view.time);
  const found = useInfiniteQuery(logsPage(filter));
  const words = useMemo(() => wordsOf(view.filter ?? ""), [view.filter]);
  const pages = found.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.logs).map((log, at): Row => ({ at, log })) ?? [], [pages]);
  const columns = useMemo(() => columnsOf(words), [words]);
  const facets = useQuery({ ...facetsOf("logs", filter), enabled: isThere(found) });
  const preview = view.preview ? rows[Number(view.preview)] : undefined;
  const show = (row: Row | undefined) => setView({ preview: row && String(row.at) }, { replace: true });
  const searchOf = (log: LogRecord) => ({ time: shared.time, span: log.span_id || undefined, tab: "logs" }) as never;
  const open = (row: Row) => {
    if (row.log.run_id) void navigate({ to: `/runs/${row.log.run_id}`, search: searchOf(row.log) });
    else {
      show(row);
      announce("It belongs to no run");
    }
  };
  const selected = useMemo(() => new Set(preview ? [String(preview.at)] : []), [preview]);
  return (
    <>
      <header className="page-title">
        <h1>Search</h1>
        <p aria-live="polite">{pages && <Sentence rows={rows} more={found.hasNextPage} time={view.time} />}</p>
      </header>
      <FilterBar of="logs" page="/search" error={found.error} placeholder="level:error service:api, or any words" />
      {tabs}
      <div className="columns" role="tabpanel" id="tab-panel" aria-labelledby="tab-logs">
        <Facets
          {...facetsIn(facets.data, found.error ?? facets.error)}
          filter={view.filter ?? ""}
          set={(next) => setView({ filter: next || undefined })}
          label="Facets of the log records"
        />
        {found.error && rows.length === 0 ? (
          <div className="empty">
            <Trouble error={found.error} />
          </div>
        ) : (
          <Table
            label="Log records"
            columns={columns}
            rows={rows}
            id={(row) => String(row.at)}
            loading={found.isPending}
            more={found.hasNextPage && !found.isFetching ? () => void found.fetchNextPage() : undefined}
            open={open}
            preview={(row) => show(preview === row ? undefined : row)}
            onActive={preview ? show : undefined}
            selected={selected}
            foot={found.hasNextPage && <span>The newest {count(rows.length)}; more come as you scroll.</span>}
            empty={<Nothing filtered={Boolean(view.filter || view.time)} clear={() => setView({ filter: undefined, time: undefined })} />}
          />
        )}
        {preview && (
          <SidePanel
            title={`${preview.log.level}, ${exact(preview.log.time_ns)}`}
            close={() => show(undefined)}
            actions={
              preview.log.run_id && (
                <Link to={`/runs/${preview.log.run_id}`} search={searchOf(preview.log)} className="button">
                  Open
                </Link>
              )
            }
          >
            <Preview log={preview.log} words={words} />
          </SidePanel>
        )}
      </div>
    </>
  );
}

function Level({ of }: { of: LogRecord }) {
  const failed = /error|fatal/.test(of.level);
  return <span className={failed ? "status-error" : of.level === "warn" ? "warning" : "faint"}>{failed ? `✕ ${of.level}` : of.level}</span>;
}

function columnsOf(words: string[]): Column<Row>[] {
  return [
    { title: "Level", width: "60px", cell: ({ log }) => <Level of={log} /> },
    { title: "Time", width: "92px", cell: ({ log }) => <When ns={log.time_ns} /> },
    { title: "Program", width: "minmax(60px, 0.7fr)", cell: ({ log }) => line(log.service), wide: true },
    { title: "Text", width: "minmax(120px, 4fr)", cell: ({ log }) => <Excerpt text={log.body || log.event_name} words={words} /> },
    {
      title: "Run",
      width: "66px",
      cell: ({ log }) => (log.run_id ? <Id id={log.run_id} of="run" /> : <span className="faint">none</span>),
      wide: true,
    },
  ];
}

function Sentence({ rows, more, time }: { rows: Row[]; more: boolean; time: string | undefined }) {
  if (rows.length === 0) return <>No log record matches.</>;
  const failed = rows.filter(({ log }) => /error|fatal/.test(log.level)).length;
  const warned = rows.filter(({ log }) => log.level === "warn").length;
  const runs = new Set(rows.map(({ log }) => log.run_id).filter(Boolean)).size;
  return (
    <>
      {more ? "The newest " : ""}
      {plural(rows.length, "log record")}
      {time ? ` in ${title(time)}` : ""}: {failed ? <span className="error">{plural(failed, "error")}</span> : "no error"},{" "}
      {plural(warned, "warning")}, from {plural(runs, "run")}.
    </>
  );
}

function Preview({ log, words }: { log: LogRecord; words: string[] }) {
  const attributes = Object.entries(log.attributes);
  return (
    <>
      <dl className="facts">
        <dt>Time</dt>
        <dd data-hint={utc(log.time_ns)}>{exact(log.time_ns)}</dd>
        <dt>Severity</dt>
        <dd>
          {line(log.severity_text) || log.level} ({log.severity_number})
        </dd>
        {log.event_name && (
          <>
            <dt>Event</dt>
            <dd>{line(log.event_name)}</dd>
          </>
        )}
        <dt>Program</dt>
        <dd>{line(log.service) || "–"}</dd>
        <dt>Scope</dt>
        <dd>{line(log.scope_name) || "–"}</dd>
        <dt>Run</dt>
        <dd>{log.run_id ? <Id id={log.run_id} of="run" /> : "none: it was written outside any span"}</dd>
      </dl>
      <Passage text={log.body} words={words} />
      {attributes.length > 0 && <h3>Attributes</h3>}
      <dl className="facts">
        {attributes.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt className="cut" title={line(name)}>
              {line(name)}
            </dt>
            <dd>{line(value, 2000)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered)
    return (
      <Empty
        title="No log record matches"
        action={
          <button type="button" className="button" onClick={clear}>
            Show all log records
          </button>
        }
      >
        Words are searched in the text of the records.
      </Empty>
    );
  return (
    <Empty
      title="No program has sent logs"
      command={`OTEL_EXPORTER_OTLP_ENDPOINT=${location.origin} opentelemetry-instrument python app.py`}
    >
      Any OpenTelemetry log handler sends them here, with the span that was open:
    </Empty>
  );
}
