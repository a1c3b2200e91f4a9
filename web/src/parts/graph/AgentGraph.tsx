import "@xyflow/react/dist/base.css";
import "./graph.css";
import {
  Controls,
  type EdgeProps,
  EdgeLabelRenderer,
  Handle,
  type NodeProps,
  Position,
  ReactFlow,
  type Edge as FlowEdge,
  type Node as FlowNode,
  type ReactFlowInstance,
} from "@xyflow/react";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { line } from "../../format";
import { layout } from "./layout";
import {
  account,
  curve,
  dashes,
  type Direction,
  type Drawn,
  edgeKey,
  failedShare,
  figure,
  type Measure,
  measured,
  MOST_LABELS,
  NODE,
  type Node,
  nodeKey,
  type Edge,
  type Placed,
  type Point,
  targetKind,
  widthOf,
} from "./shape";

export type GraphProps = {
  /** What is drawn: drawn() of shape.ts. */
  of: Drawn;
  by: Measure;
  /** Key of a node or an edge. */
  selected?: string;
  select: (key: string | undefined) => void;
  /** Key of an edge -> which steps it is. */
  order?: Map<string, string>;
  label: string;
};

type Data = { node: Node; by: Measure; chosen: boolean; away: boolean };
type Line = {
  edge: Edge;
  points: Point[];
  at: Point | null;
  width: number;
  text: string;
  hint: string;
  chosen: boolean;
  away: boolean;
};

/** The zoom below which names are too small to read. */
const READABLE = 0.62;

const NODES = { agent: memo(Box) };
const EDGES = { call: memo(Call) };

