import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Trouble } from "../../app/Broken";
import { useKeys } from "../../app/keys";
import { clock, line, percent, plural, usd } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { agentTraceOf, type Decided } from "./queries";
import { pathTo, type Trace } from "./trace";

type Node = { decided: Decided; at: number; agent: string; below: Node[] };

/** What was decided, over what, and why not otherwise: a tree, as decisions lie below one another in the run. */
export function Decisions({ trace, selected, select }: { trace: Trace; selected: number; select: (at: number) => void }) {
  const found = useQuery(agentTraceOf(trace.of.run.run_id));
  const { roots, all } = useMemo(() => treeOf(trace, found.data?.agents ?? []), [trace, found.data]);
  const here = all.findIndex((node) => node.at === selected);
  const move = (by: number) => {
    const next = all[Math.max(0, Math.min(all.length - 1, here + by))];
    if (!next) return;
    select(next.at);
    document.getElementById(`decision-${next.decided.spanId}`)?.scrollIntoView({ block: "nearest" });
  };
  useKeys("Decisions", [
    { key: "j", does: "Next decision", run: () => move(1) },
    { key: "k", does: "Previous decision", run: () => move(-1) },
  ]);
  if (found.error) return <Trouble error={found.error} />;
  if (!found.isPending && all.length === 0) {
    return (
      <Empty
        title="No decision was recorded"
        command={
          'with clew.decision("which tool?", options=["search", "ask"]) as decision:\n    decision.choose("search", reason="it is cheap", confidence=0.8)'
        }
      >
        A decision names its options, their scores, what was chosen and why. A program records one with:
      </Empty>
    );
  }
  return (
    <div className="decisions" tabIndex={0} role="group" aria-label="Decisions">
      {found.data?.more && <CutNote>Only the first decisions are shown.</CutNote>}
      <div className="decision-agents">
        {found.data?.agents
          .filter((agent) => agent.decisions.length || agent.tokenUsage)
          .map((agent) => (
            <span key={agent.agentId}>
              <strong>{line(agent.agentId, 60) || "no agent"}</strong> {plural(agent.decisions.length, "decision")}
              {agent.tokenUsage && `, ${plural(agent.tokenUsage.modelCalls, "model call")}, ${usd(agent.tokenUsage.costUsd)}`}
              {agent.confidence !== null &&
                agent.finalChoice &&
                `, at last ${percent(agent.confidence)} sure of ${line(agent.finalChoice.option, 60)}`}
            </span>
          ))}
      </div>
      <ul>
        {roots.map((node) => (
          <DecisionNode key={node.decided.spanId} node={node} trace={trace} selected={selected} select={select} />
        ))}
      </ul>
    </div>
  );
}

function DecisionNode({ node, trace, selected, select }: { node: Node; trace: Trace; selected: number; select: (at: number) => void }) {
  const [asked, setAsked] = useState<string | null>(null);
  const { decided, at } = node;
  const scores = decided.alternatives.map((one) => one.score).filter((score) => score !== null);
  const best = Math.max(1e-9, ...scores.map(Math.abs), Math.abs(decided.choice?.score ?? 0));
  const outcome = outcomeOf(trace, at);
  const why = decided.alternatives.find((one) => one.option === asked);
  return (
    <li>
      <article id={`decision-${decided.spanId}`} className={`decision ${at === selected ? "chosen" : ""}`}>
        <header>
          <button type="button" className="turn-title" onClick={() => select(at)}>
            <span className="swatch swatch-decision" aria-hidden="true" /> <strong>{line(decided.question || decided.name, 300)}</strong>
          </button>
          <span className="faint">
            {line(node.agent, 60)} · {clock(decided.startNs).slice(0, 8)}
          </span>
        </header>
        <ul className="options">
          {decided.choice ? (
            <li className="option taken">
              <span className="option-mark" aria-label="chosen">
                ▸
              </span>
              <strong>{line(decided.choice.option, 200)}</strong>
              <Score score={decided.choice.score} best={best} />
              <span className="faint">
                {decided.choice.confidence !== null && `${percent(decided.choice.confidence)} sure`}
                {decided.choice.decidedBy && ` · decided by ${line(decided.choice.decidedBy, 60)}`}
              </span>
              {decided.choice.reason && <p>{line(decided.choice.reason, 2000)}</p>}
            </li>
          ) : (
            <li className="option faint">Nothing was chosen.</li>
          )}
          {decided.alternatives.map((one, number) => (
            <li key={number} className="option left">
              <span className="option-mark" aria-hidden="true">
                ·
              </span>
              <span>{line(one.option, 200)}</span>
              <Score score={one.score} best={best} />
              <button
                type="button"
                className="link"
                aria-expanded={asked === one.option}
                onClick={() => setAsked(asked === one.option ? null : one.option)}
              >
                Why not?
              </button>
            </li>
          ))}
        </ul>
        {why && (
          <p className="why" role="note">
            {why.reason
              ? line(why.reason, 2000)
              : decided.choice?.reason
                ? `No reason was recorded against it; what was said for “${line(decided.choice.option, 80)}”: ${line(decided.choice.reason, 1000)}`
                : "No reason was recorded."}
          </p>
        )}
        {outcome && (
          <p className="faint">
            Then:{" "}
            <button type="button" className="link" onClick={() => select(outcome.at)}>
              {line(trace.columns.name[outcome.at]!, 80)}
            </button>{" "}
            {outcome.failed ? <span className="error">failed ({plural(outcome.failed, "span")})</span> : "went well"},{" "}
            {plural(outcome.spans, "span")}.
          </p>
        )}
      </article>
      {node.below.length > 0 && (
        <ul>
          {node.below.map((child) => (
            <DecisionNode key={child.decided.spanId} node={child} trace={trace} selected={selected} select={select} />
          ))}
        </ul>
      )}
    </li>
  );
}

function Score({ score, best }: { score: number | null; best: number }) {
  if (score === null) return null;
  return (
    <span className="score" data-hint={`Score ${score}`}>
      <span className="score-bar" style={{ width: `${(Math.abs(score) / best) * 60}px` }} aria-hidden="true" />
      {score}
    </span>
  );
}

/** What came of a decision: what it holds, else what follows it. */
function outcomeOf(trace: Trace, at: number): { at: number; spans: number; failed: number } | null {
  let next = at + 1;
  while (next < trace.size && trace.columns.kind[next] === "decision") next++;
  return next < trace.size ? { at: next, spans: trace.below[next]!, failed: trace.errors[next]! } : null;
}

function treeOf(trace: Trace, agents: { agentId: string; decisions: Decided[] }[]): { roots: Node[]; all: Node[] } {
  const all = agents
    .flatMap((agent) =>
      agent.decisions.map((decided) => ({ decided, agent: agent.agentId, at: trace.index.get(decided.spanId) ?? -1, below: [] as Node[] })),
    )
    .filter((node) => node.at >= 0)
    .sort((a, b) => a.at - b.at);
  const nodes = new Map(all.map((node) => [node.at, node]));
  const roots: Node[] = [];
  for (const node of all) {
    const above = pathTo(trace, node.at).find((up) => nodes.has(up));
    (above === undefined ? roots : nodes.get(above)!.below).push(node);
  }
  return { roots, all };
}
