import "./runs.css";
import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useLive, useRefresh } from "../../api/live";
import { Trouble } from "../../app/Broken";
import { useKeys } from "../../app/keys";
import { between, title, within } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { isThere } from "../../filter/queries";
import { count, line, plural, usd } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { Facets } from "../../parts/Facets";
import { announce, Bar, Id, Lasted, Status, Tokens, TotalCost, When } from "../../parts/Figures";
import { Histogram, Spark } from "../../parts/Histogram";
import { SidePanel } from "../../parts/SidePanel";
import { type Column, Table } from "../../parts/Table";
import { Preview } from "./Preview";
import { type Run, runShapes, runsPage, runSummary, type Summary } from "./queries";

type Shapes = Map<string, { spans: number[]; errors: number[] }>;

function columnsOf(rows: Run[], shapes: Shapes): Column<Run>[] {
  const longest = Math.max(...rows.map((run) => run.duration_ns ?? 0), 1);
  const dearest = Math.max(...rows.map((run) => run.partial_cost_usd), 1e-9);
  const most = Math.max(...rows.map((run) => (run.input_tokens ?? 0) + (run.output_tokens ?? 0)), 1);
  return [
    { title: "Status", width: "72px", cell: (run) => <Status of={run} /> },
    { title: "Name", width: "minmax(90px, 2fr)", cell: (run) => <strong title={line(run.name)}>{line(run.name) || "–"}</strong> },
    { title: "Run", width: "62px", cell: (run) => <Id id={run.run_id} of="run" />, wide: true },
    { title: "Started", width: "84px", cell: (run) => <When ns={run.start_ns} />, wide: true },
    { title: "Agents", width: "minmax(60px, 0.6fr)", cell: (run) => line(run.agents.join(", ")), wide: true },
    {
      title: "Activity",
      width: "84px",
      cell: (run) => {
        const shape = shapes.get(run.run_id);
        return shape && <Spark values={shape.spans} errors={shape.errors} label={`${plural(run.spans, "span")}, ${run.errors} failed`} />;
      },
      wide: true,
      hint: "Spans that start in each part of the run's time; those that failed are marked below.",
    },
    {
      title: "Duration",
      width: "72px",
      align: "right",
      cell: (run) => (
        <Bar share={(run.duration_ns ?? 0) / longest}>
          <Lasted ns={run.duration_ns} state={run.state} />
        </Bar>
      ),
    },
    {
      title: "Tokens",
      width: "62px",
      align: "right",
      cell: (run) => (
        <Bar share={((run.input_tokens ?? 0) + (run.output_tokens ?? 0)) / most}>
          <Tokens input={run.input_tokens} output={run.output_tokens} calls={run.model_calls} withUsage={run.calls_with_usage} />
        </Bar>
      ),
      wide: true,
    },
    {
      title: "Cost",
      width: "76px",
      align: "right",
      cell: (run) => (
        <Bar share={run.partial_cost_usd / dearest}>
          <TotalCost of={run} />
        </Bar>
      ),
    },
    { title: "Error", width: "minmax(60px, 1.2fr)", cell: (run) => <span className="error">{line(run.error)}</span>, wide: true },
  ];
}