/** Who works with whom: nodes and edges where ELK puts them, to be moved and zoomed as a whole. */
export default function AgentGraph({ of: given, by, selected, select, order, label }: GraphProps) {
  const frame = useRef<HTMLDivElement>(null);
  const wanted = useDirection(frame);
  const shape = useMemo(
    () => JSON.stringify([wanted, given.nodes.map((node) => nodeKey(node.kind, node.name)), given.edges.map(edgeKey)]),
    [wanted, given],
  );
  const [found, setFound] = useState<{ shape: string; direction: Direction; of: Drawn; placed: Placed } | null>(null);
  const [broken, setBroken] = useState(false);
  const latest = useRef(given);
  latest.current = given;
  const flow = useRef<ReactFlowInstance<FlowNode<Data>, FlowEdge<Line>> | null>(null);
  useEffect(() => {
    if (!wanted) return;
    let gone = false;
    const asked = latest.current;
    layout(asked, wanted).then(
      (placed) => !gone && (setFound({ shape, direction: wanted, of: asked, placed }), setBroken(false)),
      () => !gone && setBroken(true),
    );
    return () => {
      gone = true;
    };
  }, [shape, wanted]);
  // Until the new picture is there the one before stays, with the figures it was made for.
  const of = found && found.shape !== shape ? found.of : given;
  const direction = found?.direction;
  const ready = found?.placed ?? null;
  const shown = useRef(of);
  shown.current = of;
  const chosen = useRef(selected);
  chosen.current = selected;
  /** All of it, unless its names could not be read then: so much as can be, around what is selected, or has the most calls. */
  const fit = useCallback(() => {
    const [at, box] = [flow.current, frame.current];
    if (!at || !box || !ready) return;
    const whole = Math.min(box.clientWidth / ready.width, box.clientHeight / ready.height) * 0.92;
    if (whole >= READABLE) return void at.fitView({ padding: 0.05, maxZoom: 1.1 });
    const middle = center(shown.current, ready, chosen.current);
    const clamp = (value: number, size: number, shown: number) => {
      const half = shown / READABLE / 2;
      return size < half * 2 ? size / 2 : Math.max(half - 20, Math.min(size - half + 20, value));
    };
    void at.setCenter(clamp(middle.x, ready.width, box.clientWidth), clamp(middle.y, ready.height, box.clientHeight), { zoom: READABLE });
  }, [ready]);
  useEffect(() => {
    if (!ready) return;
    fit();
    const watch = new ResizeObserver(fit);
    watch.observe(frame.current!);
    return () => watch.disconnect();
  }, [ready, fit]);

  const near = useMemo(() => nearby(of, selected), [of, selected]);
  const nodes = useMemo<FlowNode<Data>[]>(
    () =>
      ready
        ? of.nodes.map((node, at) => {
            const key = nodeKey(node.kind, node.name);
            return {
              id: `n${at}`,
              type: "agent",
              position: ready.nodes[at]!,
              ...NODE[direction!],
              ariaLabel: `${node.kind} ${line(node.name, 80) || "(no name)"}: ${account(node.weight, "calls").replace("\n", ", ")}`,
              data: { node, by, chosen: key === selected, away: near !== null && !near.has(key) },
            };
          })
        : [],
    [ready, direction, of, by, selected, near],
  );
  const edges = useMemo<FlowEdge<Line>[]>(() => {
    if (!ready) return [];
    const most = Math.max(0, ...of.edges.map((edge) => measured(edge.weight, by)));
    const place = new Map(of.nodes.map((node, at) => [nodeKey(node.kind, node.name), `n${at}`]));
    return of.edges.map((edge, at) => {
      const key = edgeKey(edge);
      const steps = order?.get(key);
      const picked = key === selected;
      const away = near !== null && !near.has(key);
      // Downward the labels stand side by side: there is room for a mark only, the node has the share.
      const failed = direction === "DOWN" ? failedShare(edge.weight).slice(0, 1) : failedShare(edge.weight);
      const share = by === "errors" ? "" : failed;
      const figured = (by === "errors" && !edge.weight.errors) || (steps && direction === "DOWN") ? "" : figure(edge.weight, by);
      const says = [steps && `#${steps}`, figured, share].filter(Boolean).join(" · ");
      return {
        id: `e${at}`,
        type: "call",
        source: place.get(nodeKey("agent", edge.source))!,
        target: place.get(nodeKey(targetKind(edge), edge.target))!,
        zIndex: picked ? 2 : 0,
        data: {
          edge,
          points: ready.edges[at]!,
          at: ready.labels[at]!,
          width: widthOf(measured(edge.weight, by), most),
          text: !away && (of.edges.length <= MOST_LABELS || edge.weight.errors || picked) ? says : "",
          hint: `${line(edge.source, 60)} ${edge.relation} ${line(edge.target, 60)}\n${account(edge.weight, "calls")}${steps ? `\nstep ${steps} of the run` : ""}`,
          chosen: picked,
          away,
        },
      };
    });
  }, [ready, direction, of, by, selected, near, order]);

  return (
    <div
      ref={frame}
      className="graph"
      role="group"
      aria-label={label}
      aria-busy={found?.shape !== shape && !broken}
      data-laid={found?.shape === shape ? "yes" : undefined}
    >
      {broken && <p className="graph-note">The graph could not be laid out here. The table has all of it.</p>}
      {!ready && !broken && <Sketch />}
      {ready && (
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={NODES}
          edgeTypes={EDGES}
          onInit={(made) => {
            flow.current = made;
            fit();
          }}
          onNodeClick={(_, node) => select(nodeKey(node.data.node.kind, node.data.node.name))}
          onEdgeClick={(_, edge) => edge.data && select(edgeKey(edge.data.edge))}
          onPaneClick={() => select(undefined)}
          onKeyDown={(event) => {
            const id = (event.target as HTMLElement).dataset.id;
            const node = id && nodes.find((one) => one.id === id);
            if (!node || (event.key !== "Enter" && event.key !== " ")) return;
            event.preventDefault();
            select(nodeKey(node.data.node.kind, node.data.node.name));
          }}
          nodesDraggable={false}
          nodesConnectable={false}
          elementsSelectable={false}
          nodesFocusable
          edgesFocusable={false}
          disableKeyboardA11y
          deleteKeyCode={null}
          selectionKeyCode={null}
          multiSelectionKeyCode={null}
          panActivationKeyCode={null}
          zoomActivationKeyCode={null}
          zoomOnDoubleClick={false}
          minZoom={0.1}
          maxZoom={2}
          proOptions={{ hideAttribution: true }}
        >
          <Controls showInteractive={false} position={direction === "DOWN" ? "top-right" : "bottom-right"} />
        </ReactFlow>
      )}
    </div>
  );
}

