import "./sessions.css";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { title, within } from "../../app/time";
import { useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { facetsIn, facetsOf, isThere } from "../../filter/queries";
import { term } from "../../filter/terms";
import { count, exact, line, plural, usd, utc } from "../../format";
import { Empty } from "../../parts/Empty";
import { Facets } from "../../parts/Facets";
import { Bar, Figure, Id, Lasted, Status, Tokens, TotalCost, When } from "../../parts/Figures";
import { SidePanel } from "../../parts/SidePanel";
import { type Column, Table } from "../../parts/Table";
import { runsOf, type Session, sessionsPage } from "./queries";

/** Runs that share a session: a conversation, a user's visit, one piece of work. */
export default function Sessions() {
  const [view, setView] = useView();
  const navigate = useNavigate();
  const filter = within(view.filter, view.time);
  const found = useInfiniteQuery(sessionsPage(filter));
  const pages = found.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.sessions) ?? [], [pages]);
  const columns = useMemo(() => columnsOf(rows), [rows]);
  const facets = useQuery({ ...facetsOf("sessions", filter), enabled: isThere(found) });
  const preview = view.preview ? rows.find((session) => session.session_id === view.preview) : undefined;
  const show = (session: Session | undefined) => setView({ preview: session?.session_id }, { replace: true });
  const open = (session: Session) => void navigate({ to: "/runs", search: runsOfSession(session) as never });
  const selected = useMemo(() => new Set(preview ? [preview.session_id] : []), [preview]);
  return (
    <main className="sessions">
      <header className="page-title">
        <h1>Sessions</h1>
        <p aria-live="polite">{pages && <Sentence rows={rows} more={found.hasNextPage} time={view.time} />}</p>
      </header>
      <FilterBar of="sessions" page="/sessions" error={found.error} placeholder="user:ada runs:>2 cost:>0.05" />
      <div className="columns">
        <Facets
          {...facetsIn(facets.data, found.error ?? facets.error)}
          filter={view.filter ?? ""}
          set={(filter) => setView({ filter: filter || undefined })}
          label="Facets of the sessions"
        />
        {found.error && rows.length === 0 ? (
          <div className="empty">
            <Trouble error={found.error} />
          </div>
        ) : (
          <Table
            label="Sessions"
            columns={columns}
            rows={rows}
            id={(session) => session.session_id}
            loading={found.isPending}
            more={found.hasNextPage && !found.isFetching ? () => void found.fetchNextPage() : undefined}
            open={open}
            preview={(session) => show(preview === session ? undefined : session)}
            onActive={preview ? show : undefined}
            selected={selected}
            empty={<Nothing filtered={Boolean(view.filter || view.time)} clear={() => setView({ filter: undefined, time: undefined })} />}
          />
        )}
        {preview && (
          <SidePanel
            title={line(preview.session_id)}
            close={() => show(undefined)}
            actions={
              <button type="button" className="button" onClick={() => open(preview)}>
                Its runs
              </button>
            }
          >
            <Preview session={preview} />
          </SidePanel>
        )}
      </div>
    </main>
  );
}

function runsOfSession(session: Session) {
  return { filter: term("session", session.session_id) };
}

function columnsOf(rows: Session[]): Column<Session>[] {
  const dearest = Math.max(...rows.map((session) => session.partial_cost_usd), 1e-9);
  const most = Math.max(...rows.map((session) => session.runs), 1);
  return [
    {
      title: "Session",
      width: "minmax(70px, 1.3fr)",
      cell: (session) => <strong title={line(session.session_id)}>{line(session.session_id)}</strong>,
    },
    { title: "User", width: "minmax(56px, 0.8fr)", cell: (session) => line(session.user_id), wide: true },
    { title: "Last run", width: "78px", cell: (session) => <When ns={session.last_ns} /> },
    {
      title: "Runs",
      width: "40px",
      align: "right",
      cell: (session) => <Bar share={session.runs / most}>{count(session.runs)}</Bar>,
    },
    {
      title: "Failed",
      width: "42px",
      align: "right",
      cell: (session) =>
        session.failed_runs ? <span className="error">✕ {count(session.failed_runs)}</span> : <span className="faint">0</span>,
      hint: "Runs whose root span failed.",
    },
    { title: "Agents", width: "minmax(60px, 1fr)", cell: (session) => line(session.agents.join(", ")), wide: true },
    { title: "Models", width: "minmax(60px, 1fr)", cell: (session) => line(session.models.join(", ")), wide: true },
    { title: "Spans", width: "56px", align: "right", cell: (session) => count(session.spans), wide: true },
    {
      title: "Tokens",
      width: "62px",
      align: "right",
      cell: (session) => <Tokens input={session.input_tokens} output={session.output_tokens} calls={session.model_calls} />,
      wide: true,
    },
    {
      title: "Cost",
      width: "64px",
      align: "right",
      cell: (session) => (
        <Bar share={session.partial_cost_usd / dearest}>
          <Cost of={session} />
        </Bar>
      ),
    },
  ];
}