export default function Runs() {
  const [view, setView] = useView();
  const shared = useShared();
  const navigate = useNavigate();
  const filter = within(view.filter, view.time);
  const found = useInfiniteQuery(runsPage(filter));
  const summary = useQuery({ ...runSummary(filter), enabled: isThere(found) });
  const pages = found.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.runs) ?? [], [pages]);
  const shapes = useQueries({
    queries: (pages ?? []).map((page) => runShapes(page.runs.map((run) => run.run_id))),
    combine: (answers): Shapes => new Map(answers.flatMap((one) => one.data?.shapes ?? []).map((shape) => [shape.run_id, shape])),
  });
  const columns = useMemo(() => columnsOf(rows, shapes), [rows, shapes]);

  const [compared, setCompared] = useState<Run | null>(null);
  const [atTop, setAtTop] = useState(true);
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set());
  const askAgain = useRefresh(["runs"]);
  const refresh = () => {
    setWaiting(new Set());
    askAgain();
  };
  const live = useLive("", {
    spans: (hits) => {
      const fresh = hits.map((hit) => hit.run_id).filter((id) => !rows.some((run) => run.run_id === id && run.state === "ended"));
      if (fresh.length === 0) return;
      if (atTop) refresh();
      else setWaiting((before) => new Set([...before, ...fresh]));
    },
  });

  const preview = view.preview ? rows.find((run) => run.run_id === view.preview) : undefined;
  const show = (run: Run | undefined) => setView({ preview: run?.run_id }, { replace: true });
  const open = (run: Run) => void navigate({ to: `/runs/${run.run_id}`, search: shared as never });
  const compare = (run: Run) => {
    if (!compared) {
      setCompared(run);
      announce(`Press c on another run to compare it with ${line(run.name)}`);
    } else if (compared.run_id === run.run_id) setCompared(null);
    else void navigate({ to: `/compare/${compared.run_id}/${run.run_id}`, search: shared as never });
  };
  useKeys("Comparison", [{ key: "Escape", does: "Choose no run to compare", run: () => setCompared(null) }], compared !== null);
  const selected = useMemo(() => new Set([compared?.run_id, preview?.run_id].filter((id) => id !== undefined)), [compared, preview]);
  const starts = summary.data?.starts;
  return (
    <main>
      <header className="page-title">
        <h1>Runs</h1>
        <p aria-live="polite">{summary.data ? <Sentence of={summary.data} time={view.time} /> : " "}</p>
        <span
          className={`live live-${live}`}
          data-hint={live === "live" ? "New runs appear by themselves." : "The server does not answer; it is tried again."}
        >
          {live === "live" ? "live" : live}
        </span>
      </header>
      <FilterBar of="runs" page="/runs" error={found.error} />
      {starts && (
        <div className="runs-histogram">
          <Histogram
            label="Starts of runs over time, by outcome"
            bars={{
              startNs: starts.first_ns,
              widthNs: starts.bucket_ns,
              series: [
                { name: "count", values: starts.ok },
                { name: "running", values: starts.running },
                { name: "lost", values: starts.lost },
                { name: "error", values: starts.error },
              ],
            }}
            choose={(first, last) => setView({ time: between(first, last) })}
          />
        </div>
      )}
      {summary.data?.more && (
        <CutNote>
          Totals and bars are of the newest {count(summary.data.looked_at)} runs; a time range or a filter on start reaches older ones.
        </CutNote>
      )}
      {compared && (
        <p className="cut-note">
          Comparing <strong>{line(compared.name)}</strong> <Id id={compared.run_id} of="run" />: press <kbd>c</kbd> on another run, or{" "}
          <button type="button" className="link" onClick={() => setCompared(null)}>
            choose none
          </button>
          .
        </p>
      )}
      {waiting.size > 0 && (
        <button type="button" className="waiting" onClick={refresh}>
          {plural(waiting.size, "run")} changed; show
        </button>
      )}
      <div className="columns">
        <Facets
          facets={summary.data?.facets ?? (summary.error ? [] : undefined)}
          cut={summary.data?.more ? summary.data.looked_at : undefined}
          filter={view.filter ?? ""}
          set={(next) => setView({ filter: next || undefined })}
        />
        {found.error && rows.length === 0 ? (
          <div className="empty">
            <Trouble error={found.error} />
          </div>
        ) : (
          <Table
            label="Runs"
            columns={columns}
            rows={rows}
            id={(run) => run.run_id}
            loading={found.isPending}
            more={found.hasNextPage && !found.isFetching ? () => void found.fetchNextPage() : undefined}
            open={open}
            preview={(run) => show(preview?.run_id === run.run_id ? undefined : run)}
            onActive={preview ? show : undefined}
            selected={selected}
            keys={[{ key: "c", does: "Compare with another run", run: compare }]}
            onTop={setAtTop}
            empty={<Nothing filtered={Boolean(view.filter || view.time)} clear={() => setView({ filter: undefined, time: undefined })} />}
          />
        )}
        {preview && (
          <SidePanel
            title={line(preview.name)}
            close={() => show(undefined)}
            actions={
              <>
                <button type="button" className="button" onClick={() => compare(preview)}>
                  Compare
                </button>
                <button type="button" className="button" onClick={() => open(preview)}>
                  Open
                </button>
              </>
            }
          >
            <Preview run={preview} />
          </SidePanel>
        )}
      </div>
    </main>
  );
}

function Sentence({ of, time }: { of: Summary; time: string | undefined }) {
  if (of.runs === 0) return <>No run matches.</>;
  const parts = [
    of.failed ? `${count(of.failed)} failed` : "none failed",
    ...(of.running ? [`${count(of.running)} running`] : []),
    ...(of.lost ? [`${count(of.lost)} lost`] : []),
  ];
  return (
    <>
      {plural(of.runs, "run")}
      {time ? ` in ${title(time)}` : ""}, {parts.join(", ")};{" "}
      <span
        className={of.cost_usd === null ? "unknown" : ""}
        data-hint={of.cost_usd === null ? "The cost of some runs is not known, or only in part." : "Cost of all of them."}
      >
        {of.cost_usd === null ? `≥ ${usd(of.partial_cost_usd)}` : usd(of.cost_usd)}
      </span>{" "}
      spent.
    </>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered)
    return (
      <Empty
        title="No run matches"
        action={
          <button type="button" className="button" onClick={clear}>
            Show all runs
          </button>
        }
      >
        The filter or the time range leaves none.
      </Empty>
    );
  return (
    <Empty title="No runs yet" command="clew import traces.otlp.jsonl">
      Record a program with <code>import clew</code>, send OpenTelemetry to this server, or import a record:
    </Empty>
  );
}
