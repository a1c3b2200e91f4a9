/** What of a graph of agents is drawn, and how it is laid out: the same data give the same picture, in whatever order they come. */

import type { ElkExtendedEdge, ElkNode } from "elkjs/lib/elk-api";
import type { Schemas } from "../../api/client";
import { count, percent, short, usd } from "../../format";

export type Graph = Schemas["AgentGraph"];
export type Node = Schemas["AgentNode"];
export type Edge = Schemas["AgentEdge"];
export type Weight = Schemas["Weight"];

/** What makes an edge wide. */
export const MEASURES = ["calls", "cost", "errors"] as const;
export type Measure = (typeof MEASURES)[number];

/** Agents that are drawn unless more are asked for, and as many tools and models. More can be told apart by nobody. */
export const MOST_DRAWN = 24;

/** Edges up to which each says its figure; beyond, only those with failures do. */
export const MOST_LABELS = 60;

/** One string for each node and edge, as the URL has it. */
export const nodeKey = (kind: string, name: string) => `${kind}:${name}`;
export const edgeKey = (edge: { source: string; relation: string; target: string }) =>
  JSON.stringify([edge.source, edge.relation, edge.target]);

/** The kind of what an edge leads to. */
export const targetKind = (edge: { relation: string }) =>
  edge.relation === "used" ? "tool" : edge.relation === "asked" ? "model" : "agent";

export function measured(weight: Weight, by: Measure): number {
  return by === "calls" ? weight.calls : by === "cost" ? weight.partial_cost_usd : weight.errors;
}

/** The figure that stands on a node or an edge. Unknown is never 0, and what asked no model says nothing of cost. */
export function figure(weight: Weight, by: Measure): string {
  if (by === "calls") return count(weight.calls);
  if (by === "errors") return weight.errors ? `✕ ${count(weight.errors)} of ${count(weight.calls)}` : "none failed";
  if (weight.model_calls === 0) return "";
  if (weight.cost_usd !== null) return usd(weight.cost_usd);
  return weight.partial_cost_usd > 0 ? `≥ ${usd(weight.partial_cost_usd)}` : "$ ?";
}

export function failedShare(weight: Weight): string {
  return weight.errors ? `✕ ${percent(weight.errors / Math.max(weight.calls, 1))}` : "";
}

/** Pixels: an edge's area is what is compared, so that the square root is drawn. */
export function widthOf(value: number, most: number): number {
  return value > 0 && most > 0 ? 1.5 + 5 * Math.sqrt(value / most) : 1;
}

/** Relations differ in their dashes: whole, long, dotted. */
export function dashes(relation: string, width: number): string | undefined {
  if (relation === "delegated") return `${7 + width * 1.5} ${3 + width * 0.7}`;
  return relation === "messaged" ? `0.1 ${width * 1.5 + 3}` : undefined;
}

export type Drawn = { nodes: Node[]; edges: Edge[]; hiddenNodes: number; hiddenEdges: number };

/** The busiest agents, those with the most calls of and by them, and the busiest tools and models; in an order that no figure changes. */
export function drawn(graph: Graph, most = MOST_DRAWN): Drawn {
  const busy = new Map(graph.nodes.map((node) => [nodeKey(node.kind, node.name), node.weight.calls]));
  for (const edge of graph.edges) {
    const source = nodeKey("agent", edge.source);
    busy.set(source, (busy.get(source) ?? 0) + edge.weight.calls);
  }
  const calls = (node: Node) => busy.get(nodeKey(node.kind, node.name)) ?? 0;
  const byCalls = [...graph.nodes].sort((a, b) => calls(b) - calls(a) || (nodeKey(a.kind, a.name) < nodeKey(b.kind, b.name) ? -1 : 1));
  const agents = byCalls.filter((node) => node.kind === "agent").slice(0, most);
  const leaves = byCalls.filter((node) => node.kind !== "agent").slice(0, most);
  const nodes = [...agents, ...leaves].sort((a, b) => (nodeKey(a.kind, a.name) < nodeKey(b.kind, b.name) ? -1 : 1));
  const kept = new Set(nodes.map((node) => nodeKey(node.kind, node.name)));
  const edges = graph.edges
    .filter((edge) => kept.has(nodeKey("agent", edge.source)) && kept.has(nodeKey(targetKind(edge), edge.target)))
    .sort((a, b) => (edgeKey(a) < edgeKey(b) ? -1 : 1));
  return { nodes, edges, hiddenNodes: graph.nodes.length - nodes.length, hiddenEdges: graph.edges.length - edges.length };
}

/** Wide pictures go to the right, those of a phone down. */
export type Direction = "RIGHT" | "DOWN";

/** Pixels of a node and of an edge's figure. */
export const NODE: Record<Direction, { width: number; height: number }> = {
  RIGHT: { width: 164, height: 46 },
  DOWN: { width: 140, height: 46 },
};
const LABEL: typeof NODE = { RIGHT: { width: 74, height: 16 }, DOWN: { width: 46, height: 16 } };

