import "./now.css";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import type { Schemas } from "../../api/client";
import { useLive, useRefresh } from "../../api/live";
import { Trouble } from "../../app/Broken";
import { ago, count, duration, line, percent, plural, short, usd } from "../../format";
import { Chart } from "../../parts/Chart";
import { CutNote, Empty } from "../../parts/Empty";
import { amount, Gauge, type Limit, limitsOf, nameOf, tone, unit } from "../../parts/Gauge";
import { Id, Kind, Status, Tokens, TotalCost, When } from "../../parts/Figures";
import { AgentLanes, type Axis } from "./Threads";
import { budgets, failedLately, lastHour, newest, openSpans, runsIn, tasksByState } from "./queries";

type Run = Schemas["Run"];
type Hit = Schemas["Hit"];
type Figures = Schemas["Figures"];

const MINUTE_NS = 60e9;

/** What runs, what it does and what it costs, live. */
export default function Now() {
  const running = useQuery(runsIn("running"));
  const lost = useQuery(runsIn("lost", "since:1d"));
  const failed = useQuery(failedLately);
  const open = useQuery(openSpans);
  const hour = useQuery({ ...lastHour, refetchInterval: 30_000 });
  const last = useQuery(newest);
  const spending = useQuery(budgets);
  const queue = useQuery(tasksByState);
  const limits = useMemo(() => (spending.data?.budgets ?? []).flatMap(limitsOf).sort((a, b) => b.share - a.share), [spending.data]);
  const tasks = useMemo(() => (open.data?.hits ?? []).filter((hit) => hit.kind === "task"), [open.data]);
  const refresh = useRefresh(["now"]);
  const live = useLive("", { spans: refresh }, { back: refresh });
  const runs = useMemo(() => running.data?.runs ?? [], [running.data]);
  const now = useSecond(runs.length > 0);
  const axis = { from: Math.min(...runs.map((run) => run.start_ns), now - 1e9), to: now };
  const withLanes = useMemo(
    () =>
      new Set(
        runs
          .filter((run) => run.spans <= MOST_SPANS)
          .map((run) => run.run_id)
          .slice(0, MOST_WITH_LANES),
      ),
    [runs],
  );
  const inside = useMemo(() => group(open.data?.hits ?? []), [open.data]);
  const minutes = useMemo(() => series(hour.data?.rows ?? []), [hour.data]);
  const error = running.error ?? hour.error;
  return (
    <main className="now">
      <header className="page-title">
        <h1>Now</h1>
        <span className={`live live-${live}`}>{live === "live" ? "live" : live}</span>
      </header>
      <p className="now-sentence" aria-live="polite">
        {running.data && hour.data && (
          <Sentence runs={runs} more={running.data.more} failed={failed.data?.runs ?? []} rows={hour.data.rows} limit={limits[0]} />
        )}
      </p>
      {error && <Trouble error={error} />}
      <section aria-labelledby="now-running">
        <h2 id="now-running">Running {runs.length > 0 && <span className="faint">{count(runs.length)}</span>}</h2>
        {running.data?.more && <CutNote>Only the newest {count(runs.length)} are shown.</CutNote>}
        {running.data && runs.length === 0 && (last.data?.runs.length ? <p className="soft">Nothing runs at the moment.</p> : <First />)}
        <ul className="threads">
          {runs.map((run) => (
            <Thread key={run.run_id} run={run} spans={inside.get(run.run_id) ?? []} axis={axis} hasLanes={withLanes.has(run.run_id)} />
          ))}
        </ul>
      </section>
      {limits.length > 0 && (
        <section aria-labelledby="now-budgets">
          <h2 id="now-budgets">
            <Link to="/budgets">Budgets</Link> <span className="faint">fullest first</span>
          </h2>
          <ul className="now-budgets">
            {limits.slice(0, MOST_LIMITS).map((row) => (
              <BudgetRow key={row.id} row={row} />
            ))}
          </ul>
          {limits.length > MOST_LIMITS && (
            <p className="faint">
              {count(limits.length - MOST_LIMITS)} more on <Link to="/budgets">Budgets</Link>.
            </p>
          )}
        </section>
      )}
      {(tasks.length > 0 || Boolean(queue.data?.length)) && (
        <section aria-labelledby="now-tasks">
          <h2 id="now-tasks">Tasks</h2>
          <ul className="now-tasks">
            {queue.data?.map(({ state, tasks: number }) => (
              <li key={state} data-hint="As the orchestrators said last: the metric tasks_by_state.">
                <strong>{count(number)}</strong> {line(state, 40) || "(no state)"}
              </li>
            ))}
            {tasks.slice(0, MOST_TASKS).map((task) => (
              <li key={task.run_id + task.span_id}>
                <Link to={`/runs/${task.run_id}`} search={{ span: task.span_id } as never}>
                  <Kind kind="task" /> {line(task.name, 40)} <span className="faint">{duration(Math.max(now - task.start_ns, 0))}</span>
                </Link>
              </li>
            ))}
            {tasks.length > MOST_TASKS && <li className="faint">and {count(tasks.length - MOST_TASKS)} more under way</li>}
          </ul>
        </section>
      )}
      <section aria-labelledby="now-hour" className="now-charts">
        <h2 id="now-hour">The last hour, by minute</h2>
        <figure>
          <figcaption>
            Spend{" "}
            <span className="faint">
              {usd(sum(minutes.cost))} in all
              {minutes.unknown > 0 && `, ${plural(minutes.unknown, "minute")} with calls whose cost is not known`}
            </span>
          </figcaption>
          <Chart
            label={`Spend per minute in the last hour, ${usd(sum(minutes.cost))} in all`}
            times={minutes.times}
            lines={[{ label: "spend", values: minutes.cost, token: "--accent" }]}
            format={usd}
          />
        </figure>
        <figure>
          <figcaption>
            Tokens <span className="faint">{short(sum(minutes.tokens))} in all</span>
          </figcaption>
          <Chart
            label={`Tokens per minute in the last hour, ${short(sum(minutes.tokens))} in all`}
            times={minutes.times}
            lines={[{ label: "tokens", values: minutes.tokens, token: "--kind-llm" }]}
            format={short}
          />
        </figure>
        <figure>
          <figcaption>
            Spans that failed <span className="faint">{count(sum(minutes.errors))} in all</span>
          </figcaption>
          <Chart
            label={`Failed spans per minute in the last hour, ${count(sum(minutes.errors))} in all`}
            times={minutes.times}
            lines={[{ label: "failed", values: minutes.errors, token: "--error" }]}
            format={short}
          />
        </figure>
      </section>
      <div className="now-lists">
        <List title="Failed in the last hour" runs={failed.data?.runs} none="None." filter="status:error" time="1h" />
        <List
          title="Lost in the last day"
          runs={lost.data?.runs}
          none="None: every process that began a run ended it."
          filter="state:lost"
          time="1d"
        />
        <List title="Newest" runs={last.data?.runs} none="None yet." filter="" time="" />
      </div>
    </main>
  );
}

