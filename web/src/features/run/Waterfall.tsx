import { memo, useEffect, useMemo, useRef, useState } from "react";
import { useKeys } from "../../app/keys";
import { duration, line, short, usd } from "../../format";
import { fit, kindColor, type Palette, type Size, ticks, useCanvas } from "./paint";
import { type Rows, type Trace, firstClosed, firstFailures, pathTo, repeatsFrom, rowsOf } from "./trace";
import { moved, scaled, type Zoom } from "./zoom";

const ROW = 22;
const HEAD = 22;
const INDENT = 12;
const DEEPEST = 14;
/** Deeper spans are not indented further. */
const RESTS_MS = 150;
/** So long after the last step a scroll has come to rest. */

type Props = {
  trace: Trace;
  zoom: Zoom;
  setZoom: (zoom: Zoom, done: boolean) => void;
  selected: number;
  select: (at: number) => void;
  critical: boolean;
};

/**
 * The spans of a run over its time: a tree on the left, a bar each on the right. Drawn on a canvas, only what is visible. A scroll and a pointer
 * only draw again; what screen readers are told follows when a scroll has come to rest.
 */
export function Waterfall({ trace, zoom, setZoom, selected, select, critical }: Props) {
  const [closed, setClosed] = useState<ReadonlySet<number>>(() => firstClosed(trace));
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const rows = useMemo(() => rowsOf(trace, closed, open), [trace, closed, open]);
  const scroll = useRef<HTMLDivElement>(null);
  const [rested, setRested] = useState(0);
  const resting = useRef<ReturnType<typeof setTimeout>>(undefined);
  const seen = useRef({ top: 0, hover: -1, x: 0 });

  const layout = (width: number) => {
    const figures = width > 760 ? 132 : 0;
    const names = Math.round(Math.min(460, Math.max(130, width * (figures ? 0.34 : 0.44))));
    return { names, figures, left: names + figures };
  };
  const { canvas, size, redraw } = useCanvas((context, size, colors) =>
    draw(context, size, colors, { trace, rows, ...seen.current, zoom, selected, critical, closed, ...layout(size.width) }),
  );
  const { left } = layout(size.width);
  const timeAt = (x: number) => zoom.from + ((x - left) / Math.max(size.width - left, 1)) * (zoom.to - zoom.from);
  const rowAt = (y: number) => {
    const row = Math.floor((y - HEAD + seen.current.top) / ROW);
    return y >= HEAD && row >= 0 && row < rows.size ? row : -1;
  };

  const hover = (row: number) => {
    if (row === seen.current.hover) return;
    seen.current.hover = row;
    redraw();
  };
  const rest = () => {
    clearTimeout(resting.current);
    setRested(scroll.current?.scrollTop ?? 0);
  };
  useEffect(() => () => clearTimeout(resting.current), []);
  const reveal = (row: number) => {
    const view = scroll.current;
    if (!view || row < 0) return;
    const y = row * ROW;
    if (y < view.scrollTop) view.scrollTop = y;
    else if (y + ROW + HEAD > view.scrollTop + view.clientHeight) view.scrollTop = y + ROW + HEAD - view.clientHeight;
    rest();
  };
  // A span that is chosen elsewhere is brought into view, whatever hides it.
  useEffect(() => {
    if (selected < 0) return;
    const hidden = pathTo(trace, selected).filter((up) => closed.has(up));
    if (hidden.length) setClosed(new Set([...closed].filter((at) => !hidden.includes(at))));
    const row = rows.row[selected]!;
    if (row >= 0 && rows.count[row]! > 1 && rows.span[row] !== selected) setOpen(new Set([...open, rows.span[row]!]));
    reveal(row);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only when the choice changes
  }, [selected, trace]);

  const fold = (at: number, close: boolean) => {
    const row = rows.row[at]!;
    if (row >= 0 && rows.count[row]! > 1) {
      if (!close) setOpen(new Set([...open, rows.span[row]!]));
      return;
    }
    if (close && (trace.below[at] === 1 || closed.has(at))) {
      const group = [...open].find((first) => repeatsFrom(trace, first).includes(at));
      if (group !== undefined) {
        setOpen(new Set([...open].filter((one) => one !== group)));
        select(group);
      } else if (trace.parent[at]! >= 0) select(trace.parent[at]!);
      return;
    }
    const next = new Set(closed);
    if (close) next.add(at);
    else next.delete(at);
    setClosed(next);
  };
  const move = (by: number) => {
    const row = selected >= 0 ? rows.row[selected]! : -1;
    const next = Math.max(0, Math.min(rows.size - 1, row + by));
    if (rows.size) {
      select(rows.span[next]!);
      reveal(next);
    }
  };
  const failures = useMemo(() => firstFailures(trace), [trace]);
  const width = zoom.to - zoom.from;
  useKeys("Waterfall", [
    { key: "j", does: "Next span", run: () => move(1) },
    { key: "k", does: "Previous span", run: () => move(-1) },
    { key: "ArrowDown", does: "Next span", run: () => move(1) },
    { key: "ArrowUp", does: "Previous span", run: () => move(-1) },
    { key: "ArrowRight", does: "Show what is below; open a repeat", run: () => selected >= 0 && fold(selected, false) },
    { key: "ArrowLeft", does: "Hide what is below; go up", run: () => selected >= 0 && fold(selected, true) },
    {
      key: "e",
      does: "Next failure",
      run: () => {
        const next = failures.find((at) => at > selected) ?? failures[0];
        if (next !== undefined) select(next);
      },
    },
    { key: "w", does: "Closer", run: () => setZoom(scaled(zoom, 0.6, focus(), trace.length), true) },
    { key: "s", does: "Farther", run: () => setZoom(scaled(zoom, 1 / 0.6, focus(), trace.length), true) },
    { key: "a", does: "Earlier", run: () => setZoom(moved(zoom, -width * 0.3, trace.length), true) },
    { key: "d", does: "Later", run: () => setZoom(moved(zoom, width * 0.3, trace.length), true) },
    { key: "f", does: "Fit the selected span", run: () => selected >= 0 && setZoom(around(trace, selected), true) },
    { key: "0", does: "All of the run", run: () => setZoom({ from: 0, to: trace.length }, true) },
  ]);
  const focus = () => (seen.current.x > left ? timeAt(seen.current.x) : selected >= 0 ? trace.start[selected]! : (zoom.from + zoom.to) / 2);

  // Wheel with Ctrl (as a pinch comes) zooms at the pointer; React's own listener could not keep the page from zooming.
  const wheel = useRef<(event: WheelEvent) => void>(() => {});
  wheel.current = (event) => {
    const x = event.clientX - scroll.current!.getBoundingClientRect().left;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      setZoom(scaled(zoom, event.deltaY > 0 ? 1.2 : 1 / 1.2, timeAt(x), trace.length), true);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      setZoom(moved(zoom, (event.deltaX / size.width) * width, trace.length), true);
    }
  };
  useEffect(() => {
    const view = scroll.current;
    const listen = (event: WheelEvent) => wheel.current(event);
    view?.addEventListener("wheel", listen, { passive: false });
    return () => view?.removeEventListener("wheel", listen);
  }, []);

  const first = Math.max(0, Math.floor(rested / ROW));
  const stop = Math.min(rows.size, Math.ceil((rested + size.height) / ROW));
  const at = selected >= 0 ? rows.row[selected]! : -1;
  return (
    <div
      ref={scroll}
      className="waterfall"
      role="tree"
      aria-label="Spans"
      tabIndex={0}
      aria-activedescendant={at >= first && at < stop ? `span-${rows.span[at]}` : undefined}
      data-rows={rows.size}
      onScroll={(event) => {
        seen.current.top = event.currentTarget.scrollTop;
        redraw();
        clearTimeout(resting.current);
        resting.current = setTimeout(rest, RESTS_MS);
      }}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        seen.current.x = event.clientX - box.left;
        hover(rowAt(event.clientY - box.top));
      }}
      onPointerLeave={() => hover(-1)}
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const row = rowAt(event.clientY - box.top);
        if (row < 0) return;
        const at = rows.span[row]!;
        const x = event.clientX - box.left;
        const indent = Math.min(trace.depth[at]!, DEEPEST) * INDENT;
        if (x < indent + 20 && (rows.count[row]! > 1 || trace.below[at]! > 1)) fold(at, rows.count[row] === 1 && !closed.has(at));
        else select(at === rows.span[row] && x > left && rows.count[row]! > 1 ? nearest(trace, at, timeAt(x)) : at);
      }}
      onDoubleClick={(event) => {
        const row = rowAt(event.clientY - event.currentTarget.getBoundingClientRect().top);
        if (row >= 0) setZoom(around(trace, rows.span[row]!), true);
      }}
    >
      <div className="waterfall-canvas">
        <canvas ref={canvas} aria-hidden="true" />
      </div>
      <div style={{ height: Math.max(0, rows.size * ROW + HEAD - size.height) }} />
      <Told trace={trace} rows={rows} first={first} stop={stop} selected={selected} closed={closed} />
    </div>
  );
}

