/** A running run as lanes, one an agent, with the hand-offs between them; times in seconds from the run's start. */

import type { Schemas } from "../../api/client";

type Graph = Schemas["AgentGraph"];
/** `to` is null for what goes on. */
export type Stretch = { from: number; to: number | null; failed: boolean };
export type Lane = { agent: string; calls: Stretch[] };
export type Handoff = { at: number; from: number; to: number; relation: string };
export type Lanes = { lanes: Lane[]; handoffs: Handoff[]; hidden: number };

export const MOST_LANES = 8;
const BETWEEN = ["called", "delegated", "messaged"];

/** Agents in the order in which they began; a hand-off names its lanes by number. Those of agents beyond the most lanes are left out. */
export function lanesOf(graph: Graph, startNs: number): Lanes {
  const seconds = (ns: number) => (ns - startNs) / 1e9;
  const agents = graph.nodes
    .filter((node) => node.kind === "agent" && node.listed.length > 0)
    .map((node) => ({
      agent: node.name,
      calls: node.listed
        .map((call) => ({
          from: seconds(call.start_ns),
          to: call.duration_ns === null ? null : seconds(call.start_ns + call.duration_ns),
          failed: call.failed,
        }))
        .sort((a, b) => a.from - b.from),
    }))
    .sort((a, b) => a.calls[0]!.from - b.calls[0]!.from || (a.agent < b.agent ? -1 : 1));
  const lanes = agents.slice(0, MOST_LANES);
  const place = new Map(lanes.map((lane, at) => [lane.agent, at]));
  const handoffs = graph.edges
    .filter((edge) => BETWEEN.includes(edge.relation) && edge.source !== edge.target)
    .flatMap((edge) => {
      const [from, to] = [place.get(edge.source), place.get(edge.target)];
      if (from === undefined || to === undefined) return [];
      return edge.listed.map((call) => ({ at: seconds(call.start_ns), from, to, relation: edge.relation }));
    })
    .sort((a, b) => a.at - b.at || a.from - b.from || a.to - b.to);
  return { lanes, handoffs, hidden: agents.length - lanes.length };
}
