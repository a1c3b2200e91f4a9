/** The keyboard: each view declares its keys with what they do, and help lists those that are on. */

import { useEffect, useRef } from "react";

export type Key = {
  /** "j", "/", "Escape", "mod+k" (Ctrl or ⌘), "g r" (one after the other). */
  key: string;
  does: string;
  run: (event: KeyboardEvent) => void;
  /** Also while a text is being typed. */
  inFields?: boolean;
};

const active: { group: string; keys: Key[] }[] = [];
let first: { key: string; at: number } | null = null;

/** The keys that are on, by group, the newest group first. */
export function activeKeys(): { group: string; keys: Key[] }[] {
  return [...active].reverse().filter(({ keys }) => keys.length);
}

export function useKeys(group: string, keys: Key[], on = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!on) return;
    const entry = {
      group,
      get keys() {
        return latest.current;
      },
    };
    active.push(entry);
    return () => {
      active.splice(active.indexOf(entry), 1);
    };
  }, [group, on]);
}

function name(event: KeyboardEvent): string {
  return event.ctrlKey || event.metaKey ? `mod+${event.key.toLowerCase()}` : event.key;
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function press(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const inField = isField(event.target);
  // A button or link keeps the keys that press it.
  const pressing =
    event.target instanceof HTMLElement && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName) && /^(Enter| )$/.test(event.key);
  const pressed = name(event);
  const chord = first && event.timeStamp - first.at < 1000 ? `${first.key} ${pressed}` : null;
  first = null;
  for (const wanted of chord ? [chord, pressed] : [pressed]) {
    for (const { keys } of [...active].reverse()) {
      const found = keys.find((key) => key.key === wanted && (!inField || key.inFields) && !pressing);
      if (found) {
        event.preventDefault();
        found.run(event);
        return;
      }
    }
  }
  if (!inField && active.some(({ keys }) => keys.some((key) => key.key.startsWith(`${pressed} `))))
    first = { key: pressed, at: event.timeStamp };
}

globalThis.document?.addEventListener("keydown", press);
