/** Single figures and marks, each of which says on hover where it comes from. */

import type { ReactNode } from "react";
import { ago, count, duration, exact, shortId, UNKNOWN, usd, utc } from "../format";

export type Source = "reported" | "computed" | "cached" | "unpriced" | "missing" | "" | string;

const SOURCES: Record<string, string> = {
  reported: "Reported by the provider.",
  computed: "Computed: tokens × list price.",
  cached: "Answered from a local cache: costs nothing.",
  unpriced: "No price is known for this model. Give one in prices.toml in the data directory.",
  missing: "The call recorded no usage, so that its cost is not known.",
};

/** A figure with its provenance: unknown is dashed and says why, estimated is italic. */
export function Figure({
  children,
  hint,
  unknown,
  estimated,
}: {
  children: ReactNode;
  hint?: string;
  unknown?: boolean;
  estimated?: boolean;
}) {
  const style = unknown ? "unknown" : estimated ? "estimated" : undefined;
  return (
    <span className={style} data-hint={hint}>
      {children}
    </span>
  );
}

/** Cost of one model call. */
export function CallCost({ usd: value, source }: { usd: number | null; source: Source }) {
  return (
    <Figure unknown={value === null} hint={SOURCES[source] ?? ""}>
      {usd(value)}
    </Figure>
  );
}

/** Cost of several calls: not known when that of any is not; then at least what is known stands there. */
export function TotalCost({
  of,
}: {
  of: { cost_usd: number | null; partial_cost_usd: number; unpriced_models: string[]; model_calls: number; calls_with_usage: number };
}) {
  if (of.model_calls === 0) return <span className="faint" />;
  if (of.cost_usd !== null)
    return (
      <Figure hint={`Cost of ${count(of.model_calls)} model calls: reported by the provider, else tokens × list price.`}>
        {usd(of.cost_usd)}
      </Figure>
    );
  const why = [
    of.unpriced_models.length ? `No price is known for ${of.unpriced_models.join(", ") || "(no name)"}.` : "",
    of.calls_with_usage < of.model_calls ? `${of.model_calls - of.calls_with_usage} of ${of.model_calls} calls recorded no usage.` : "",
  ];
  return (
    <Figure unknown hint={[`At least ${usd(of.partial_cost_usd)}.`, ...why].filter(Boolean).join("\n")}>
      {of.partial_cost_usd > 0 ? `≥ ${usd(of.partial_cost_usd)}` : UNKNOWN}
    </Figure>
  );
}

export function Tokens({
  input,
  output,
  calls,
  withUsage,
}: {
  input: number | null;
  output: number | null;
  calls?: number;
  withUsage?: number;
}) {
  if (input === null && output === null)
    return calls === 0 ? (
      <span />
    ) : (
      <Figure unknown hint="No call recorded its usage.">
        {UNKNOWN}
      </Figure>
    );
  const partly = calls !== undefined && withUsage !== undefined && withUsage < calls;
  const hint = `${count(input)} input (cached included)\n${count(output)} output (reasoning included)${partly ? `\n${calls - withUsage} of ${calls} calls recorded no usage: more than this` : ""}`;
  const sum = (input ?? 0) + (output ?? 0);
  return (
    <Figure hint={hint} unknown={partly}>
      {sum >= 10_000 ? `${Math.round(sum / 1000).toLocaleString("en")}k` : count(sum)}
    </Figure>
  );
}

/** How long something took; what runs still counts from its start. */
export function Lasted({ ns, state }: { ns: number | null; state: string }) {
  if (ns !== null) return <span>{duration(ns)}</span>;
  const why = state === "lost" ? "Its process ended before it did." : "It has not ended yet.";
  return (
    <Figure unknown hint={why}>
      {UNKNOWN}
    </Figure>
  );
}

/** A moment: relative, and exact on hover. */
export function When({ ns, now }: { ns: number; now?: number }) {
  return (
    <time dateTime={utc(ns)} data-hint={`${exact(ns)} (local)\n${utc(ns)}`}>
      {ago(ns, now)}
    </time>
  );
}

/** A shortened id; a click copies all of it. */
export function Id({ id, of = "id" }: { id: string; of?: string }) {
  return (
    <button
      type="button"
      className="id mono"
      data-hint={`${id}\nClick to copy`}
      aria-label={`${shortId(id)}: copy the ${of}`}
      onClick={(event) => {
        event.stopPropagation();
        void copy(id);
      }}
    >
      {shortId(id)}
    </button>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"); // pages of other machines without TLS have no clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce("Copied");
}

/** Says a short word at the foot of the page, also to screen readers. */
export function announce(text: string): void {
  let place = document.getElementById("announcement");
  if (!place) {
    place = document.createElement("div");
    place.id = "announcement";
    place.setAttribute("role", "status");
    document.body.append(place);
  }
  const shown = place;
  shown.textContent = text;
  shown.classList.add("on");
  setTimeout(() => shown.classList.remove("on"), 1500);
}

const OUTCOMES: Record<string, { shape: string; hint: string }> = {
  error: { shape: "✕", hint: "It failed." },
  running: { shape: "●", hint: "It is running." },
  lost: { shape: "◌", hint: "Lost: its process ended before it did." },
  ok: { shape: "", hint: "It ended without an error." },
};

export function outcome(one: { state: string; status: string }): "error" | "running" | "lost" | "ok" {
  if (one.state === "running" || one.state === "lost") return one.state;
  return one.status === "error" ? "error" : "ok";
}

/** State by shape and colour; ok is silent. */
export function Status({ of }: { of: { state: string; status: string } }) {
  const said = outcome(of);
  return (
    <span className={`status status-${said}`} data-hint={OUTCOMES[said]!.hint}>
      <span aria-hidden="true">{OUTCOMES[said]!.shape}</span> {said}
    </span>
  );
}

/** Kinds with a hue of their own; the others have that of their nearest. */
export const HUES: Record<string, string> = {
  llm: "llm",
  tool: "tool",
  agent: "agent",
  decision: "decision",
  memory: "memory",
  git: "git",
  execution: "execution",
  gate: "gate",
  message: "agent",
  retrieval: "memory",
  embedding: "memory",
  evaluation: "gate",
};

export function hue(kind: string): string {
  return `--kind-${HUES[kind] ?? "structure"}`;
}

export function Kind({ kind }: { kind: string }) {
  return (
    <span className="kind">
      <span className={`swatch swatch-${HUES[kind] ?? "structure"}`} aria-hidden="true" />
      {kind}
    </span>
  );
}

/** A bar behind a figure: how large it is beside the largest of the column. */
export function Bar({ share, children }: { share: number; children: ReactNode }) {
  return (
    <span className="bar">
      <span className="bar-fill" style={{ width: `${Math.max(0, Math.min(1, share || 0)) * 100}%` }} aria-hidden="true" />
      <span className="bar-text">{children}</span>
    </span>
  );
}
