/** A run's structure as sorted typed arrays: what is drawn is looked up here, never searched. Spans are in depth-first order, as the server sends them. */

import type { Schemas } from "../../api/client";

export type Structure = Schemas["Structure"];

export type Trace = {
  size: number;
  of: Structure;
  columns: Structure["spans"];
  parent: Int32Array;
  depth: Int32Array;
  /** Nanoseconds from the start of the trace. */
  start: Float64Array;
  /** The same; of what has not ended, the end of the trace as far as it is known. */
  end: Float64Array;
  /** Spans below and including it: they stand right behind it. */
  below: Int32Array;
  /** Length of the trace. */
  length: number;
  /** Sums over a span and all below it. */
  tokens: Float64Array;
  cost: Float64Array;
  /** Model calls whose cost is not known, and all of them. */
  unpriced: Int32Array;
  calls: Int32Array;
  errors: Int32Array;
  critical: Uint8Array;
  index: Map<string, number>;
};

export function index(of: Structure, nowNs?: number): Trace {
  const columns = of.spans;
  const size = columns.span_id.length;
  const start = Float64Array.from(columns.offset_ns);
  const end = new Float64Array(size);
  let length = 0;
  for (let at = 0; at < size; at++) length = Math.max(length, start[at]! + (columns.duration_ns[at] ?? 0));
  if (nowNs !== undefined && of.run.state === "running") length = Math.max(length, nowNs - of.start_ns);
  for (let at = 0; at < size; at++) {
    const lasted = columns.duration_ns[at];
    end[at] = lasted === null || lasted === undefined ? length : start[at]! + lasted;
  }
  const trace: Trace = {
    size,
    of,
    columns,
    parent: Int32Array.from(columns.parent),
    depth: Int32Array.from(columns.depth),
    start,
    end,
    below: new Int32Array(size).fill(1),
    length: Math.max(length, 1),
    tokens: new Float64Array(size),
    cost: new Float64Array(size),
    unpriced: new Int32Array(size),
    calls: new Int32Array(size),
    errors: new Int32Array(size),
    critical: new Uint8Array(size),
    index: new Map(columns.span_id.map((id, at) => [id, at])),
  };
  for (let at = size - 1; at >= 0; at--) {
    trace.tokens[at]! += (columns.input_tokens[at] ?? 0) + (columns.output_tokens[at] ?? 0);
    const cost = columns.cost_usd[at];
    if (columns.is_model_call[at]) {
      trace.calls[at]! += 1;
      if (cost === null || cost === undefined) trace.unpriced[at]! += 1;
      else trace.cost[at]! += cost;
    }
    if (columns.status[at] === "error") trace.errors[at]! += 1;
    const up = trace.parent[at]!;
    if (up >= 0) {
      for (const sum of [trace.below, trace.tokens, trace.cost, trace.unpriced, trace.calls, trace.errors]) sum[up]! += sum[at]!;
    }
  }
  markCritical(trace);
  return trace;
}

export function childrenOf(trace: Trace, at: number): number[] {
  const found = [];
  for (let child = at + 1; child < at + trace.below[at]!; child += trace.below[child]!) if (trace.parent[child] === at) found.push(child);
  return found;
}

/** The critical path: what would have to be shorter for the run to be shorter. From a span's end back, always the child that ended last before. */
function markCritical(trace: Trace): void {
  let root = -1;
  for (let at = 0; at < trace.size; at++) if (trace.parent[at]! < 0 && (root < 0 || trace.end[at]! > trace.end[root]!)) root = at;
  if (root < 0) return;
  const stack: [number, number][] = [[root, trace.end[root]!]];
  while (stack.length) {
    const [at, until] = stack.pop()!;
    trace.critical[at] = 1;
    let time = until;
    for (const child of childrenOf(trace, at).sort((a, b) => trace.end[b]! - trace.end[a]!)) {
      if (trace.end[child]! > time || trace.start[child]! >= time) continue;
      stack.push([child, trace.end[child]!]);
      time = trace.start[child]!;
    }
  }
}

/** Rows that are shown: a span, or (count > 1) several like it that stand side by side under one parent. */
export type Rows = {
  span: Int32Array;
  /** How many are drawn on the row. */
  count: Int32Array;
  /** Row of each span that is shown; of one in a group, the group's. -1: not shown. */
  row: Int32Array;
  size: number;
};

/** Fewer siblings alike than these are shown one by one. */
export const REPEATS = 5;

/** The rows, with what is below `closed` spans left out; groups in `open` (by their first span) are shown one by one. */
export function rowsOf(trace: Trace, closed: ReadonlySet<number>, open: ReadonlySet<number>): Rows {
  const span = new Int32Array(trace.size);
  const count = new Int32Array(trace.size);
  const row = new Int32Array(trace.size).fill(-1);
  let size = 0;
  for (let at = 0; at < trace.size;) {
    const alike = open.has(at) ? [] : repeatsFrom(trace, at);
    if (alike.length >= REPEATS) {
      span[size] = at;
      count[size] = alike.length;
      const last = alike.at(-1)!;
      for (let member = at; member < last + trace.below[last]!; member++) row[member] = size;
      at = last + trace.below[last]!;
    } else if (open.has(at)) {
      // The members of a group that was opened, each on its own.
      const members = repeatsFrom(trace, at);
      for (const member of members.slice(0, -1)) size = put(member, size);
      const last = members.at(-1) ?? at;
      size = put(last, size);
      at = last + trace.below[last]!;
      continue;
    } else {
      span[size] = at;
      count[size] = 1;
      row[at] = size;
      at += closed.has(at) ? trace.below[at]! : 1;
    }
    size++;
  }
  return { span: span.slice(0, size), count: count.slice(0, size), row, size };

  function put(member: number, at: number): number {
    span[at] = member;
    count[at] = 1;
    row[member] = at;
    let next = at + 1;
    if (closed.has(member)) return next;
    for (let below = member + 1; below < member + trace.below[member]!; below++) {
      span[next] = below;
      count[next] = 1;
      row[below] = next++;
    }
    return next;
  }
}

/** A span and the siblings right behind it that look the same: kind, name, and nothing below them but leaves. */
export function repeatsFrom(trace: Trace, at: number): number[] {
  const { kind, name } = trace.columns;
  const found = [at];
  const up = trace.parent[at]!;
  if (up < 0 || trace.below[at]! > 3) return found;
  const stop = up + trace.below[up]!;
  for (let next = at + trace.below[at]!; next < stop; next += trace.below[next]!) {
    if (trace.parent[next] !== up || kind[next] !== kind[at] || name[next] !== name[at] || trace.below[next]! > 3) break;
    found.push(next);
  }
  return found;
}

/** What the reader sees first: everything, but a very deep or large run only down to where it still reads as a whole. */
export function firstClosed(trace: Trace): Set<number> {
  const closed = new Set<number>();
  if (trace.size <= 2_000) return closed;
  for (let at = 0; at < trace.size; at++) if (trace.depth[at]! >= 12 && trace.below[at]! > 1) closed.add(at);
  return closed;
}

/** The ancestors of a span, the root last. */
export function pathTo(trace: Trace, at: number): number[] {
  const found = [];
  for (let up = trace.parent[at]!; up >= 0; up = trace.parent[up]!) found.push(up);
  return found;
}

/** Spans without a failed one below them: where a failure began. */
export function firstFailures(trace: Trace): number[] {
  const found = [];
  for (let at = 0; at < trace.size; at++) if (trace.columns.status[at] === "error" && trace.errors[at] === 1) found.push(at);
  return found;
}
