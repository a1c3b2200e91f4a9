import "./parts.css";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, type RefObject, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useKeys } from "../app/keys";
import { inOrder, isSortedBy, nextSort, readSort } from "./sorting";

export type Column<Row> = {
  title: string;
  cell: (row: Row) => ReactNode;
  /** A track of a CSS grid: "90px", "minmax(120px, 2fr)". */
  width: string;
  align?: "right";
  /** Left out on narrow screens. */
  wide?: boolean;
  hint?: string;
  /** What it is sorted by, where the table is; null comes last. */
  sort?: (row: Row) => number | null;
};

type Props<Row> = {
  /** Says to screen readers what it lists. */
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  id: (row: Row) => string;
  /** Enter, or a click. */
  open?: (row: Row) => void;
  /** Space: a preview beside the table. */
  preview?: (row: Row) => void;
  /** Further keys for the active row. */
  keys?: { key: string; does: string; run: (row: Row) => void }[];
  /** Ids of rows that are marked. */
  selected?: ReadonlySet<string>;
  /** Called when the reader comes near the end and there is more. */
  more?: () => void;
  /** Shown instead of rows. */
  empty?: ReactNode;
  loading?: boolean;
  rowHeight?: number;
  foot?: ReactNode;
  /** Told whether the reader is at the top, where new rows may slide in. */
  onTop?: (isAtTop: boolean) => void;
  /** Called with the active row when it changes by the keyboard. */
  onActive?: (row: Row) => void;
  /** The order of rows, as the address says it; "" for that in which they came. */
  sort?: string;
  /** Makes heads of columns buttons; called with the order that was chosen. */
  onSort?: (sort: string | undefined) => void;
};

/** Pixels below which a table leaves out its wide columns: a phone, or a window with a panel beside the table. */
const NARROW = 660;

/** A table of any length: only visible rows are in the page. j and k move, Enter opens, Space previews. */
export function Table<Row>(props: Props<Row>) {
  const { columns: all, rows: given, id, open, preview, rowHeight = 28, more, empty, loading, foot, onTop, onActive } = props;
  const scroll = useRef<HTMLDivElement>(null);
  const narrow = useNarrow(scroll);
  const columns = narrow ? all.filter((column) => !column.wide) : all;
  const rows = useMemo(() => inOrder(given, all, props.sort), [given, all, props.sort]);
  const [activeId, setActiveId] = useState<string | null>(null);
  const base = useId();
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 12,
  });
  const at = activeId === null ? -1 : rows.findIndex((row) => id(row) === activeId);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= rows.length - 15) more();
  }, [more, last, rows.length]);

  const move = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    const row = rows[next];
    if (!row) return;
    setActiveId(id(row));
    virtual.scrollToIndex(next);
    onActive?.(row);
  };
  const withRow = (run: ((row: Row) => void) | undefined) => () => {
    const row = rows[at];
    if (row && run) run(row);
  };
  useKeys(props.label, [
    { key: "j", does: "Next row", run: () => move(at + 1) },
    { key: "k", does: "Previous row", run: () => move(at - 1) },
    { key: "ArrowDown", does: "Next row", run: () => move(at + 1) },
    { key: "ArrowUp", does: "Previous row", run: () => move(at - 1) },
    { key: "g g", does: "First row", run: () => move(0) },
    { key: "G", does: "Last row", run: () => move(rows.length - 1) },
    ...(open ? [{ key: "Enter", does: "Open the row", run: withRow(open) }] : []),
    ...(preview ? [{ key: " ", does: "Preview the row", run: withRow(preview) }] : []),
    ...(props.keys ?? []).map((key) => ({ key: key.key, does: key.does, run: withRow(key.run) })),
  ]);
  const template = { gridTemplateColumns: columns.map((column) => column.width).join(" ") };
  return (
    <div className="table">
      <div
        ref={scroll}
        className="table-scroll"
        role="grid"
        aria-label={props.label}
        aria-rowcount={rows.length + 1}
        aria-activedescendant={at >= 0 && items.some((item) => item.index === at) ? `${base}-${at}` : undefined}
        aria-busy={loading}
        tabIndex={0}
        onScroll={(event) => onTop?.(event.currentTarget.scrollTop < rowHeight)}
      >
        <div className="table-head" role="row" aria-rowindex={1} style={template}>
          {columns.map((column) => (
            <Head key={column.title} of={column} sort={props.sort} onSort={props.onSort} />
          ))}
        </div>
        {loading && rows.length === 0 && <Skeletons template={template} columns={columns.length} rowHeight={rowHeight} />}
        {!loading && rows.length === 0 && empty && (
          <div role="row">
            <div role="gridcell">{empty}</div>
          </div>
        )}
        <div className="table-body" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index]!;
            const rowId = id(row);
            return (
              <div
                key={rowId}
                id={`${base}-${item.index}`}
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={props.selected?.has(rowId) ?? item.index === at}
                className={`table-row ${item.index === at ? "active" : ""}`}
                style={{ ...template, height: rowHeight, transform: `translateY(${item.start}px)` }}
                onClick={(event) => {
                  setActiveId(rowId);
                  if (!(event.target as Element).closest("a,button") && !getSelection()?.toString()) open?.(row);
                }}
              >
                {columns.map((column) => (
                  <div key={column.title} role="gridcell" className={`cut ${column.align ? "cell-right" : ""}`}>
                    {column.cell(row)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {foot && <div className="table-foot">{foot}</div>}
    </div>
  );
}

function Head<Row>({ of, sort, onSort }: { of: Column<Row> } & Pick<Props<Row>, "sort" | "onSort">) {
  const order = readSort(sort);
  const sorted = of.sort && onSort && (isSortedBy(order, of.title) ? (order?.up ? "ascending" : "descending") : "none");
  return (
    <div role="columnheader" className={`cut ${of.align ? "cell-right" : ""}`} aria-sort={sorted} data-hint={of.hint}>
      {sorted ? (
        <button type="button" className="table-sort" onClick={() => onSort?.(nextSort(sort, of.title))}>
          {sorted !== "none" && <span aria-hidden="true">{sorted === "ascending" ? "↑" : "↓"}</span>}
          {of.title}
        </button>
      ) : (
        of.title
      )}
    </div>
  );
}

function Skeletons({ template, columns, rowHeight }: { template: { gridTemplateColumns: string }; columns: number; rowHeight: number }) {
  return (
    <div role="presentation">
      {Array.from({ length: 12 }, (_, row) => (
        <div key={row} className="table-head" style={{ ...template, position: "static", height: rowHeight, borderBottom: 0 }}>
          {Array.from({ length: columns }, (_, column) => (
            <div key={column} className="skeleton" style={{ width: `${50 + ((row * 7 + column * 13) % 45)}%` }} />
          ))}
        </div>
      ))}
    </div>
  );
}

function useNarrow(of: RefObject<HTMLElement | null>): boolean {
  const [narrow, setNarrow] = useState(false);
  useLayoutEffect(() => {
    if (!of.current) return;
    const watch = new ResizeObserver(([entry]) => setNarrow((entry?.contentRect.width ?? NARROW) < NARROW));
    watch.observe(of.current);
    return () => watch.disconnect();
  }, [of]);
  return narrow;
}
