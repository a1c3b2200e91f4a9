import "./chart.css";
import { useEffect, useRef } from "react";
import type uPlot from "uplot";
import { color, usePaint } from "../app/theme";

export type Line = { label: string; values: (number | null)[]; token: string };

/** Lines over time, drawn by uPlot, which is loaded with the first one. Times are seconds since 1970; every chart with the same `sync` shares its crosshair. */
export function Chart({
  times,
  lines,
  format,
  label,
  height = 140,
  sync = "time",
}: {
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  label: string;
  height?: number;
  sync?: string;
}) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([[]]);
  data.current = [times, ...lines.map((one) => one.values)];
  const paint = usePaint();
  const shape = JSON.stringify([lines.map((one) => [one.label, one.token]), height, sync, paint]);
  const written = useRef(format);
  written.current = format;
  useEffect(() => {
    let gone = false;
    const element = place.current!;
    let watch: ResizeObserver | undefined;
    void import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      const [shown] = JSON.parse(shape) as [[string, string][]];
      const axis = {
        stroke: color("--ink-faint"),
        grid: { stroke: color("--line"), width: 1 },
        ticks: { show: false },
        font: `11px ${color("--font")}`,
      };
      const made = new Plot(
        {
          width: element.clientWidth || 300,
          height,
          legend: { show: false },
          cursor: { sync: { key: sync }, points: { size: 6 }, drag: { x: false, y: false } },
          scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
          axes: [axis, { ...axis, size: 62, values: (_, values) => values.map((value) => written.current(value)) }],
          series: [
            {},
            ...shown.map(([name, token]) => ({
              label: name,
              stroke: color(token),
              fill: `color-mix(in srgb, ${color(token)} 14%, transparent)`,
              width: 1.5,
              points: { show: false },
            })),
          ],
        },
        data.current,
        element,
      );
      chart.current = made;
      watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
      watch.observe(element);
    });
    return () => {
      gone = true;
      watch?.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [shape, height, sync]);
  useEffect(() => chart.current?.setData([times, ...lines.map((one) => one.values)]), [times, lines]);
  return <div ref={place} className="chart" style={{ height }} role="img" aria-label={label} />;
}
