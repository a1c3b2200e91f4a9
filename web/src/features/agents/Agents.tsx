import "./agents.css";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useRef } from "react";
import { useLive } from "../../api/live";
import { Trouble } from "../../app/Broken";
import { title as timeTitle, within } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { count, percent, plural } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { TotalCost, When } from "../../parts/Figures";
import { DrawnNote, Graph, GraphBar, useGraph } from "../../parts/graph/Graph";
import { drawn, edgeKey, type Graph as All, type Node, nodeKey } from "../../parts/graph/shape";
import { Spark } from "../../parts/Histogram";
import { type Column, Table } from "../../parts/Table";
import { Panel } from "./Panel";
import { title, weightColumns } from "./parts";
import { graphOf, MOST_RUNS, RUNS } from "./queries";

/** Shortest time between two looks at what goes on. */
const REFRESH_MS = 5_000;

/** Who works with whom over many runs, and how each does. */
export default function Agents() {
  const [view, setView] = useView();
  const shared = useShared();
  const navigate = useNavigate();
  const { by, leaves, most } = useGraph();
  const limit = Math.min(Math.max(Number(view.runs) || RUNS, 1), MOST_RUNS);
  const found = useQuery(graphOf(within(view.filter, view.time), leaves, limit));
  const all = found.data;
  const live = useFresh();
  const part = useMemo(() => all && drawn(all, most), [all, most]);
  const rows = useMemo(() => all?.nodes.filter((node) => node.kind === "agent") ?? [], [all]);
  const node = all?.nodes.find((one) => nodeKey(one.kind, one.name) === view.at);
  const edge = all?.edges.find((one) => edgeKey(one) === view.at);
  const beside = Boolean(node ?? edge);
  const columns = useMemo(() => columnsOf(rows, beside), [rows, beside]);
  const select = (key: string | undefined) => setView({ at: key === view.at ? undefined : key }, { replace: true });
  const open = (one: Node) => void navigate({ to: "/agents/$agent", params: { agent: one.name } as never, search: shared as never });
  const selected = useMemo(() => new Set(view.at ? [view.at] : []), [view.at]);
  const none = all && all.nodes.length === 0;
  return (
    <main className="agents">
      <header className="page-title">
        <h1>Agents</h1>
        <p aria-live="polite">{all && <Sentence of={all} rows={rows} time={view.time} />}</p>
        <span className={`live live-${live}`}>{live === "live" ? "live" : live}</span>
      </header>
      <FilterBar of="runs" page="/agents" error={found.error} placeholder="agent:coder status:error service:builder" />
      <GraphBar />
      {all?.more && <More of={all} limit={limit} />}
      {all && part && <DrawnNote of={all} hiddenNodes={part.hiddenNodes} hiddenEdges={part.hiddenEdges} />}
      {found.error && !all ? (
        <div className="empty">
          <Trouble error={found.error} />
        </div>
      ) : none ? (
        <Nothing filtered={Boolean(view.filter || view.time)} clear={() => setView({ filter: undefined, time: undefined })} />
      ) : (
        <div className="columns">
          <div className="agents-view">
            {part ? (
              <Graph of={part} by={by} selected={view.at} select={select} label="Who works with whom" />
            ) : (
              <div className="graph" aria-busy="true" aria-label="Who works with whom" />
            )}
            <Table
              label="Agents"
              columns={columns}
              rows={rows}
              id={(one) => nodeKey(one.kind, one.name)}
              loading={found.isPending}
              open={open}
              preview={(one) => select(nodeKey(one.kind, one.name))}
              onActive={view.at ? (one) => setView({ at: nodeKey(one.kind, one.name) }, { replace: true }) : undefined}
              selected={selected}
              sort={view.sort ?? ""}
              onSort={(sort) => setView({ sort }, { replace: true })}
            />
          </div>
          {all && (node ?? edge) && (
            <Panel
              key={view.at}
              of={all}
              node={node}
              edge={edge}
              select={select}
              close={() => setView({ at: undefined }, { replace: true })}
            />
          )}
        </div>
      )}
    </main>
  );
}

