/** View state is the URL: what a reader sees, a link shows. Names are plain text: ?filter=status:error&time=1d&span=… */

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

export type View = Record<string, string | undefined>;

/** Parameters that go along from page to page. */
export const SHARED = ["filter", "time"] as const;

export function parseSearch(text: string): View {
  return Object.fromEntries(new URLSearchParams(text));
}

export function writeSearch(search: Record<string, unknown>): string {
  const kept = Object.entries(search).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
}

/** The view's parameters, and a function that sets some of them; undefined takes one away. `replace` makes no step to go back to. */
export function useView(): [View, (change: View, how?: { replace?: boolean }) => void] {
  const view = useSearch({ strict: false }) as View;
  const navigate = useNavigate();
  const set = useCallback(
    (change: View, { replace = false } = {}) => {
      void navigate({ to: ".", search: ((now: View) => ({ ...now, ...change })) as never, replace });
    },
    [navigate],
  );
  return [view, set];
}

/** What is shared, for a link to another page. */
export function useShared(): View {
  const view = useSearch({ strict: false }) as View;
  return Object.fromEntries(SHARED.map((name) => [name, view[name]]));
}
