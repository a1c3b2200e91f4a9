import { useMemo, useRef, useState } from "react";
import { useKeys } from "../../app/keys";
import { duration, line } from "../../format";
import { fit, kindColor, type Palette, type Size, ticks, useCanvas } from "./paint";
import type { Trace } from "./trace";
import { moved, scaled, type Zoom } from "./zoom";

const LANE = 16;
const HEAD = 22;
/** Above the first lane, as much as there is between two agents. */
const ABOVE = LANE / 2;
const NAMES = 170;

type Lanes = { agents: { name: string; top: number; lanes: number }[]; lane: Int32Array; height: number; handoffs: [number, number][] };

/** What each agent did when: one group of lanes an agent, its calls side by side where they overlap, arcs where one hands over to another. */
export function Timeline({
  trace,
  zoom,
  setZoom,
  selected,
  select,
}: {
  trace: Trace;
  zoom: Zoom;
  setZoom: (zoom: Zoom, done: boolean) => void;
  selected: number;
  select: (at: number) => void;
}) {
  const lanes = useMemo(() => lanesOf(trace), [trace]);
  const top = useRef(0);
  const [hint, setHint] = useState("");
  const scroll = useRef<HTMLDivElement>(null);
  const { canvas, size, redraw } = useCanvas((context, size, colors) =>
    draw(context, size, colors, trace, lanes, zoom, top.current, selected),
  );
  const left = Math.min(NAMES, size.width * 0.3);
  const at = (clientX: number, clientY: number): number => {
    const box = scroll.current!.getBoundingClientRect();
    const time = zoom.from + ((clientX - box.left - left) / Math.max(size.width - left, 1)) * (zoom.to - zoom.from);
    const lane = Math.floor((clientY - box.top - HEAD - ABOVE + top.current) / LANE);
    const slack = ((zoom.to - zoom.from) / Math.max(size.width, 1)) * 2;
    let best = -1;
    for (let span = 0; span < trace.size; span++) {
      if (lanes.lane[span] === lane && trace.start[span]! - slack <= time && trace.end[span]! + slack >= time) best = span;
    }
    return best;
  };
  const width = zoom.to - zoom.from;
  const step = (by: number) => {
    const shown = Array.from({ length: trace.size }, (_, span) => span).filter((span) => lanes.lane[span]! >= 0);
    const now = shown.indexOf(selected);
    const next = shown[Math.max(0, Math.min(shown.length - 1, now + by))];
    if (next !== undefined) select(next);
  };
  useKeys("Timeline", [
    { key: "j", does: "Next span", run: () => step(1) },
    { key: "k", does: "Previous span", run: () => step(-1) },
    { key: "w", does: "Closer", run: () => setZoom(scaled(zoom, 0.6, zoom.from + width / 2, trace.length), true) },
    { key: "s", does: "Farther", run: () => setZoom(scaled(zoom, 1 / 0.6, zoom.from + width / 2, trace.length), true) },
    { key: "a", does: "Earlier", run: () => setZoom(moved(zoom, -width * 0.3, trace.length), true) },
    { key: "d", does: "Later", run: () => setZoom(moved(zoom, width * 0.3, trace.length), true) },
    { key: "0", does: "All of the run", run: () => setZoom({ from: 0, to: trace.length }, true) },
  ]);
  return (
    <div
      ref={scroll}
      className="waterfall"
      role="group"
      tabIndex={0}
      aria-label={`Timeline: ${lanes.agents.map((agent) => agent.name || "no agent").join(", ")}`}
      data-hint={hint}
      onScroll={(event) => {
        top.current = event.currentTarget.scrollTop;
        redraw();
      }}
      onPointerMove={(event) => {
        const span = at(event.clientX, event.clientY);
        setHint(
          span < 0
            ? ""
            : `${trace.columns.kind[span]} ${line(trace.columns.name[span]!, 80)}\n${duration(trace.columns.duration_ns[span])}`,
        );
      }}
      onClick={(event) => {
        const span = at(event.clientX, event.clientY);
        if (span >= 0) select(span);
      }}
    >
      <div className="waterfall-canvas">
        <canvas ref={canvas} aria-hidden="true" />
      </div>
      <div style={{ height: Math.max(0, lanes.height * LANE + HEAD + ABOVE - size.height) }} />
    </div>
  );
}

