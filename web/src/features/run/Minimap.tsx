import { useMemo, useRef, useState } from "react";
import { type Palette, type Size, kindColor, useCanvas } from "./paint";
import type { Trace } from "./trace";
import type { Zoom } from "./zoom";

const LANES = 14;

/** All of a run in a strip; a drag chooses the part that is shown, a double click all of it. */
export function Minimap({ trace, zoom, setZoom }: { trace: Trace; zoom: Zoom; setZoom: (zoom: Zoom, done: boolean) => void }) {
  const [drag, setDrag] = useState<{ start: number; move: Zoom | null } | null>(null);
  const cache = useRef<{ key: string; image: HTMLCanvasElement } | null>(null);
  const lanes = useMemo(() => lanesOf(trace), [trace]);
  const { canvas, size } = useCanvas((context, size, colors) => {
    const key = `${size.width}x${size.height}|${colors.paper}`;
    if (cache.current?.key !== key || cache.current.image.dataset.of !== trace.of.run.run_id + trace.size) {
      const image = document.createElement("canvas");
      image.dataset.of = trace.of.run.run_id + trace.size;
      image.width = size.width * devicePixelRatio;
      image.height = size.height * devicePixelRatio;
      const within = image.getContext("2d")!;
      within.scale(devicePixelRatio, devicePixelRatio);
      drawAll(within, size, colors, trace, lanes);
      cache.current = { key, image };
    }
    context.drawImage(cache.current.image, 0, 0, size.width, size.height);
    const x = (ns: number) => (ns / trace.length) * size.width;
    if (zoom.from > 0 || zoom.to < trace.length) {
      context.fillStyle = colors.sheet;
      context.globalAlpha = 0.72;
      context.fillRect(0, 0, x(zoom.from), size.height);
      context.fillRect(x(zoom.to), 0, size.width, size.height);
      context.globalAlpha = 1;
      context.strokeStyle = colors.accent;
      context.strokeRect(x(zoom.from) + 0.5, 0.5, Math.max(x(zoom.to) - x(zoom.from) - 1, 1), size.height - 1);
    }
  });
  const at = (clientX: number) => {
    const box = canvas.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - box.left) / box.width)) * trace.length;
  };
  const change = (clientX: number, done: boolean) => {
    if (!drag) return;
    const now = at(clientX);
    if (drag.move) {
      const by = Math.max(-drag.move.from, Math.min(trace.length - drag.move.to, now - drag.start));
      setZoom({ from: drag.move.from + by, to: drag.move.to + by }, done);
    } else if (Math.abs(now - drag.start) > (trace.length / Math.max(size.width, 1)) * 3) {
      setZoom({ from: Math.min(drag.start, now), to: Math.max(drag.start, now) }, done);
    }
  };
  return (
    <div className="minimap">
      <canvas
        ref={canvas}
        role="img"
        aria-label="All of the run; drag to choose the part that is shown, or use the keys w, s, a and d"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          const start = at(event.clientX);
          const inside = (zoom.from > 0 || zoom.to < trace.length) && start > zoom.from && start < zoom.to;
          setDrag({ start, move: inside ? zoom : null });
        }}
        onPointerMove={(event) => change(event.clientX, false)}
        onPointerUp={(event) => {
          change(event.clientX, true);
          setDrag(null);
        }}
        onDoubleClick={() => setZoom({ from: 0, to: trace.length }, true)}
      />
    </div>
  );
}

/** The depth of a span, but every depth that occurs has its share of the height. */
function lanesOf(trace: Trace): number {
  let deepest = 0;
  for (const depth of trace.depth) if (depth > deepest) deepest = depth;
  return Math.min(deepest + 1, LANES);
}

function drawAll(context: CanvasRenderingContext2D, size: Size, colors: Palette, trace: Trace, lanes: number): void {
  const height = (size.height - 4) / lanes;
  const scale = size.width / trace.length;
  for (let at = 0; at < trace.size; at++) {
    const failed = trace.columns.status[at] === "error";
    context.fillStyle = failed ? colors.error : kindColor(colors, trace.columns.kind[at]!);
    context.globalAlpha = failed ? 1 : 0.8;
    const x = trace.start[at]! * scale;
    const lane = Math.min(trace.depth[at]!, lanes - 1);
    context.fillRect(x, 2 + lane * height, Math.max((trace.end[at]! - trace.start[at]!) * scale, 1), Math.max(height - 1, 1));
  }
  context.globalAlpha = 1;
}
