import "./parts.css";
import { useRef, useState } from "react";
import { count, exact } from "../format";

export type Bars = { startNs: number; widthNs: number; series: { name: string; values: number[] }[] };

/** Counts over time, stacked; a click takes one bar's time, a drag a range. */
export function Histogram({ bars, label, choose }: { bars: Bars; label: string; choose?: (firstNs: number, lastNs: number) => void }) {
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const svg = useRef<SVGSVGElement>(null);
  const size = bars.series[0]?.values.length ?? 0;
  const totals = Array.from({ length: size }, (_, at) => bars.series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const most = Math.max(1, ...totals);
  const at = (clientX: number) => {
    const box = svg.current!.getBoundingClientRect();
    return Math.max(0, Math.min(size - 1, Math.floor(((clientX - box.left) / box.width) * size)));
  };
  const timeOf = (bar: number) => bars.startNs + bar * bars.widthNs;
  return (
    <figure>
      <svg
        ref={svg}
        className="histogram"
        viewBox={`0 0 ${Math.max(size, 1)} 50`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
        onPointerDown={(event) => {
          if (!choose) return;
          svg.current!.setPointerCapture(event.pointerId);
          setDrag({ from: at(event.clientX), to: at(event.clientX) });
        }}
        onPointerMove={(event) => drag && setDrag({ ...drag, to: at(event.clientX) })}
        onPointerUp={() => {
          if (drag && choose) choose(timeOf(Math.min(drag.from, drag.to)), timeOf(Math.max(drag.from, drag.to) + 1));
          setDrag(null);
        }}
        onPointerCancel={() => setDrag(null)}
      >
        {totals.map((total, bar) => {
          let y = 50;
          return (
            <g key={bar}>
              {bars.series.map(({ name, values }) => {
                const height = ((values[bar] ?? 0) / most) * 48;
                y -= height;
                return height > 0 ? (
                  <rect key={name} className={name} x={bar + 0.08} width={0.84} y={y} height={Math.max(height, 1)} />
                ) : null;
              })}
              <rect
                className="hit"
                x={bar}
                width={1}
                y={0}
                height={50}
                data-hint={`${exact(timeOf(bar))}\n${
                  bars.series
                    .filter(({ values }) => values[bar])
                    .map(({ name, values }) => `${count(values[bar])} ${name === "count" ? "ok" : name}`)
                    .join("\n") || `${total} here`
                }`}
              />
            </g>
          );
        })}
        {drag && <rect className="brush" x={Math.min(drag.from, drag.to)} width={Math.abs(drag.to - drag.from) + 1} y={0} height={50} />}
      </svg>
      {size > 0 && (
        <figcaption className="axis">
          <span>{exact(bars.startNs).slice(0, 16)}</span>
          <span>most {count(most)}</span>
          <span>{exact(timeOf(size)).slice(0, 16)}</span>
        </figcaption>
      )}
    </figure>
  );
}

/** A small line of counts; errors are marked below it. */
export function Spark({ values, errors, label }: { values: number[]; errors?: number[]; label: string }) {
  const most = Math.max(1, ...values);
  return (
    <svg className="spark" viewBox={`0 0 ${values.length} 20`} preserveAspectRatio="none" role="img" aria-label={label} data-hint={label}>
      {values.map((value, at) => {
        const height = value ? 2 + (value / most) * 14 : 0;
        return value ? <rect key={at} x={at + 0.1} width={0.8} y={17 - height} height={height} fill="var(--line-strong)" /> : null;
      })}
      {errors?.map((value, at) => (value ? <rect key={`e${at}`} x={at + 0.1} width={0.8} y={17} height={3} fill="var(--error)" /> : null))}
    </svg>
  );
}