/** The spans that do something (leaves, and what is no mere container) in lanes of their agent, each in the first that is free. */
function lanesOf(trace: Trace): Lanes {
  const { agent, kind } = trace.columns;
  const groups = new Map<string, number[]>();
  for (let at = 0; at < trace.size; at++) {
    const name = agent[at]!;
    if (!groups.has(name)) groups.set(name, []);
    if (trace.below[at] === 1 || kind[at] === "llm" || kind[at] === "tool") groups.get(name)!.push(at);
  }
  const lane = new Int32Array(trace.size).fill(-1);
  const agents = [];
  let top = 0;
  for (const [name, spans] of [...groups].filter(([, members]) => members.length)) {
    const free: number[] = [];
    for (const at of spans.sort((a, b) => trace.start[a]! - trace.start[b]!)) {
      let place = free.findIndex((until) => until <= trace.start[at]!);
      if (place < 0) place = free.length < 40 ? free.length : 39;
      free[place] = Math.max(free[place] ?? 0, trace.end[at]!);
      lane[at] = top + place;
    }
    agents.push({ name, top, lanes: free.length });
    top += free.length + 1;
  }
  const handoffs: [number, number][] = [];
  const groupOf = new Map(agents.map((one) => [one.name, one.top]));
  for (let at = 0; at < trace.size; at++) {
    const up = trace.parent[at]!;
    if (up >= 0 && agent[at] && agent[up] && agent[at] !== agent[up] && groupOf.has(agent[at]!) && groupOf.has(agent[up]!))
      handoffs.push([up, at]);
  }
  return { agents, lane, height: top, handoffs: handoffs.slice(0, 2000) };
}

function draw(
  context: CanvasRenderingContext2D,
  size: Size,
  colors: Palette,
  trace: Trace,
  lanes: Lanes,
  zoom: Zoom,
  top: number,
  selected: number,
): void {
  const left = Math.min(NAMES, size.width * 0.3);
  const scale = (size.width - left - 8) / (zoom.to - zoom.from);
  const x = (ns: number) => left + (ns - zoom.from) * scale;
  const y = (lane: number) => HEAD + ABOVE + lane * LANE - top;
  const marks = ticks(zoom.from, zoom.to, size.width - left);
  context.textBaseline = "middle";
  context.fillStyle = colors.line;
  for (const { at } of marks) context.fillRect(Math.round(x(at)), HEAD, 1, size.height);
  for (const agent of lanes.agents) {
    context.fillStyle = colors.line;
    context.fillRect(0, y(agent.top + agent.lanes) + LANE / 2, size.width, 1);
    context.font = `600 ${colors.font}`;
    context.fillStyle = colors.ink;
    context.fillText(fit(context, line(agent.name, 60) || "no agent", left - 16).text, 8, y(agent.top) + LANE / 2);
  }
  context.save();
  context.beginPath();
  context.rect(left, HEAD, size.width - left, size.height);
  context.clip();
  for (let at = 0; at < trace.size; at++) {
    const lane = lanes.lane[at]!;
    const place = y(lane);
    if (lane < 0 || place < HEAD - LANE || place > size.height) continue;
    const from = x(trace.start[at]!);
    const to = x(trace.end[at]!);
    if (to < left || from > size.width) continue;
    const width = Math.max(to - from, 1.5);
    const failed = trace.columns.status[at] === "error";
    context.fillStyle = kindColor(colors, trace.columns.kind[at]!);
    context.fillRect(from, place + 2, width, LANE - 4);
    if (failed) {
      context.fillStyle = colors.error;
      context.fillRect(from, place + LANE - 4, Math.max(width, 3), 2.5);
    }
    if (at === selected) {
      context.strokeStyle = colors.ink;
      context.lineWidth = 2;
      context.strokeRect(from - 1, place + 1, width + 2, LANE - 2);
      context.lineWidth = 1;
    }
    if (width > 44) {
      context.font = colors.mono;
      context.fillStyle = colors.onKind;
      context.fillText(fit(context, line(trace.columns.name[at]!, 60), width - 8).text, from + 4, place + LANE / 2 + 0.5);
    }
  }
  context.strokeStyle = colors.soft;
  context.globalAlpha = 0.6;
  const rows = new Map(lanes.agents.map((agent) => [agent.name, agent.top]));
  for (const [from, to] of lanes.handoffs) {
    const at = x(trace.start[to]!);
    const upper = y(rows.get(trace.columns.agent[from]!)!) + LANE / 2;
    const lower = y(rows.get(trace.columns.agent[to]!)!) + LANE / 2;
    context.beginPath();
    context.moveTo(at, upper);
    context.bezierCurveTo(at - 14, upper, at - 14, lower, at, lower);
    context.stroke();
    context.beginPath();
    context.arc(at, lower, 2, 0, 7);
    context.stroke();
  }
  context.globalAlpha = 1;
  context.restore();
  context.fillStyle = colors.paper;
  context.fillRect(0, 0, size.width, HEAD);
  context.fillStyle = colors.line;
  context.fillRect(0, HEAD - 1, size.width, 1);
  context.font = colors.mono;
  context.fillStyle = colors.faint;
  context.fillText("agent", 8, HEAD / 2);
  for (const { at } of marks) if (x(at) < size.width - 40) context.fillText(duration(at), x(at) + 4, HEAD / 2);
}