type Said = { runs: Run[]; more: boolean; failed: Run[]; rows: Figures[]; limit: Limit | undefined };

function Sentence({ runs, more, failed, rows, limit }: Said) {
  const failing = runs.filter((run) => run.errors > 0);
  const spent = rows.reduce((total, row) => total + row.partial_cost_usd, 0);
  const unknown = rows.some((row) => row.model_calls > 0 && row.cost_usd === null);
  const worst = failing[0];
  return (
    <>
      <strong>
        {runs.length ? `${count(runs.length)}${more ? "+" : ""} ${runs.length === 1 ? "run" : "runs"} active` : "Nothing runs"}
      </strong>
      {worst && (
        <>
          , {count(failing.length)} with failures:{" "}
          <Link to={`/runs/${worst.run_id}`}>
            <em>{line(worst.name, 60)}</em>
          </Link>
          , {plural(worst.errors, "span")} failed{worst.error && `, first: ${line(worst.error, 100)}`}
        </>
      )}
      ; in the last hour{" "}
      {failed.length ? (
        <Link to="/runs" search={{ filter: "status:error", time: "1h" } as never}>
          {failed.length >= 10 ? "10 or more" : count(failed.length)} failed
        </Link>
      ) : (
        "none failed"
      )}{" "}
      and{" "}
      <span
        className={unknown ? "unknown" : undefined}
        data-hint={unknown ? "Some calls have no price or recorded no usage." : "All model calls of the last hour."}
      >
        {unknown && "≥ "}
        {usd(spent)}
      </span>{" "}
      was spent
      {limit && limit.spent > 0 && (
        <>
          ;{" "}
          <Link to="/budgets" className={limit.share >= 1 ? "error" : undefined}>
            {percent(limit.share)}
          </Link>{" "}
          of {/^(hour|day|week|month)$/.test(limit.of.window ?? "") ? `the ${limit.of.window}’s` : "the"} budget <em>{nameOf(limit.of)}</em>{" "}
          is spent
        </>
      )}
      .
    </>
  );
}

/** Running runs whose agents are drawn, the newest, and spans of each that are read for it. */
const MOST_WITH_LANES = 6;
const MOST_SPANS = 20_000;

const MOST_LIMITS = 6;
const MOST_TASKS = 12;

/** A limit: what is spent of it, and what will be by its end. */
function BudgetRow({ row }: { row: Limit }) {
  const projected = row.of.projected[row.measure] ?? null;
  return (
    <li>
      <span className="cut">{nameOf(row.of)}</span>
      <Gauge row={row} />
      <span className={`thread-figure ${tone(row) === "over" ? "error" : ""}`}>{percent(row.share)}</span>
      <span className="cut soft">
        {amount(row.measure, row.spent)} of {amount(row.measure, row.limit)}
        {unit(row.measure)}
        {projected !== null && (
          <span className={projected > row.limit ? "warning" : undefined}>, {amount(row.measure, projected)} by its end</span>
        )}
        {row.of.exhausted_at && row.share < 1 && <span className="warning">, spent up {ago(row.of.exhausted_at * 1e9)}</span>}
      </span>
    </li>
  );
}