/** The rows that are drawn, for screen readers. */
const Told = memo(function Told({ trace, rows, first, stop, selected, closed }: ToldProps) {
  return (
    <div className="sr-only">
      {Array.from(rows.span.subarray(first, Math.max(first, stop)), (at, offset) => (
        <div
          key={at}
          id={`span-${at}`}
          role="treeitem"
          aria-level={trace.depth[at]! + 1}
          aria-selected={rows.row[at] === rows.row[selected]}
          aria-expanded={trace.below[at]! > 1 ? !closed.has(at) : undefined}
        >
          {describe(trace, at, rows.count[first + offset]!)}
        </div>
      ))}
    </div>
  );
});

type ToldProps = Pick<Scene, "trace" | "rows" | "selected" | "closed"> & { first: number; stop: number };

function describe(trace: Trace, at: number, count: number): string {
  const { kind, name, status } = trace.columns;
  return `${kind[at]} ${line(name[at]!, 80)}${count > 1 ? ` ×${count}` : ""}, ${duration(trace.columns.duration_ns[at])}${status[at] === "error" ? ", failed" : ""}`;
}

function around(trace: Trace, at: number): Zoom {
  const margin = Math.max((trace.end[at]! - trace.start[at]!) * 0.06, 100);
  return { from: Math.max(0, trace.start[at]! - margin), to: Math.min(trace.length, trace.end[at]! + margin) };
}

