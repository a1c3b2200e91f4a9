import "./run.css";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { headers } from "../../api/client";
import { useLive, useRefresh } from "../../api/live";
import { Trouble } from "../../app/Broken";
import { useKeys } from "../../app/keys";
import { useShared, useView } from "../../app/view";
import { count, duration, headline, line, percent, plural } from "../../format";
import { CutNote } from "../../parts/Empty";
import { announce, copy, HUES, Id, outcome, Tokens, TotalCost, When } from "../../parts/Figures";
import { amount, limitsOf, nameOf, tone, unit } from "../../parts/Gauge";
import { Tabs } from "../../parts/Tabs";
import { Decisions } from "./Decisions";
import { Graph } from "./Graph";
import { Logs } from "./Logs";
import { Minimap } from "./Minimap";
import { budgetsOf, FIRST, structureOf } from "./queries";
import { SpanPanel } from "./SpanPanel";
import { Timeline } from "./Timeline";
import { Transcript } from "./Transcript";
import { Tree } from "./Tree";
import { mixOf } from "./mix";
import { firstFailures, index, type Trace } from "./trace";
import { Waterfall } from "./Waterfall";
import * as zooming from "./zoom";

const TABS = [
  { id: "waterfall", title: "Waterfall" },
  { id: "tree", title: "Tree" },
  { id: "timeline", title: "Timeline" },
  { id: "transcript", title: "Transcript" },
  { id: "decisions", title: "Decisions" },
  { id: "graph", title: "Graph" },
  { id: "logs", title: "Logs" },
];

export default function Run() {
  const { runId } = useParams({ strict: false }) as { runId: string };
  const beginning = useQuery(structureOf(runId, FIRST));
  const isLarge = beginning.data?.more === true;
  const whole = useQuery({ ...structureOf(runId), enabled: isLarge });
  const found = whole.data ? whole : beginning;
  const now = useClock(found.data?.run.state === "running");
  const trace = useMemo(() => found.data && index(found.data, now), [found.data, now]);
  if (found.error && !trace) {
    return (
      <main className="notice">
        <Trouble error={found.error} />
        <p>
          <Link to="/runs">All runs</Link>
        </p>
      </main>
    );
  }
  if (!trace)
    return (
      <main className="run-loading" aria-busy="true" aria-label="Loading the run">
        {Array.from({ length: 14 }, (_, row) => (
          <div key={row} className="skeleton" style={{ width: `${30 + ((row * 17) % 60)}%`, marginLeft: `${(row * 5) % 20}%` }} />
        ))}
      </main>
    );
  return <Shown trace={trace} isComing={isLarge && whole.isPending} trouble={whole.error} />;
}

