import type { Group, State } from "./queries";

const SHAPES: Record<State, string> = { new: "✕", regressed: "↺", ongoing: "", gone: "✓" };

/** What is new about an error, by shape and colour; ongoing is silent. */
export function StateMark({ state }: { state: State | null }) {
  if (!state || state === "ongoing") return null;
  return (
    <span className={`error-state error-state-${state}`}>
      <span aria-hidden="true">{SHAPES[state]}</span> {state}
    </span>
  );
}

/** An error in one line. */
export function what(group: Group): string {
  return [group.type, group.message].filter(Boolean).join(": ") || "(no message)";
}
