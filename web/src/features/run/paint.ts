/** Drawing on a canvas that is as sharp as the screen. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { color, usePaint } from "../../app/theme";
import { HUES } from "../../parts/Figures";

export type Palette = Record<
  "ink" | "soft" | "faint" | "line" | "paper" | "sheet" | "accent" | "wash" | "error" | "warning" | "running" | "onKind",
  string
> & {
  kinds: Record<string, string>;
  font: string;
  mono: string;
};

export function palette(): Palette {
  const kinds = Object.fromEntries([...new Set(Object.values(HUES)), "structure"].map((name) => [name, color(`--kind-${name}`)]));
  return {
    ink: color("--ink"),
    soft: color("--ink-soft"),
    faint: color("--ink-faint"),
    line: color("--line"),
    paper: color("--paper"),
    sheet: color("--sheet"),
    accent: color("--accent"),
    wash: color("--accent-wash"),
    error: color("--error"),
    warning: color("--warning"),
    running: color("--running"),
    onKind: color("--on-kind"),
    kinds,
    font: `12px ${color("--font")}`,
    mono: `11px ${color("--font")}`,
  };
}

export function kindColor(colors: Palette, kind: string): string {
  return colors.kinds[HUES[kind] ?? "structure"] ?? colors.kinds.structure!;
}

export type Size = { width: number; height: number };

/** A canvas that fills its element, and is drawn again, once a frame at most, whenever `draw` or the colours change. */
export function useCanvas(draw: (context: CanvasRenderingContext2D, size: Size, colors: Palette) => void) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const paint = usePaint();
  const colors = useRef<Palette | null>(null);
  const frame = useRef(0);
  const latest = useRef(draw);
  latest.current = draw;
  useLayoutEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    const watch = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    watch.observe(element);
    setSize({ width: element.clientWidth, height: element.clientHeight });
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    colors.current = palette();
  }, [paint]);
  const redraw = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      const context = canvas.current?.getContext("2d");
      if (!context || !size.width) return;
      const ratio = devicePixelRatio || 1;
      const width = Math.round(size.width * ratio);
      const height = Math.round(size.height * ratio);
      if (canvas.current!.width !== width || canvas.current!.height !== height) {
        canvas.current!.width = width;
        canvas.current!.height = height;
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, size.width, size.height);
      latest.current(context, size, (colors.current ??= palette()));
    });
  };
  useEffect(redraw);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  return { canvas, size, redraw };
}

type Fitted = { text: string; width: number };
const fitted = new Map<string, Map<string, Fitted>>();
const MOST_FITTED = 5_000;

/** A text cut to a width in pixels, with the width that it then has; each is measured once a font and width. */
export function fit(context: CanvasRenderingContext2D, text: string, width: number): Fitted {
  const place = `${context.font}|${Math.floor(width)}`;
  let known = fitted.get(place);
  if (!known) {
    if (fitted.size > 200) fitted.clear();
    fitted.set(place, (known = new Map()));
  }
  let found = known.get(text);
  if (!found) {
    if (known.size > MOST_FITTED) known.clear();
    known.set(text, (found = cut(context, text, width)));
  }
  return found;
}

function cut(context: CanvasRenderingContext2D, text: string, width: number): Fitted {
  const whole = context.measureText(text).width;
  if (whole <= width) return { text, width: whole };
  let low = 0;
  let high = width < 8 ? 0 : text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  const shown = low ? `${text.slice(0, low)}…` : "";
  return { text: shown, width: context.measureText(shown).width };
}

const LONG = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** Places of marks on a time axis: round lengths, about one in 110 pixels. */
export function ticks(from: number, to: number, width: number): { at: number; step: number }[] {
  const wanted = ((to - from) / Math.max(width, 1)) * 110;
  const power = 10 ** Math.floor(Math.log10(Math.max(wanted, 1)));
  const lengths = wanted < 30e9 ? [1, 2, 5, 10].map((times) => times * power) : LONG.map((seconds) => seconds * 1e9);
  const step = lengths.find((length) => length >= wanted) ?? Math.ceil(wanted / 86400e9) * 86400e9;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push({ at, step });
  return found;
}