function nearest(trace: Trace, first: number, time: number): number {
  let best = first;
  for (const at of repeatsFrom(trace, first)) {
    if (trace.start[at]! <= time) best = at;
  }
  return best;
}

type Scene = {
  trace: Trace;
  rows: Rows;
  top: number;
  zoom: Zoom;
  selected: number;
  hover: number;
  critical: boolean;
  closed: ReadonlySet<number>;
  names: number;
  figures: number;
  left: number;
};

function draw(context: CanvasRenderingContext2D, size: Size, colors: Palette, scene: Scene): void {
  const { trace, rows, top, zoom, selected, hover, names, figures, left } = scene;
  const { columns } = trace;
  const right = size.width - 8;
  const scale = (right - left) / (zoom.to - zoom.from);
  const x = (ns: number) => left + (ns - zoom.from) * scale;
  const first = Math.max(0, Math.floor(top / ROW));
  const stop = Math.min(rows.size, Math.ceil((top + size.height) / ROW) + 1);
  const marks = ticks(zoom.from, zoom.to, right - left);
  context.textBaseline = "middle";

  context.fillStyle = colors.line;
  for (const { at } of marks) context.fillRect(Math.round(x(at)), HEAD, 1, size.height);

  const drawn: number[][] = [];
  for (let row = first; row < stop; row++) {
    const at = rows.span[row]!;
    const y = HEAD + row * ROW - top;
    const middle = y + ROW / 2;
    const chosen = rows.row[selected] === row && selected >= 0;
    if (chosen || row === hover) {
      context.fillStyle = chosen ? colors.wash : colors.sheet;
      context.fillRect(0, y, size.width, ROW);
    }
    const count = rows.count[row]!;
    const members = count > 1 ? repeatsFrom(trace, at) : [at];
    drawn.push(members);
    const failed = members.some((member) => columns.status[member] === "error");
    const below = !failed && trace.errors[at]! > 0;

    // The tree.
    let left0 = 8 + Math.min(trace.depth[at]!, DEEPEST) * INDENT;
    if (trace.below[at]! > 1 || count > 1) {
      context.fillStyle = colors.faint;
      chevron(context, left0, middle, count === 1 && !scene.closed.has(at));
    }
    left0 += 12;
    context.fillStyle = kindColor(colors, columns.kind[at]!);
    context.fillRect(left0, middle - 4, 8, 8);
    left0 += 13;
    if (failed || below) {
      context.fillStyle = colors.error;
      context.font = colors.font;
      context.fillText(failed ? "✕" : "↓", left0, middle + 0.5);
      left0 += 13;
    }
    context.font = chosen ? `600 ${colors.font}` : colors.font;
    context.fillStyle = failed ? colors.error : colors.ink;
    const name = line(columns.name[at]!, 120) || "(no name)";
    const shown = fit(context, count > 1 ? `${name} ×${count}` : name, names - left0 - 6);
    context.fillText(shown.text, left0, middle + 0.5);
    const used = left0 + shown.width + 8;
    const about =
      columns.model[at] && columns.kind[at] === "llm"
        ? columns.model[at]!
        : columns.kind[at] === "tool" && columns.tool[at] !== name
          ? columns.tool[at]!
          : "";
    if (about && shown.text && used < names - 24) {
      context.font = colors.mono;
      context.fillStyle = colors.faint;
      context.fillText(fit(context, line(about, 60), names - used - 6).text, used, middle + 0.5);
    }
    if (figures) {
      context.font = colors.mono;
      context.textAlign = "right";
      context.fillStyle = colors.soft;
      const cost = trace.calls[at]
        ? trace.unpriced[at]
          ? trace.cost[at]
            ? `≥${usd(trace.cost[at])}`
            : "–"
          : usd(sum(members, trace.cost))
        : "";
      context.fillText(cost, names + 58, middle + 0.5);
      const tokens = sum(members, trace.tokens);
      context.fillText(tokens ? short(tokens) : "", names + figures - 16, middle + 0.5);
      context.textAlign = "left";
    }
  }

  // The bars.
  context.save();
  context.beginPath();
  context.rect(left, HEAD, right - left + 8, size.height);
  context.clip();
  for (let row = first; row < stop; row++) {
    const y = HEAD + row * ROW - top;
    const members = drawn[row - first]!;
    for (const member of members) bar(context, colors, scene, member, x, y, size);
    if (members.length === 1) label(context, colors, trace, rows.span[row]!, x, y + ROW / 2, left, right);
  }
  context.restore();

  context.fillStyle = colors.paper;
  context.fillRect(0, 0, size.width, HEAD);
  context.fillStyle = colors.line;
  context.fillRect(0, HEAD - 1, size.width, 1);
  context.fillRect(names, 0, 1, 0);
  context.font = colors.mono;
  context.fillStyle = colors.faint;
  context.fillText("span", 8, HEAD / 2);
  if (figures) {
    context.textAlign = "right";
    context.fillText("cost", names + 58, HEAD / 2);
    context.fillText("tokens", names + figures - 16, HEAD / 2);
    context.textAlign = "left";
  }
  for (const { at } of marks) if (x(at) < right - 30) context.fillText(duration(at), x(at) + 4, HEAD / 2);
}

