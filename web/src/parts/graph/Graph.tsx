import "./graph.css";
import { lazy, Suspense, type ReactNode } from "react";
import { useKeys } from "../../app/keys";
import { useView } from "../../app/view";
import { count } from "../../format";
import { CutNote } from "../Empty";
import type { GraphProps } from "./AgentGraph";
import { dashes, type Graph as AllOfIt, type Measure, MEASURES, MOST_DRAWN } from "./shape";

const AgentGraph = lazy(() => import("./AgentGraph"));

/** The graph, which is loaded when it is first shown: no other view needs what draws it. */
export function Graph(props: GraphProps) {
  return (
    <Suspense fallback={<div className="graph" aria-busy="true" aria-label={props.label} />}>
      <AgentGraph {...props} />
    </Suspense>
  );
}

const TITLES: Record<Measure, string> = { calls: "Calls", cost: "Cost", errors: "Errors" };

/** What the URL says of a graph. */
export function useGraph(): { by: Measure; leaves: ("tool" | "model")[]; most: number; set: ReturnType<typeof useView>[1] } {
  const [view, set] = useView();
  const most = Number(view.draw);
  return {
    by: MEASURES.find((one) => one === view.by) ?? "calls",
    leaves: (["tool", "model"] as const).filter((one) => view.with?.split(",").includes(one)),
    most: most > 0 ? most : MOST_DRAWN,
    set,
  };
}

/** What makes an edge wide, what else than agents is drawn, and what the shapes mean. */
export function GraphBar({ children }: { children?: ReactNode }) {
  const { by, leaves, set } = useGraph();
  const measure = (next: Measure) => set({ by: next === "calls" ? undefined : next }, { replace: true });
  const leaf = (one: "tool" | "model") => {
    const next = leaves.includes(one) ? leaves.filter((other) => other !== one) : [...leaves, one];
    set({ with: next.join(",") || undefined }, { replace: true });
  };
  useKeys("Graph", [
    { key: "v", does: "Edges by calls, cost or errors", run: () => measure(MEASURES[(MEASURES.indexOf(by) + 1) % MEASURES.length]!) },
    { key: "o", does: "Tools, shown or not", run: () => leaf("tool") },
    { key: "m", does: "Models, shown or not", run: () => leaf("model") },
  ]);
  return (
    <div className="graph-bar">
      <span className="graph-choice" role="group" aria-label="Width of edges">
        <span className="faint">Edges by</span>
        {MEASURES.map((one) => (
          <button key={one} type="button" className="button" aria-pressed={one === by} onClick={() => measure(one)}>
            {TITLES[one]}
          </button>
        ))}
      </span>
      <span className="graph-choice" role="group" aria-label="What is drawn beside agents">
        <span className="faint">With</span>
        {(["tool", "model"] as const).map((one) => (
          <button key={one} type="button" className="button" aria-pressed={leaves.includes(one)} onClick={() => leaf(one)}>
            <span className={`graph-mark graph-${one}`} aria-hidden="true" />
            {one === "tool" ? "Tools" : "Models"}
          </button>
        ))}
      </span>
      {children}
      <span className="graph-legend faint">
        <Stroke of="called" /> called
        <Stroke of="delegated" /> delegated, through a tool or task
        <Stroke of="messaged" /> messaged
        <strong className="error">✕</strong> failed
      </span>
    </div>
  );
}

function Stroke({ of }: { of: string }) {
  return (
    <svg className={`graph-stroke graph-edge graph-${of}`} viewBox="0 0 26 8" aria-hidden="true">
      <path className="graph-line" d="M1,4H25" strokeWidth="2" strokeDasharray={dashes(of, 2)} />
    </svg>
  );
}

/** What of the graph is not drawn. */
export function DrawnNote({ of, hiddenNodes, hiddenEdges }: { of: AllOfIt; hiddenNodes: number; hiddenEdges: number }) {
  const { set, most } = useGraph();
  if (hiddenNodes === 0) return null;
  return (
    <CutNote>
      Only the {count(of.nodes.length - hiddenNodes)} busiest of {count(of.nodes.length)} nodes are drawn, and{" "}
      {count(of.edges.length - hiddenEdges)} of {count(of.edges.length)} edges.{" "}
      <button type="button" className="link" onClick={() => set({ draw: String(most * 2) }, { replace: true })}>
        Draw {count(Math.min(most * 2, of.nodes.length))}
      </button>
    </CutNote>
  );
}