/** The question to ELK. Ids are places in the lists: names may be anything. */
export function question({ nodes, edges }: Drawn, direction: Direction): ElkNode {
  const place = new Map(nodes.map((node, at) => [nodeKey(node.kind, node.name), at]));
  const labelled = edges.length <= MOST_LABELS;
  return {
    id: "graph",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": direction,
      "elk.randomSeed": "1",
      "elk.edgeRouting": "SPLINES",
      "elk.aspectRatio": direction === "RIGHT" ? "2.6" : "0.7",
      "elk.spacing.nodeNode": "18",
      "elk.spacing.edgeNode": "14",
      "elk.spacing.edgeEdge": "10",
      "elk.spacing.componentComponent": "28",
      "elk.layered.spacing.nodeNodeBetweenLayers": labelled ? "26" : "80",
      "elk.layered.spacing.edgeNodeBetweenLayers": "12",
      "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
      "elk.edgeLabels.inline": "false",
    },
    children: nodes.map((_, at) => ({ id: `n${at}`, ...NODE[direction] })),
    edges: edges.map((edge, at) => ({
      id: `e${at}`,
      sources: [`n${place.get(nodeKey("agent", edge.source))}`],
      targets: [`n${place.get(nodeKey(targetKind(edge), edge.target))}`],
      labels: labelled ? [{ id: `l${at}`, text: "0", ...LABEL[direction] }] : [],
    })),
  };
}

export type Point = { x: number; y: number };

export type Placed = {
  nodes: Point[];
  /** Start, two control points and a point for each part of the curve. */
  edges: Point[][];
  labels: (Point | null)[];
  width: number;
  height: number;
};

export function placed(answer: ElkNode): Placed {
  const edges = (answer.edges ?? []) as ElkExtendedEdge[];
  return {
    nodes: (answer.children ?? []).map(({ x = 0, y = 0 }) => ({ x, y })),
    edges: edges.map((edge) => {
      const part = edge.sections?.[0];
      return part ? [part.startPoint, ...(part.bendPoints ?? []), part.endPoint] : [];
    }),
    labels: edges.map((edge) => {
      const label = edge.labels?.[0];
      if (label) return { x: (label.x ?? 0) + (label.width ?? 0) / 2, y: (label.y ?? 0) + (label.height ?? 0) / 2 };
      const part = edge.sections?.[0];
      const points = part ? [part.startPoint, ...(part.bendPoints ?? []), part.endPoint] : [];
      return points[Math.floor(points.length / 2)] ?? null;
    }),
    width: answer.width ?? 0,
    height: answer.height ?? 0,
  };
}

/** The curve of an edge up to its arrow, and the arrow. */
export function curve(points: Point[], width: number): { path: string; arrow: string } {
  if (points.length < 2) return { path: "", arrow: "" };
  const tip = points.at(-1)!;
  const before = points
    .slice(0, -1)
    .reverse()
    .find((one) => Math.hypot(tip.x - one.x, tip.y - one.y) > 0.5) ?? { x: tip.x - 1, y: tip.y };
  const length = 7 + width * 0.9;
  const far = Math.hypot(tip.x - before.x, tip.y - before.y);
  const way = { x: (tip.x - before.x) / far, y: (tip.y - before.y) / far };
  const neck = { x: tip.x - way.x * length, y: tip.y - way.y * length };
  const all = [...points.slice(0, -1), neck];
  let path = `M${at(all[0]!)}`;
  if ((all.length - 1) % 3 === 0)
    for (let one = 1; one < all.length; one += 3)
      path += `C${all
        .slice(one, one + 3)
        .map(at)
        .join(" ")}`;
  else
    path += all
      .slice(1)
      .map((point) => `L${at(point)}`)
      .join("");
  const half = 3.5 + width * 0.55;
  const side = (sign: number) => at({ x: neck.x - way.y * half * sign, y: neck.y + way.x * half * sign });
  return { path, arrow: `M${at(tip)}L${side(1)}L${side(-1)}Z` };
}

const at = ({ x, y }: Point) => `${Math.round(x * 10) / 10},${Math.round(y * 10) / 10}`;

export type Step = { edge: Edge; call: Schemas["Call"]; number: number };

/** The calls of a run in the order of time, as far as they are listed. */
export function steps(graph: Graph): Step[] {
  return graph.edges
    .flatMap((edge) => edge.listed.map((call) => ({ edge, call, number: 0 })))
    .sort(
      (a, b) =>
        a.call.start_ns - b.call.start_ns ||
        (a.call.span_id < b.call.span_id ? -1 : a.call.span_id > b.call.span_id ? 1 : edgeKey(a.edge) < edgeKey(b.edge) ? -1 : 1),
    )
    .map((step, place) => ({ ...step, number: place + 1 }));
}

/** Which steps an edge is, in short: "1", "2–4", "1, 5 …". */
export function orders(all: Step[]): Map<string, string> {
  const numbers = new Map<string, number[]>();
  for (const { edge, number } of all) numbers.set(edgeKey(edge), [...(numbers.get(edgeKey(edge)) ?? []), number]);
  return new Map(
    [...numbers].map(([key, found]) => {
      const [first, last] = [found[0]!, found.at(-1)!];
      if (found.length === 1) return [key, `${first}`];
      if (last - first === found.length - 1) return [key, `${first}–${last}`];
      return [key, found.length <= 3 ? found.join(", ") : `${found.slice(0, 2).join(", ")} …`];
    }),
  );
}

/** What a hint says of a weight, line by line. */
export function account(weight: Weight, of: string): string {
  const lines = [
    `${short(weight.calls)} ${of}, ${weight.errors ? `${short(weight.errors)} failed (${percent(weight.errors / weight.calls)})` : "none failed"}`,
  ];
  if (weight.model_calls) lines.push(`${short(weight.model_calls)} model calls: ${figure(weight, "cost")}`);
  return lines.join("\n");
}