function bar(
  context: CanvasRenderingContext2D,
  colors: Palette,
  scene: Scene,
  at: number,
  x: (ns: number) => number,
  y: number,
  size: Size,
): void {
  const { trace } = scene;
  const { status, state, kind } = trace.columns;
  const from = Math.max(x(trace.start[at]!), -2);
  const to = Math.min(x(trace.end[at]!), size.width + 2);
  if (to < scene.left - 2 || from > size.width) return;
  const width = Math.max(to - from, 2);
  context.fillStyle = kindColor(colors, kind[at]!);
  context.globalAlpha = trace.below[at]! > 1 ? 0.55 : 1;
  context.fillRect(from, y + 4, width, ROW - 8);
  context.globalAlpha = 1;
  if (status[at] === "error") {
    context.fillStyle = colors.error;
    context.fillRect(from, y + 4, Math.min(3, width), ROW - 8);
    context.fillRect(from, y + ROW - 6, width, 2);
  }
  if (state[at] !== "ended") {
    context.strokeStyle = state[at] === "lost" ? colors.warning : colors.running;
    context.setLineDash([4, 3]);
    context.strokeRect(from + 0.5, y + 4.5, width - 1, ROW - 9);
    context.setLineDash([]);
  }
  if (scene.critical && trace.critical[at]) {
    context.fillStyle = colors.ink;
    context.fillRect(from, y + ROW - 3, width, 1.5);
  }
}

function label(
  context: CanvasRenderingContext2D,
  colors: Palette,
  trace: Trace,
  at: number,
  x: (ns: number) => number,
  middle: number,
  left: number,
  right: number,
): void {
  const lasted = trace.columns.duration_ns[at];
  const text = lasted === null || lasted === undefined ? trace.columns.state[at]! : duration(lasted);
  context.font = colors.mono;
  const width = context.measureText(text).width;
  const from = Math.max(x(trace.start[at]!), left);
  const to = Math.min(x(trace.end[at]!), right);
  if (to < left || from > right) return;
  if (to - from > width + 10) {
    context.fillStyle = trace.below[at]! > 1 ? colors.ink : colors.onKind;
    context.fillText(text, from + 5, middle + 0.5);
  } else {
    context.fillStyle = colors.soft;
    const beside = Math.max(to, from + 2) + 5;
    context.fillText(text, beside + width < right ? beside : from - width - 5, middle + 0.5);
  }
}

function chevron(context: CanvasRenderingContext2D, x: number, y: number, open: boolean): void {
  context.beginPath();
  if (open) {
    context.moveTo(x, y - 2.5);
    context.lineTo(x + 8, y - 2.5);
    context.lineTo(x + 4, y + 3);
  } else {
    context.moveTo(x + 1.5, y - 4);
    context.lineTo(x + 7, y);
    context.lineTo(x + 1.5, y + 4);
  }
  context.fill();
}

function sum(members: number[], values: Float64Array): number {
  let total = 0;
  for (const member of members) total += values[member]!;
  return total;
}