function Cost({ of }: { of: Session }) {
  if (of.model_calls === 0) return null;
  const known = of.cost_usd !== null;
  return (
    <Figure
      unknown={!known}
      hint={
        known
          ? `Cost of ${plural(of.model_calls, "model call")}: reported by the provider, else tokens × list price.`
          : "At least this: some calls have no price, or recorded no usage. Its runs say which."
      }
    >
      {known ? usd(of.cost_usd) : of.partial_cost_usd > 0 ? `≥ ${usd(of.partial_cost_usd)}` : usd(null)}
    </Figure>
  );
}

function Sentence({ rows, more, time }: { rows: Session[]; more: boolean; time: string | undefined }) {
  if (rows.length === 0) return <>No session matches.</>;
  const runs = rows.reduce((sum, session) => sum + session.runs, 0);
  const failing = rows.filter((session) => session.failed_runs > 0).length;
  const dearest = rows.reduce((most, session) => (session.partial_cost_usd > most.partial_cost_usd ? session : most));
  return (
    <>
      {more ? "The newest " : ""}
      {plural(rows.length, "session")}
      {time ? ` in ${title(time)}` : ""} with {plural(runs, "run")}; {failing ? `${count(failing)} had a run that failed` : "no run failed"}
      {dearest.partial_cost_usd > 0 && (
        <>
          ; <em>{line(dearest.session_id, 60)}</em> cost most, <Cost of={dearest} />
        </>
      )}
      .
    </>
  );
}

function Preview({ session }: { session: Session }) {
  const runs = useQuery(runsOf(runsOfSession(session).filter));
  return (
    <>
      <dl className="facts">
        <dt>User</dt>
        <dd>{line(session.user_id) || "–"}</dd>
        <dt>First run</dt>
        <dd data-hint={utc(session.first_ns)}>{exact(session.first_ns)}</dd>
        <dt>Last run</dt>
        <dd data-hint={utc(session.last_ns)}>{exact(session.last_ns)}</dd>
        <dt>Spans</dt>
        <dd>
          {count(session.spans)}
          {session.errors > 0 && <span className="error"> ({count(session.errors)} failed)</span>}
        </dd>
        <dt>Model calls</dt>
        <dd>{count(session.model_calls)}</dd>
        <dt>Tokens</dt>
        <dd>
          <Tokens input={session.input_tokens} output={session.output_tokens} calls={session.model_calls} />
        </dd>
        <dt>Cost</dt>
        <dd>
          <Cost of={session} />
        </dd>
        <dt>Agents</dt>
        <dd>{line(session.agents.join(", ")) || "–"}</dd>
        <dt>Models</dt>
        <dd>{line(session.models.join(", ")) || "–"}</dd>
      </dl>
      <h3>Runs, newest first</h3>
      {runs.error && <Trouble error={runs.error} />}
      {runs.data?.runs.map((run) => (
        <div key={run.run_id} className="session-run">
          <Status of={run} />
          <Link to={`/runs/${run.run_id}`} className="cut">
            {line(run.name) || <Id id={run.run_id} of="run" />}
          </Link>
          <Lasted ns={run.duration_ns} state={run.state} />
          <TotalCost of={run} />
        </div>
      ))}
      {runs.data?.more && <p className="faint">Only the newest {runs.data.runs.length} are here.</p>}
    </>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered)
    return (
      <Empty
        title="No session matches"
        action={
          <button type="button" className="button" onClick={clear}>
            Show all sessions
          </button>
        }
      >
        The filter or the time range leaves none.
      </Empty>
    );
  return (
    <Empty title="No run names a session" command={'with clew.workflow("answer", session="chat-42", user="ada"):'}>
      A session joins runs that belong together, such as a conversation. Say which it is where a run begins (in OpenTelemetry: the attribute{" "}
      <code>session.id</code>):
    </Empty>
  );
}
