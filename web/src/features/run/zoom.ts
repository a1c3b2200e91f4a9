/** The part of a run's time that is shown, in nanoseconds from its start; in the URL as "from-to" in microseconds. */

export type Zoom = { from: number; to: number };

const LEAST = 100;

export function read(text: string | undefined, length: number): Zoom {
  const [from, to] = (text ?? "").split("-").map(Number);
  return from !== undefined && to !== undefined && to > from ? { from: from * 1000, to: to * 1000 } : { from: 0, to: length };
}

export function write(zoom: Zoom, length: number): string | undefined {
  return zoom.from <= 0 && zoom.to >= length ? undefined : `${Math.round(zoom.from / 1000)}-${Math.round(zoom.to / 1000)}`;
}

/** Closer (below 1) or farther around a place. */
export function scaled(zoom: Zoom, by: number, around: number, length: number): Zoom {
  const width = Math.max((zoom.to - zoom.from) * by, LEAST);
  if (width >= length) return { from: 0, to: length };
  const share = (around - zoom.from) / (zoom.to - zoom.from);
  return moved({ from: around - share * width, to: around + (1 - share) * width }, 0, length);
}

export function moved(zoom: Zoom, by: number, length: number): Zoom {
  const width = zoom.to - zoom.from;
  const from = Math.max(0, Math.min(length - width, zoom.from + by));
  return { from, to: from + width };
}
