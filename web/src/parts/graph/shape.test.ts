import ELK from "elkjs/lib/elk.bundled.js";
import { describe, expect, it } from "vitest";
import {
  curve,
  drawn,
  edgeKey,
  failedShare,
  figure,
  type Graph,
  nodeKey,
  orders,
  placed,
  question,
  steps,
  type Weight,
  widthOf,
} from "./shape";

const weight = (change: Partial<Weight> = {}): Weight => ({
  calls: 1,
  errors: 0,
  p50_ns: null,
  p95_ns: null,
  p99_ns: null,
  model_calls: 0,
  calls_with_usage: 0,
  input_tokens: null,
  output_tokens: null,
  cost_usd: 0,
  partial_cost_usd: 0,
  unpriced_models: [],
  ...change,
});

const node = (name: string, calls = 1, kind: "agent" | "tool" | "model" = "agent"): Graph["nodes"][number] => ({
  name,
  kind,
  weight: weight({ calls }),
  spans: 1,
  failed_spans: 0,
  runs: 1,
  last_ns: 1,
  starts: [],
  failed_starts: [],
  listed: [],
});

const edge = (
  source: string,
  target: string,
  relation: Graph["edges"][number]["relation"] = "called",
  ...startsNs: number[]
): Graph["edges"][number] => ({
  source,
  target,
  relation,
  weight: weight({ calls: Math.max(startsNs.length, 1) }),
  listed: startsNs.map((start_ns) => ({ run_id: "r", span_id: `s${start_ns}`, start_ns, duration_ns: 1, failed: false })),
});

const graph = (nodes: Graph["nodes"], edges: Graph["edges"]): Graph => ({ nodes, edges, runs: 1, more: false, from_ns: 0, to_ns: 1 });

const team = graph(
  [node("director", 3), node("coder", 9), node("tester", 2), node("search", 4, "tool"), node("__proto__"), node("<b>", 1)],
  [
    edge("director", "coder", "called", 10, 20),
    edge("director", "tester", "delegated", 30),
    edge("tester", "coder", "messaged", 40),
    edge("coder", "search", "used", 12),
    edge("coder", "director", "called", 15),
    edge("director", "__proto__"),
    edge("director", "<b>"),
    edge("coder", "coder", "messaged"),
  ],
);
const turned = graph([...team.nodes].reverse(), [...team.edges].reverse());

describe("the picture", () => {
  const layout = async (of: Graph, direction: "RIGHT" | "DOWN" = "RIGHT") => placed(await new ELK().layout(question(drawn(of), direction)));

  it("is the same for the same data in any order, and whatever the figures", async () => {
    const first = await layout(team);
    expect(await layout(turned)).toEqual(first);
    const busier = graph(
      team.nodes.map((one) => ({ ...one, weight: weight({ calls: 100, errors: 7 }) })),
      team.edges.map((one) => ({ ...one, weight: weight({ calls: 50 }) })),
    );
    expect(await layout(busier)).toEqual(first);
  });

  it("lays no node upon another and ends every edge", async () => {
    for (const direction of ["RIGHT", "DOWN"] as const) {
      const made = await layout(team, direction);
      expect(made.nodes).toHaveLength(team.nodes.length);
      expect(new Set(made.nodes.map(({ x, y }) => `${x},${y}`)).size).toBe(team.nodes.length);
      for (const points of made.edges) {
        expect(points.length).toBeGreaterThan(1);
        expect(curve(points, 3).path).toMatch(/^M[-\d.,]+[CL]/);
        expect(curve(points, 3).arrow).not.toContain("NaN");
      }
    }
  });
});

describe("what is drawn", () => {
  const crowd = graph(
    [...Array.from({ length: 200 }, (_, at) => node(`agent ${at}`, at)), node("shell", 1, "tool")],
    Array.from({ length: 199 }, (_, at) => edge("agent 199", `agent ${at}`)),
  );

  it("is the busiest agents, with the edges between them, and says how many are not", () => {
    const made = drawn(crowd, 10);
    expect(made.nodes.map((one) => one.name).sort()).toEqual([...Array.from({ length: 10 }, (_, at) => `agent ${190 + at}`), "shell"]);
    expect([made.edges.length, made.hiddenNodes, made.hiddenEdges]).toEqual([9, 190, 190]);
    expect(drawn(crowd, 500).hiddenNodes).toBe(0);
  });

  it("tells an agent from a tool of the same name", () => {
    const made = drawn(graph([node("search"), node("search", 1, "tool")], [edge("search", "search", "used")]));
    const asked = question(made, "RIGHT");
    expect(asked.edges?.[0]?.sources).not.toEqual(asked.edges?.[0]?.targets);
  });
});

describe("figures", () => {
  it("never show an unknown cost as 0, and a failure by more than colour", () => {
    expect(figure(weight(), "cost")).toBe("");
    expect(figure(weight({ cost_usd: null, model_calls: 1 }), "cost")).toBe("$ ?");
    expect(figure(weight({ cost_usd: null, partial_cost_usd: 0.5, model_calls: 2 }), "cost")).toBe("≥ $0.5000");
    expect(figure(weight({ calls: 8, errors: 2 }), "errors")).toBe("✕ 2 of 8");
    expect(figure(weight({ calls: 8 }), "errors")).toBe("none failed");
    expect([failedShare(weight({ calls: 8, errors: 2 })), failedShare(weight())]).toEqual(["✕ 25 %", ""]);
  });

  it("make an edge as wide as the root of its share", () => {
    expect([widthOf(0, 10), widthOf(10, 10), widthOf(5, 0)]).toEqual([1, 6.5, 1]);
    expect(widthOf(2.5, 10)).toBe(4);
  });
});

describe("as it ran", () => {
  it("puts the calls of all edges in the order of time and numbers them", () => {
    expect(steps(team).map(({ number, call, edge: of }) => [number, call.start_ns, of.target])).toEqual([
      [1, 10, "coder"],
      [2, 12, "search"],
      [3, 15, "director"],
      [4, 20, "coder"],
      [5, 30, "tester"],
      [6, 40, "coder"],
    ]);
    expect(steps(turned)).toEqual(steps(team));
  });

  it("says in short which steps an edge is", () => {
    const many = graph(
      [node("a"), node("b"), node("c")],
      [
        edge("a", "b", "called", 1, 2, 3),
        edge("b", "c", "called", 4, 6),
        edge("a", "c", "called", 5, 7, 9, 11),
        edge("c", "a", "called", 8),
      ],
    );
    const short = orders(steps(many));
    expect(many.edges.map((one) => short.get(edgeKey(one)))).toEqual(["1–3", "4, 6", "5, 7 …", "8"]);
  });

  it("keeps names of any sort apart in keys", () => {
    expect(edgeKey({ source: 'a","b', relation: "called", target: "c" })).not.toBe(
      edgeKey({ source: "a", relation: "called", target: 'b","c' }),
    );
    expect(nodeKey("tool", "x")).not.toBe(nodeKey("agent", "x"));
  });
});