/** `trouble` is why not all of a large run is here. */
function Shown({ trace, isComing, trouble }: { trace: Trace; isComing: boolean; trouble: Error | null }) {
  const [view, setView] = useView();
  const shared = useShared();
  const { run } = trace.of;
  const tab = TABS.some((one) => one.id === view.tab) ? view.tab! : "waterfall";
  const selected = view.span ? (trace.index.get(view.span) ?? prefixed(trace, view.span)) : -1;
  const select = (at: number) => setView({ span: trace.columns.span_id[at] }, { replace: view.span !== undefined });
  const [zoom, setZoomState] = useState(() => zooming.read(view.zoom, trace.length));
  useEffect(() => setZoomState(zooming.read(view.zoom, trace.length)), [view.zoom, trace.length]);
  const setZoom = (next: zooming.Zoom, done: boolean) => {
    setZoomState(next);
    if (done) setView({ zoom: zooming.write(next, trace.length) }, { replace: true });
  };
  const critical = view.critical !== "off";
  useRunning(run.run_id, run.state === "running");
  useKeys("Run", [
    { key: "p", does: "Critical path, on and off", run: () => setView({ critical: critical ? "off" : undefined }, { replace: true }) },
    { key: "b", does: "Download the run as a bundle", run: () => void download(run.run_id) },
  ]);
  const failures = useMemo(() => firstFailures(trace), [trace]);
  const withMap = tab === "waterfall" || tab === "timeline";
  return (
    <main>
      <header className="run-head">
        <div className="run-title">
          <Link to="/runs" search={shared as never} className="faint">
            Runs
          </Link>
          <h1 className="cut">{line(run.name, 200) || "(no name)"}</h1>
          <Id id={run.run_id} of="run" />
          <span className="run-actions">
            <button type="button" className="button" onClick={() => void copy(`curl '${location.origin}/api/v1/runs/${run.run_id}'`)}>
              curl
            </button>
            <button type="button" className="button" onClick={() => void copy(JSON.stringify(trace.of, null, 1))}>
              JSON
            </button>
            <button
              type="button"
              className="button"
              data-hint="The run as one file, which clew import takes in elsewhere"
              onClick={() => void download(run.run_id)}
            >
              Bundle
            </button>
          </span>
        </div>
        <p className="run-sentence" aria-live="polite">
          <Sentence trace={trace} failures={failures} select={select} />
        </p>
        <dl className="run-figures">
          <div>
            <dt>started</dt>
            <dd>
              <When ns={run.start_ns} />
            </dd>
          </div>
          <div>
            <dt>spans</dt>
            <dd>
              {count(run.spans)}
              {isComing && (
                <span className="run-coming faint" role="status">
                  {" "}
                  (the first {count(trace.size)} are here)
                </span>
              )}
            </dd>
          </div>
          <div>
            <dt>model calls</dt>
            <dd>{count(run.model_calls)}</dd>
          </div>
          <div>
            <dt>tokens</dt>
            <dd>
              <Tokens input={run.input_tokens} output={run.output_tokens} calls={run.model_calls} withUsage={run.calls_with_usage} />
            </dd>
          </div>
          <div>
            <dt>cost</dt>
            <dd>
              <TotalCost of={run} />
            </dd>
          </div>
          <div>
            <dt>models</dt>
            <dd className="cut">
              <Models trace={trace} />
            </dd>
          </div>
          <Budgets trace={trace} />
          {run.session_id && (
            <div>
              <dt>session</dt>
              <dd className="cut">
                <Link to="/runs" search={{ filter: `session:"${run.session_id.replace(/["\\]/g, "\\$&")}"` } as never}>
                  {line(run.session_id, 40)}
                </Link>
              </dd>
            </div>
          )}
        </dl>
      </header>
      {trace.of.more && !isComing && (
        <CutNote>
          Only the first {count(trace.size)} spans of {count(run.spans)} are shown{trouble && `: ${trouble.message}`}.
        </CutNote>
      )}
      {trace.of.orphans > 0 && (
        <CutNote>{plural(trace.of.orphans, "span")} name a parent that has not arrived; they stand under the first root.</CutNote>
      )}
      <Tabs label="Views of the run" tabs={TABS} at={tab} set={(id) => setView({ tab: id === "waterfall" ? undefined : id })} />
      {withMap && <Minimap trace={trace} zoom={zoom} setZoom={setZoom} />}
      <div className="columns" role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`}>
        <div className="run-view">
          {tab === "waterfall" && (
            <>
              <Waterfall trace={trace} zoom={zoom} setZoom={setZoom} selected={selected} select={select} critical={critical} />
              <Legend
                trace={trace}
                critical={critical}
                toggle={() => setView({ critical: critical ? "off" : undefined }, { replace: true })}
              />
            </>
          )}
          {tab === "tree" && <Tree trace={trace} selected={selected} select={select} />}
          {tab === "timeline" && <Timeline trace={trace} zoom={zoom} setZoom={setZoom} selected={selected} select={select} />}
          {tab === "transcript" && <Transcript trace={trace} selected={selected} select={select} />}
          {tab === "decisions" && <Decisions trace={trace} selected={selected} select={select} />}
          {tab === "graph" && <Graph trace={trace} selected={selected} select={select} />}
          {tab === "logs" && <Logs trace={trace} select={select} />}
        </div>
        {selected >= 0 && (
          <SpanPanel key={selected} trace={trace} at={selected} select={select} close={() => setView({ span: undefined })} />
        )}
      </div>
    </main>
  );
}

/** The models by their share of the tokens. */
function Models({ trace }: { trace: Trace }) {
  const shares = useMemo(() => mixOf(trace), [trace]);
  const { models } = trace.of.run;
  if (models.length < 2) return <>{line(models[0] ?? "", 60) || "–"}</>;
  const hint = shares.map((one) => `${line(one.model, 80)}: ${plural(one.calls, "call")}, ${count(one.tokens)} tokens`).join("\n");
  const all = shares.reduce((sum, one) => sum + one.tokens, 0);
  return (
    <span data-hint={hint}>
      {shares
        .slice(0, 3)
        .map((one) => `${line(one.model, 40)}${all ? ` ${percent(one.tokens / all)}` : ""}`)
        .join(", ")}
      {shares.length > 3 && ` and ${count(shares.length - 3)} more`}
    </span>
  );
}

/** Budgets with an account of their own for this run, its session or one of its agents, the fullest first. */
function Budgets({ trace }: { trace: Trace }) {
  const { run } = trace.of;
  const found = useQuery(budgetsOf(run.run_id, run.state === "running"));
  const keys: Record<string, string[]> = { run: [run.run_id], session: [run.session_id], agent: run.agents };
  const limits = (found.data?.budgets ?? [])
    .filter((of) => of.key !== "" && keys[of.per ?? ""]?.includes(of.key))
    .flatMap(limitsOf)
    .sort((a, b) => b.share - a.share);
  if (limits.length === 0) return null;
  return (
    <div>
      <dt>budget</dt>
      <dd>
        {limits.slice(0, 2).map((row, number) => (
          <span key={row.id}>
            {number > 0 && ", "}
            <Link
              to="/budgets"
              data-hint={`${nameOf(row.of)}\n${amount(row.measure, row.spent)} of ${amount(row.measure, row.limit)}${unit(row.measure)} spent`}
            >
              <span className={tone(row) === "over" ? "error" : undefined}>{percent(row.share)}</span> of {line(row.of.name, 30)}
            </Link>
          </span>
        ))}
      </dd>
    </div>
  );
}

function Sentence({ trace, failures, select }: { trace: Trace; failures: number[]; select: (at: number) => void }) {
  const { run } = trace.of;
  const said = outcome(run);
  const lasted = duration(run.duration_ns ?? (said === "running" ? trace.length : null));
  const begin = {
    ok: <>Ended well after {lasted}</>,
    error: (
      <>
        <strong className="error">Failed</strong> after {lasted}
      </>
    ),
    running: (
      <>
        <strong className="status-running">Running</strong> for {lasted}
      </>
    ),
    lost: (
      <>
        <strong className="warning">Lost</strong>: its process ended before it did
      </>
    ),
  }[said];
  const open = said === "running" ? lastOpen(trace) : -1;
  const first = failures[0];
  return (
    <>
      {begin}
      {open >= 0 && (
        <>
          , now in{" "}
          <button type="button" className="link" onClick={() => select(open)}>
            {line(trace.columns.name[open]!, 60)}
          </button>
        </>
      )}
      {first !== undefined ? (
        <>
          ; {plural(run.errors, "span")} failed, first{" "}
          <button type="button" className="link" onClick={() => select(first)}>
            {line(trace.columns.name[first]!, 60)}
          </button>
          {trace.columns.status_message[first] && <span className="soft">: {headline(trace.columns.status_message[first]!)}</span>}
        </>
      ) : (
        "."
      )}
    </>
  );
}

/** The innermost span that goes on. */
function lastOpen(trace: Trace): number {
  for (let at = trace.size - 1; at >= 0; at--) if (trace.columns.state[at] === "running") return at;
  return -1;
}

function Legend({ trace, critical, toggle }: { trace: Trace; critical: boolean; toggle: () => void }) {
  const kinds = useMemo(() => [...new Set(trace.columns.kind)], [trace]);
  return (
    <div className="legend">
      {kinds.map((kind) => (
        <span key={kind} className="kind">
          <span className={`swatch swatch-${HUES[kind] ?? "structure"}`} aria-hidden="true" />
          {kind}
        </span>
      ))}
      <button type="button" aria-pressed={critical} onClick={toggle} className="kind">
        <span className={`critical-mark ${critical ? "" : "off"}`} aria-hidden="true" />
        critical path <kbd>p</kbd>
      </button>
      <span className="faint wide-only">
        <kbd>w</kbd> <kbd>s</kbd> zoom <kbd>a</kbd> <kbd>d</kbd> pan <kbd>e</kbd> next failure
      </span>
    </div>
  );
}

function prefixed(trace: Trace, id: string): number {
  return id.length >= 4 ? trace.columns.span_id.findIndex((one) => one.startsWith(id)) : -1;
}

/** The time of the machine, in nanoseconds, four times a second while something runs. */
function useClock(on: boolean): number | undefined {
  const [now, setNow] = useState<number>();
  useEffect(() => {
    if (!on) return setNow(undefined);
    setNow(Date.now() * 1e6);
    const timer = setInterval(() => setNow(Date.now() * 1e6), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}

/** Asks for the run again when something of it was stored. */
function useRunning(runId: string, on: boolean): void {
  const refresh = useRefresh(["run", runId]);
  useLive(`run:${runId}`, { spans: refresh }, { on, back: refresh });
}

async function download(runId: string): Promise<void> {
  const response = await fetch(`/api/v1/runs/${runId}/bundle`, { headers: headers() });
  if (!response.ok) return announce("The run could not be read");
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? `${runId}.clew`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
