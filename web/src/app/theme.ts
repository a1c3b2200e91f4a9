import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";
export const THEMES: Record<Theme, string> = { system: "System", light: "Light", dark: "Dark" };

const readers = new Set<() => void>();

function read(): Theme {
  const set = document.documentElement.dataset.theme;
  return set === "light" || set === "dark" ? set : "system";
}

/** From one theme to the next; kept in this browser. */
export function switchTheme(): void {
  const next: Theme = { system: "light", light: "dark", dark: "system" }[read()] as Theme;
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("clew.theme");
    else localStorage.setItem("clew.theme", next);
  } catch {
    // storage is off: until the next load
  }
  for (const reader of readers) reader();
}

const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
dark?.addEventListener?.("change", () => {
  for (const reader of readers) reader();
});

function subscribe(reader: () => void): () => void {
  readers.add(reader);
  return () => readers.delete(reader);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, read);
}

/** Changes whenever colours do, for what is drawn on a canvas. */
export function usePaint(): string {
  return useSyncExternalStore(subscribe, () => `${read()}${dark?.matches}`);
}

/** A colour of tokens.css as a canvas takes it: color("--ink"). */
export function color(token: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(token).trim();
}
