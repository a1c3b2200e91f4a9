/** What the list, the panel and the profile of agents say alike. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useShared } from "../../app/view";
import { term } from "../../filter/terms";
import { clock, count, duration, line, percent, plural } from "../../format";
import { Bar, Figure, Status, TotalCost, Tokens, When } from "../../parts/Figures";
import { type Edge, type Node, targetKind, type Weight } from "../../parts/graph/shape";
import type { Column } from "../../parts/Table";

/** What a relation says of the two. */
export const SAYS: Record<string, string> = {
  called: "The span of the second lies under that of the first.",
  delegated: "The span of the second lies under that of the first, through a tool call or a task.",
  messaged: "The first recorded a message that names the second, or that the second's span links to.",
  used: "Calls of the tool by the agent itself.",
  asked: "Calls of the model by the agent itself.",
};

export const title = (name: string, most = 120) => line(name, most) || "(no name)";

/** Spans that belong to it, as a filter of the page Search. */
export const spansOf = (node: { kind: string; name: string }, more = "") =>
  [term(node.kind, node.name), node.kind === "tool" ? "kind:tool" : "", more].filter(Boolean).join(" ");

export function SearchLink({ filter, children, className }: { filter: string; children: ReactNode; className?: string }) {
  const { time } = useShared();
  return (
    <Link to="/search" search={{ filter, time } as never} className={className}>
      {children}
    </Link>
  );
}

export function Failed({ of }: { of: Weight }) {
  if (of.errors === 0)
    return (
      <span className="faint" data-hint={`None of ${plural(of.calls, "call")} ended with an error.`}>
        0
      </span>
    );
  return (
    <span className="error" data-hint={`${count(of.errors)} of ${plural(of.calls, "call")} ended with an error.`}>
      ✕ {count(of.errors)} <span className="soft">{percent(of.errors / of.calls)}</span>
    </span>
  );
}

export function Took({ ns, level, of }: { ns: number | null; level: number; of: string }) {
  return (
    <Figure
      unknown={ns === null}
      hint={ns === null ? `None of its ${of} has ended.` : `${level} % of its ${of} that ended took at most this.`}
    >
      {duration(ns)}
    </Figure>
  );
}

/** The columns of calls, failures, durations, tokens and cost: of an agent, a tool, or an edge. */
export function weightColumns<Row>(of: (row: Row) => Weight, rows: Row[]): Column<Row>[] {
  const most = Math.max(1, ...rows.map((row) => of(row).calls));
  const dearest = Math.max(1e-9, ...rows.map((row) => of(row).partial_cost_usd));
  return [
    {
      title: "Calls",
      width: "52px",
      align: "right",
      sort: (row) => of(row).calls,
      cell: (row) => <Bar share={of(row).calls / most}>{count(of(row).calls)}</Bar>,
    },
    {
      title: "Failed",
      width: "78px",
      align: "right",
      sort: (row) => of(row).errors,
      cell: (row) => <Failed of={of(row)} />,
      hint: "Calls whose span ended with an error.",
    },
    ...([50, 95] as const).map((level): Column<Row> => ({
      title: `p${level}`,
      width: "60px",
      align: "right",
      sort: (row) => of(row)[`p${level}_ns`],
      cell: (row) => <Took ns={of(row)[`p${level}_ns`]} level={level} of="calls" />,
      wide: true,
      hint: `${level} % of the calls that ended took at most this.`,
    })),
    {
      title: "Tokens",
      width: "62px",
      align: "right",
      sort: (row) => {
        const { input_tokens: input, output_tokens: output } = of(row);
        return input === null && output === null ? null : (input ?? 0) + (output ?? 0);
      },
      cell: (row) => {
        const weight = of(row);
        return (
          <Tokens
            input={weight.input_tokens}
            output={weight.output_tokens}
            calls={weight.model_calls}
            withUsage={weight.calls_with_usage}
          />
        );
      },
      wide: true,
    },
    {
      title: "Cost",
      width: "72px",
      align: "right",
      sort: (row) => of(row).partial_cost_usd,
      cell: (row) => (
        <Bar share={of(row).partial_cost_usd / dearest}>
          <TotalCost of={of(row)} />
        </Bar>
      ),
      hint: "Of the model calls that the agent made itself.",
    },
  ];
}

/** The calls behind a figure, each a link to its span in its run. */
export function Calls({ of }: { of: Node | Edge }) {
  const all = of.weight.calls;
  if (of.listed.length === 0) return null;
  return (
    <>
      <h3>{of.listed.length < all ? `The newest ${of.listed.length} of ${plural(all, "call")}` : "Calls, newest first"}</h3>
      <ul className="agents-calls">
        {of.listed.map((call) => (
          <li key={`${call.run_id}${call.span_id}`}>
            <Link to={`/runs/${call.run_id}`} search={{ tab: "graph", span: call.span_id } as never}>
              <When ns={call.start_ns} /> <span className="faint">{clock(call.start_ns)}</span>
            </Link>
            <span>{duration(call.duration_ns)}</span>
            <Status of={{ status: call.failed ? "error" : "ok", state: call.duration_ns === null ? "running" : "ended" }} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** An edge as one end sees it. */
export type Tie = { edge: Edge; out: boolean; kind: string; name: string };

export function tiesOf(edges: Edge[], node: { kind: string; name: string }): Tie[] {
  return edges
    .flatMap((edge): Tie[] => {
      const target = targetKind(edge);
      const found: Tie[] = [];
      if (node.kind === "agent" && edge.source === node.name) found.push({ edge, out: true, kind: target, name: edge.target });
      if (node.kind === target && edge.target === node.name) found.push({ edge, out: false, kind: "agent", name: edge.source });
      return found;
    })
    .sort((a, b) => Number(b.out) - Number(a.out) || b.edge.weight.calls - a.edge.weight.calls);
}

const PASSIVE: Record<string, string> = {
  called: "called by",
  delegated: "given by",
  messaged: "told by",
  used: "used by",
  asked: "asked by",
};
export const verb = (tie: Tie) => (tie.out ? tie.edge.relation : (PASSIVE[tie.edge.relation] ?? tie.edge.relation));
