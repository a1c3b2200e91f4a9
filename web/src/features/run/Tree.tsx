import { useMemo, useState } from "react";
import { useKeys } from "../../app/keys";
import { count, duration, line, short, usd } from "../../format";
import { Figure, Kind } from "../../parts/Figures";
import { type Column, Table } from "../../parts/Table";
import { firstClosed, rowsOf, type Trace } from "./trace";

type Row = { at: number; count: number };

/** The spans as a tree of figures: each sums up what is below it. */
export function Tree({ trace, selected, select }: { trace: Trace; selected: number; select: (at: number) => void }) {
  const [closed, setClosed] = useState<ReadonlySet<number>>(() => firstClosed(trace));
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const rows = useMemo(() => {
    const found = rowsOf(trace, closed, open);
    return Array.from({ length: found.size }, (_, row): Row => ({ at: found.span[row]!, count: found.count[row]! }));
  }, [trace, closed, open]);
  const { columns } = trace;
  const fold = (row: Row) => {
    if (row.count > 1) return setOpen(new Set([...open, row.at]));
    if (trace.below[row.at] === 1) return;
    const next = new Set(closed);
    if (!next.delete(row.at)) next.add(row.at);
    setClosed(next);
  };
  const chosen = rows.find((row) => row.at === selected);
  useKeys("Tree", [
    { key: "ArrowRight", does: "Show what is below", run: () => chosen && (chosen.count > 1 || closed.has(chosen.at)) && fold(chosen) },
    { key: "ArrowLeft", does: "Hide what is below", run: () => chosen && chosen.count === 1 && !closed.has(chosen.at) && fold(chosen) },
  ]);
  const table: Column<Row>[] = [
    {
      title: "Span",
      width: "minmax(160px, 3fr)",
      cell: (row) => (
        <span className="tree-name" style={{ paddingLeft: Math.min(trace.depth[row.at]!, 20) * 14 }}>
          <button
            type="button"
            className="tree-fold"
            aria-label={row.count > 1 ? `Show each of ${row.count}` : closed.has(row.at) ? "Show what is below" : "Hide what is below"}
            style={{ visibility: row.count > 1 || trace.below[row.at]! > 1 ? "visible" : "hidden" }}
            onClick={() => fold(row)}
          >
            {row.count > 1 || closed.has(row.at) ? "▸" : "▾"}
          </button>
          <span className={columns.status[row.at] === "error" ? "error cut" : "cut"}>
            {columns.status[row.at] === "error" && "✕ "}
            {line(columns.name[row.at]!)}
            {row.count > 1 && ` ×${row.count}`}
          </span>
        </span>
      ),
    },
    { title: "Kind", width: "84px", cell: (row) => <Kind kind={columns.kind[row.at]!} />, wide: true },
    { title: "Agent", width: "minmax(60px, 1fr)", cell: (row) => line(columns.agent[row.at]!), wide: true },
    {
      title: "Model or tool",
      width: "minmax(60px, 1fr)",
      cell: (row) => line(columns.model[row.at]! || columns.tool[row.at]!),
      wide: true,
    },
    {
      title: "Below",
      width: "56px",
      align: "right",
      cell: (row) => (trace.below[row.at]! > 1 ? count(trace.below[row.at]! - 1) : ""),
      wide: true,
    },
    {
      title: "Failed",
      width: "48px",
      align: "right",
      cell: (row) => (trace.errors[row.at] ? <span className="error">{count(trace.errors[row.at])}</span> : ""),
    },
    {
      title: "Tokens",
      width: "60px",
      align: "right",
      cell: (row) => (trace.tokens[row.at] ? short(trace.tokens[row.at]) : ""),
      hint: "Of it and all below it.",
    },
    {
      title: "Cost",
      width: "76px",
      align: "right",
      cell: (row) => <RolledUp trace={trace} at={row.at} />,
      hint: "Of it and all below it.",
    },
    { title: "Duration", width: "76px", align: "right", cell: (row) => duration(columns.duration_ns[row.at]) },
  ];
  return (
    <Table
      label="Tree of spans"
      columns={table}
      rows={rows}
      id={(row) => String(row.at)}
      open={(row) => select(row.at)}
      onActive={(row) => select(row.at)}
      selected={new Set([String(selected)])}
      rowHeight={24}
    />
  );
}

/** Cost of a span and all below it: only the model calls count. */
export function RolledUp({ trace, at }: { trace: Trace; at: number }) {
  const calls = trace.calls[at]!;
  if (!calls) return null;
  const unknown = trace.unpriced[at]!;
  if (!unknown) return <Figure hint={`Sum of ${count(calls)} model calls.`}>{usd(trace.cost[at])}</Figure>;
  return (
    <Figure unknown hint={`The cost of ${unknown} of ${count(calls)} model calls is not known.`}>
      {trace.cost[at] ? `≥ ${usd(trace.cost[at])}` : "–"}
    </Figure>
  );
}