/** One running run as a thread on a common axis of time, with what it does now. */
function Thread({ run, spans, axis, hasLanes }: { run: Run; spans: Hit[]; axis: Axis; hasLanes: boolean }) {
  const now = axis.to;
  const share = (ns: number) => (100 * ns) / (axis.to - axis.from);
  const inner = spans.filter((span) => span.kind !== "workflow").slice(0, 6);
  const lasted = Math.max(now - run.start_ns, 0);
  return (
    <li className="thread">
      <Link to={`/runs/${run.run_id}`} className="thread-name cut">
        <strong>{line(run.name, 80) || "(no name)"}</strong>
      </Link>
      <Id id={run.run_id} of="run" />
      <span className="thread-bar" data-hint={`${plural(run.spans, "span")}, ${run.errors} failed`}>
        <span
          className={run.errors ? "thread-fill failing" : "thread-fill"}
          style={{ marginLeft: `${Math.min(share(run.start_ns - axis.from), 98)}%`, width: `${Math.max(2, share(lasted))}%` }}
        />
      </span>
      <span className="thread-figure">{duration(lasted)}</span>
      <span className="thread-figure">
        <Tokens input={run.input_tokens} output={run.output_tokens} calls={run.model_calls} withUsage={run.calls_with_usage} />
        {run.input_tokens !== null && lasted > 0 && (
          <span className="faint">
            {" "}
            {short(Math.round((((run.input_tokens ?? 0) + (run.output_tokens ?? 0)) / Math.max(lasted, 1e9)) * MINUTE_NS))}/min
          </span>
        )}
      </span>
      <span className="thread-figure">
        <TotalCost of={run} />
      </span>
      {hasLanes && <AgentLanes runId={run.run_id} startNs={run.start_ns} axis={axis} />}
      <span className="thread-now">
        {inner.length === 0 && <span className="faint">no span is open</span>}
        {inner.map((span) => (
          <Link key={span.span_id} to={`/runs/${run.run_id}`} search={{ span: span.span_id } as never}>
            <Kind kind={span.kind} /> {span.agent && span.agent !== span.name && <span className="faint">{line(span.agent, 30)}</span>}{" "}
            {line(span.name, 40)} <span className="faint">{duration(Math.max(now - span.start_ns, 0))}</span>
          </Link>
        ))}
      </span>
    </li>
  );
}

function List({ title, runs, none, filter, time }: { title: string; runs: Run[] | undefined; none: string; filter: string; time: string }) {
  return (
    <section aria-label={title}>
      <h2>
        <Link to="/runs" search={{ filter: filter || undefined, time: time || undefined } as never}>
          {title}
        </Link>
      </h2>
      {!runs ? (
        <div className="skeleton" />
      ) : runs.length === 0 ? (
        <p className="soft">{none}</p>
      ) : (
        <ul>
          {runs.map((run) => (
            <li key={run.run_id} className="now-run">
              <Status of={run} />
              <Link to={`/runs/${run.run_id}`} className="cut">
                {line(run.name, 60) || "(no name)"}
              </Link>
              <span className="cut soft">{line(run.error, 100)}</span>
              <span className="faint">
                <When ns={run.start_ns} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function First() {
  return (
    <Empty title="Nothing has been recorded yet" command="python examples/fix_issue/main.py">
      Put <code>import clew</code> in a program, point any OpenTelemetry program at this server, or run the example:
    </Empty>
  );
}

function group(hits: Hit[]): Map<string, Hit[]> {
  const found = new Map<string, Hit[]>();
  for (const hit of hits) found.set(hit.run_id, [...(found.get(hit.run_id) ?? []), hit]); // newest, so innermost, first
  return found;
}

/** Every minute of the last hour, also those in which nothing happened. */
function series(rows: Figures[]) {
  const end = Math.floor(Date.now() / 60_000) * 60;
  const times = Array.from({ length: 60 }, (_, at) => end - (59 - at) * 60);
  const known = new Map(rows.map((row) => [Math.round((row.start_ns ?? 0) / 1e9), row]));
  const each = (value: (row: Figures) => number) => times.map((time) => (known.has(time) ? value(known.get(time)!) : 0));
  return {
    times,
    cost: each((row) => row.partial_cost_usd),
    tokens: each((row) => (row.input_tokens ?? 0) + (row.output_tokens ?? 0)),
    errors: each((row) => row.errors),
    unknown: rows.filter((row) => row.model_calls > 0 && row.cost_usd === null).length,
  };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The time in nanoseconds, once a second while something runs. */
function useSecond(on: boolean): number {
  const [now, setNow] = useState(() => Date.now() * 1e6);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => setNow(Date.now() * 1e6), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}
