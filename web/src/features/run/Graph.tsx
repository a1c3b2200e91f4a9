import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { count, duration, line, plural } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { Figure, Lasted, Status } from "../../parts/Figures";
import { DrawnNote, Graph as Picture, GraphBar, useGraph } from "../../parts/graph/Graph";
import { drawn, edgeKey, nodeKey, orders, type Step, steps } from "../../parts/graph/shape";
import { type Column, Table } from "../../parts/Table";
import { graphOf } from "./queries";
import type { Trace } from "./trace";

/** The agents of the run: who worked with whom, and in what order. A click selects the spans behind it, one after the other. */
export function Graph({ trace, selected, select }: { trace: Trace; selected: number; select: (at: number) => void }) {
  const { by, leaves, most } = useGraph();
  const found = useQuery(graphOf(trace.of.run.run_id, leaves));
  const all = found.data;
  const part = useMemo(() => all && drawn(all, most), [all, most]);
  const order = useMemo(() => (all ? steps(all) : []), [all]);
  const numbers = useMemo(() => orders(order), [order]);
  const columns = useMemo(() => columnsOf(trace), [trace]);
  if (found.error && !all) return <Trouble error={found.error} />;
  if (!all || !part) return <div className="graph" aria-busy="true" aria-label="Agents of the run" />;
  if (all.nodes.length === 0)
    return (
      <Empty title="No span of this run names an agent" command={'with clew.agent("planner"):'}>
        Say which agent works where it begins (in OpenTelemetry: the attribute <code>gen_ai.agent.name</code>):
      </Empty>
    );
  const spanId = trace.columns.span_id[selected];
  const step = order.find((one) => one.call.span_id === spanId);
  const agent = trace.columns.agent[selected];
  const key = step ? edgeKey(step.edge) : agent ? nodeKey("agent", agent) : undefined;
  /** The next of the spans behind a node or an edge after the one that is selected. */
  const choose = (of: string | undefined) => {
    const listed =
      all.nodes.find((node) => nodeKey(node.kind, node.name) === of)?.listed ??
      all.edges.find((edge) => edgeKey(edge) === of)?.listed ??
      [];
    const spans = listed.map((call) => trace.index.get(call.span_id) ?? -1).filter((at) => at >= 0);
    const next = spans[(spans.indexOf(selected) + 1) % spans.length];
    if (next !== undefined) select(next);
  };
  const calls = all.edges.reduce((sum, edge) => sum + edge.weight.calls, 0);
  return (
    <div className="run-graph">
      <GraphBar />
      {all.more && (
        <CutNote>Not all of the run is in this graph: only its first 100,000 spans, and its 1,000 nodes with the most calls.</CutNote>
      )}
      <DrawnNote of={all} hiddenNodes={part.hiddenNodes} hiddenEdges={part.hiddenEdges} />
      <Picture of={part} by={by} selected={key} select={choose} order={numbers} label="Agents of the run" />
      <Table
        label="As it ran"
        columns={columns}
        rows={order}
        id={(one) => `${one.call.span_id}${edgeKey(one.edge)}`}
        selected={step ? new Set([`${step.call.span_id}${edgeKey(step.edge)}`]) : undefined}
        open={(one) => selectCall(trace, one, select)}
        onActive={(one) => selectCall(trace, one, select)}
        empty={<p className="graph-note">{plural(all.nodes.length, "agent")}, and none called another.</p>}
        foot={order.length < calls ? `The first ${count(order.length)} of ${count(calls)} calls.` : undefined}
      />
    </div>
  );
}

function selectCall(trace: Trace, step: Step, select: (at: number) => void): void {
  const at = trace.index.get(step.call.span_id);
  if (at !== undefined) select(at);
}

function columnsOf(trace: Trace): Column<Step>[] {
  return [
    { title: "#", width: "34px", align: "right", cell: (step) => <span className="faint">{step.number}</span> },
    {
      title: "At",
      width: "68px",
      align: "right",
      cell: (step) => <Figure hint="From the start of the run.">+{duration(step.call.start_ns - trace.of.start_ns)}</Figure>,
    },
    { title: "From", width: "minmax(70px, 1fr)", cell: (step) => line(step.edge.source, 120) || "(no name)" },
    { title: "", width: "70px", cell: (step) => <span className="soft">{step.edge.relation}</span>, wide: true },
    { title: "To", width: "minmax(70px, 1fr)", cell: (step) => <strong>{line(step.edge.target, 120) || "(no name)"}</strong> },
    {
      title: "Duration",
      width: "72px",
      align: "right",
      cell: (step) => {
        const at = trace.index.get(step.call.span_id);
        return <Lasted ns={step.call.duration_ns} state={at === undefined ? "running" : trace.columns.state[at]!} />;
      },
    },
    {
      title: "Outcome",
      width: "72px",
      cell: (step) => {
        const at = trace.index.get(step.call.span_id);
        return <Status of={{ status: step.call.failed ? "error" : "ok", state: at === undefined ? "ended" : trace.columns.state[at]! }} />;
      },
      wide: true,
    },
  ];
}