/** Asks again when something was stored, not too often: it reads whole runs. */
function useFresh() {
  const queries = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const refresh = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      void queries.invalidateQueries({ queryKey: ["agents", "graph"] }, { cancelRefetch: false });
    }, REFRESH_MS);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return useLive("", { spans: refresh }, { back: refresh });
}

/** `beside`: whether a panel takes room, and says the rest. */
function columnsOf(rows: Node[], beside: boolean): Column<Node>[] {
  const all: Column<Node>[] = [
    {
      title: "Agent",
      width: "minmax(90px, 1.6fr)",
      cell: (node) => <strong title={title(node.name, 300)}>{title(node.name)}</strong>,
    },
    ...weightColumns((node: Node) => node.weight, rows),
    {
      title: "Runs",
      width: "50px",
      align: "right",
      sort: (node) => node.runs,
      cell: (node) => <span data-hint={`It has spans in ${plural(node.runs, "run")} of these.`}>{count(node.runs)}</span>,
      wide: true,
    },
    {
      title: "Last seen",
      width: "92px",
      sort: (node) => node.last_ns,
      cell: (node) => (node.last_ns === null ? "–" : <When ns={node.last_ns} />),
      wide: true,
    },
    {
      title: "Activity",
      width: "96px",
      cell: (node) => (
        <Spark
          values={node.starts}
          errors={node.failed_starts}
          label={`${plural(node.weight.calls, "call")} over the time of these runs, ${count(node.weight.errors)} failed`}
        />
      ),
      wide: true,
      hint: "Calls that start in each part of the time of these runs; those that failed are marked below.",
    },
  ];
  return beside ? all.slice(0, -2) : all;
}

function Sentence({ of, rows, time }: { of: All; rows: Node[]; time: string | undefined }) {
  if (rows.length === 0) return <>No agent in these runs.</>;
  const failing = rows.reduce((most, node) => (node.weight.errors > most.weight.errors ? node : most));
  const dearest = rows.reduce((most, node) => (node.weight.partial_cost_usd > most.weight.partial_cost_usd ? node : most));
  return (
    <>
      {plural(rows.length, "agent")} in {of.more ? "the newest " : ""}
      {plural(of.runs, "run")}
      {time ? ` in ${timeTitle(time)}` : ""};{" "}
      {failing.weight.errors > 0 ? (
        <>
          <em>{title(failing.name, 40)}</em> failed {count(failing.weight.errors)} of {plural(failing.weight.calls, "call")} (
          {percent(failing.weight.errors / failing.weight.calls)})
        </>
      ) : (
        "none failed"
      )}
      {dearest.weight.partial_cost_usd > 0 && (
        <>
          ; <em>{title(dearest.name, 40)}</em> cost most, <TotalCost of={dearest.weight} />
        </>
      )}
      .
    </>
  );
}

function More({ of, limit }: { of: All; limit: number }) {
  const [, setView] = useView();
  return (
    <CutNote>
      Only the newest {plural(of.runs, "run")} {of.runs === 1 ? "is" : "are"} counted here; more match.{" "}
      {limit < MOST_RUNS && (
        <button type="button" className="link" onClick={() => setView({ runs: String(MOST_RUNS) }, { replace: true })}>
          Count up to {count(MOST_RUNS)}
        </button>
      )}
    </CutNote>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered)
    return (
      <Empty
        title="No agent matches"
        action={
          <button type="button" className="button" onClick={clear}>
            Show all agents
          </button>
        }
      >
        The filter or the time range leaves none.
      </Empty>
    );
  return (
    <Empty title="No run names an agent" command={'with clew.agent("planner"):'}>
      Say which agent works where it begins (in OpenTelemetry: the attribute <code>gen_ai.agent.name</code>); the agents it calls are spans
      below it:
    </Empty>
  );
}
