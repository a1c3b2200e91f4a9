import "./chart.css";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { color, usePaint } from "../app/theme";

export type Line = { label: string; values: (number | null)[]; token: string };

/** How the axis writes times, by the distance of its marks: as all of the UI does, in hours of 24 and with the year first. */
const TIMES: uPlot.Axis.Values = [
  [3600 * 24 * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [3600 * 24 * 28, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
  [3600 * 24, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
];

/** The line whose point at a place is nearest to the pointer. */
function nearest(plot: uPlot, place: number): number | null {
  const top = plot.cursor.top ?? 0;
  let found: number | null = null;
  let least = Infinity;
  for (let line = 1; line < plot.data.length; line++) {
    const value = plot.data[line]![place];
    if (value === null || value === undefined) continue;
    const distance = Math.abs(plot.valToPos(value, "y") - top);
    if (distance < least) [least, found] = [distance, line - 1];
  }
  return found;
}

/** Places of a line's points without a neighbour: no line leads to them, so they are drawn themselves. */
function alone(plot: uPlot, line: number): number[] {
  const values = plot.data[line] ?? [];
  const is = (place: number) => values[place] !== null && values[place] !== undefined;
  return Array.from(values.keys()).filter((place) => is(place) && !is(place - 1) && !is(place + 1));
}

function drawMark(plot: uPlot, at: number, stroke: string): void {
  const y = plot.valToPos(at, "y", true);
  if (y < plot.bbox.top || y > plot.bbox.top + plot.bbox.height) return;
  plot.ctx.save();
  plot.ctx.strokeStyle = stroke;
  plot.ctx.setLineDash([4, 4]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(plot.bbox.left, y);
  plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}

/** Lines over time, drawn by uPlot. Times are seconds since 1970; every chart with the same `sync` shares its crosshair. */
export function Chart({
  times,
  lines,
  format,
  label,
  height = 140,
  sync = "time",
  marks,
  choose,
}: {
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  label: string;
  height?: number;
  sync?: string;
  /** Levels drawn as dashed lines. */
  marks?: { at: number; token: string }[];
  /** Told which line's point was clicked: the nearest. */
  choose?: (line: number, place: number) => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([[]]);
  data.current = [times, ...lines.map((one) => one.values)];
  const paint = usePaint();
  const shape = JSON.stringify([lines.map((one) => [one.label, one.token]), marks ?? [], height, sync, paint]);
  const chosen = useRef(choose);
  chosen.current = choose;
  const written = useRef(format);
  written.current = format;
  useEffect(() => {
    const element = place.current!;
    const [shown, levels] = JSON.parse(shape) as [[string, string][], { at: number; token: string }[]];
    const axis = {
      stroke: color("--ink-faint"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: `11px ${color("--font")}`,
    };
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        legend: { show: false },
        cursor: { sync: { key: sync }, points: { size: 6 }, drag: { x: false, y: false } },
        scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
        axes: [
          { ...axis, gap: 8, values: TIMES },
          { ...axis, size: 62, values: (_, values) => values.map((value) => written.current(value)) },
        ],
        series: [
          {},
          ...shown.map(([name, token]) => ({
            label: name,
            stroke: color(token),
            fill: shown.length > 1 ? undefined : `color-mix(in srgb, ${color(token)} 14%, transparent)`,
            width: 1.5,
            points: { show: true, size: 5, filter: alone },
          })),
        ],
        hooks: { draw: [(plot) => levels.forEach((level) => drawMark(plot, level.at, color(level.token)))] },
      },
      data.current,
      element,
    );
    chart.current = made;
    made.over.addEventListener("click", () => {
      const place = made.cursor.idx;
      if (place === null || place === undefined) return;
      const line = nearest(made, place);
      if (line !== null) chosen.current?.(line, place);
    });
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [shape, height, sync]);
  useEffect(() => chart.current?.setData([times, ...lines.map((one) => one.values)]), [times, lines]);
  return <div ref={place} className={choose ? "chart chart-open" : "chart"} style={{ height }} role="img" aria-label={label} />;
}