function Box({ data: { node, by, chosen, away } }: NodeProps<FlowNode<Data>>) {
  const share = node.weight.errors / Math.max(node.weight.calls, 1);
  return (
    <div
      className={`graph-node graph-${node.kind} ${chosen ? "chosen" : ""} ${away ? "away" : ""}`}
      data-hint={`${node.kind} ${line(node.name, 200) || "(no name)"}\n${account(node.weight, "calls")}`}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className="graph-mark" aria-hidden="true" />
      <span className="graph-name cut">{line(node.name, 80) || "(no name)"}</span>
      <span className="graph-figure cut">
        {figure(node.weight, by) || "no model calls"}
        {by === "calls" && <span className="graph-word"> {node.weight.calls === 1 ? "call" : "calls"}</span>}
        {by !== "errors" && share > 0 && <strong className="error"> {failedShare(node.weight)}</strong>}
      </span>
      {share > 0 && (
        <span className="graph-failed" style={{ width: `calc((100% - 50px) * ${Math.max(share, 0.04)})` }} aria-hidden="true" />
      )}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

function Call({ data }: EdgeProps<FlowEdge<Line>>) {
  if (!data) return null;
  const { edge, points, at, width, text, hint, chosen, away } = data;
  const { path, arrow } = curve(points, width);
  const share = edge.weight.errors / Math.max(edge.weight.calls, 1);
  const look = `graph-edge graph-${edge.relation} ${chosen ? "chosen" : ""} ${away ? "away" : ""} ${share > 0 ? "failed" : ""}`;
  return (
    <>
      <g className={look} data-hint={hint}>
        <path className="graph-hit" d={path} />
        <path className="graph-line" d={path} strokeWidth={width} strokeDasharray={dashes(edge.relation, width)} />
        <path className="graph-arrow" d={arrow} />
      </g>
      {text && at && (
        <EdgeLabelRenderer>
          <span
            className={`graph-label ${chosen ? "chosen" : ""} ${share > 0 ? "error" : ""}`}
            style={{ transform: `translate(-50%, -50%) translate(${at.x}px, ${at.y}px)` }}
          >
            {text}
          </span>
        </EdgeLabelRenderer>
      )}
    </>
  );
}

/** What is looked at: the selected node, the middle of the selected edge, else the node with the most calls. */
function center(of: Drawn, placed: Placed, selected: string | undefined): Point {
  const edge = of.edges.findIndex((one) => edgeKey(one) === selected);
  const points = placed.edges[edge];
  if (points?.length) return { x: (points[0]!.x + points.at(-1)!.x) / 2, y: (points[0]!.y + points.at(-1)!.y) / 2 };
  const node = of.nodes.findIndex((one) => nodeKey(one.kind, one.name) === selected);
  const busiest = of.nodes.reduce((best, one, place) => (one.weight.calls > of.nodes[best]!.weight.calls ? place : best), 0);
  const { x, y } = placed.nodes[node >= 0 ? node : busiest]!;
  return { x: x + NODE.RIGHT.width / 2, y: y + NODE.RIGHT.height / 2 };
}

/** Keys of what a selection touches; null when nothing that is drawn is selected. */
function nearby(of: Drawn, selected: string | undefined): Set<string> | null {
  if (!selected) return null;
  const found = new Set<string>();
  for (const edge of of.edges) {
    const ends = [nodeKey("agent", edge.source), nodeKey(targetKind(edge), edge.target)];
    if (edgeKey(edge) === selected || ends.includes(selected)) for (const key of [edgeKey(edge), ...ends]) found.add(key);
  }
  if (of.nodes.some((node) => nodeKey(node.kind, node.name) === selected)) found.add(selected);
  return found.size ? found : null;
}

/** To the right where there is room for it. */
function useDirection(frame: React.RefObject<HTMLDivElement | null>): Direction | null {
  const [direction, setDirection] = useState<Direction | null>(null);
  useEffect(() => {
    const read = () => frame.current && setDirection(frame.current.clientWidth < 520 ? "DOWN" : "RIGHT");
    read();
    const watch = new ResizeObserver(read);
    watch.observe(frame.current!);
    return () => watch.disconnect();
  }, [frame]);
  return direction;
}

/** The place of a graph that is not there yet. */
export function Sketch() {
  return (
    <div className="graph-sketch" aria-hidden="true">
      {[0, 1, 2].map((column) => (
        <div key={column}>
          {Array.from({ length: column + 1 }, (_, row) => (
            <div key={row} className="skeleton" style={NODE.RIGHT} />
          ))}
        </div>
      ))}
    </div>
  );
}
