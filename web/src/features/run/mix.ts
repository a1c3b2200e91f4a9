import type { Trace } from "./trace";

/** The models of a run's model calls, that with the most tokens first. */
export function mixOf(trace: Pick<Trace, "columns">): { model: string; calls: number; tokens: number }[] {
  const { columns } = trace;
  const found = new Map<string, { model: string; calls: number; tokens: number }>();
  columns.is_model_call.forEach((isCall, at) => {
    if (!isCall) return;
    const model = columns.model[at] || "(no name)";
    const one = found.get(model) ?? { model, calls: 0, tokens: 0 };
    one.calls++;
    one.tokens += (columns.input_tokens[at] ?? 0) + (columns.output_tokens[at] ?? 0);
    found.set(model, one);
  });
  return [...found.values()].sort((a, b) => b.tokens - a.tokens || b.calls - a.calls || (a.model < b.model ? -1 : 1));
}
