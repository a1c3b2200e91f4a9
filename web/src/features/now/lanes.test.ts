import { expect, test } from "vitest";
import { lanesOf, MOST_LANES } from "./lanes";

type Graph = Parameters<typeof lanesOf>[0];
const call = (from: number, lasted: number | null, failed = false) => ({
  start_ns: 1e18 + from * 1e9,
  duration_ns: lasted === null ? null : lasted * 1e9,
  failed,
});
const graph = (nodes: [string, object[], string?][], edges: [string, string, object[], string?][] = []) =>
  ({
    nodes: nodes.map(([name, listed, kind = "agent"]) => ({ name, kind, listed })),
    edges: edges.map(([source, target, listed, relation = "called"]) => ({ source, target, relation, listed })),
  }) as unknown as Graph;

test("agents are lanes in the order in which they began, and hand-offs lie between them", () => {
  const of = graph(
    [
      ["coder", [call(30, null), call(5, 20)]],
      ["lead", [call(0, null)]],
      ["pytest", [call(1, 1)], "tool"],
      ["tester", [call(26, 3, true)]],
    ],
    [
      ["lead", "tester", [call(26, 3)], "delegated"],
      ["lead", "coder", [call(5, 20), call(30, null)]],
      ["lead", "pytest", [call(1, 1)], "used"],
      ["lead", "lead", [call(2, 1)]],
    ],
  );
  expect(lanesOf(of, 1e18)).toEqual({
    lanes: [
      { agent: "lead", calls: [{ from: 0, to: null, failed: false }] },
      {
        agent: "coder",
        calls: [
          { from: 5, to: 25, failed: false },
          { from: 30, to: null, failed: false },
        ],
      },
      { agent: "tester", calls: [{ from: 26, to: 29, failed: true }] },
    ],
    handoffs: [
      { at: 5, from: 0, to: 1, relation: "called" },
      { at: 26, from: 0, to: 2, relation: "delegated" },
      { at: 30, from: 0, to: 1, relation: "called" },
    ],
    hidden: 0,
  });
});

test("beyond the most lanes agents are counted, and hand-offs to them left out", () => {
  const names = Array.from({ length: MOST_LANES + 2 }, (_, at) => `agent ${at}`);
  const of = graph(
    names.map((name, at) => [name, [call(at, 1)]]),
    [
      [names[0]!, names[1]!, [call(1, 1)]],
      [names[0]!, names.at(-1)!, [call(9, 1)]],
    ],
  );
  const { lanes, handoffs, hidden } = lanesOf(of, 1e18);
  expect([lanes.length, handoffs.length, hidden]).toEqual([MOST_LANES, 1, 2]);
});
