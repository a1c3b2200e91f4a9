/** Server-sent events, read with fetch so that a key can be sent along. */

import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Schemas } from "./client";
import { headers, problem } from "./client";

export type Hit = Schemas["Hit"];
export type LiveState = "connecting" | "live" | "lost";

type Events = { spans?: (hits: Hit[], more: boolean) => void; trouble?: (message: string) => void };

const SLOWEST_RETRY_MS = 15_000;

/** What is stored from now on and matches. Reconnects by itself; rests while the tab is hidden, and calls `back` when it listens again. */
export function useLive(filter: string, events: Events, options: { on?: boolean; back?: () => void } = {}): LiveState {
  const [state, setState] = useState<LiveState>("connecting");
  const latest = useRef({ events, back: options.back });
  latest.current = { events, back: options.back };
  const on = options.on ?? true;

  useEffect(() => {
    if (!on) return;
    let stop = new AbortController();
    let retryMs = 500;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wasLive = false;

    const connect = async (signal: AbortSignal) => {
      try {
        await listen(filter, signal, (name, data) => {
          if (name === "listening") {
            if (wasLive) latest.current.back?.();
            wasLive = true;
            retryMs = 500;
            setState("live");
          } else if (name === "spans") {
            const { hits, more } = JSON.parse(data) as { hits: Hit[]; more: boolean };
            latest.current.events.spans?.(hits, more);
          } else if (name === "trouble") latest.current.events.trouble?.((JSON.parse(data) as { message: string }).message);
        });
      } catch {
        // the connection is gone; tried again below
      }
      if (signal.aborted) return;
      setState("lost");
      timer = setTimeout(() => void connect(signal), retryMs);
      retryMs = Math.min(retryMs * 2, SLOWEST_RETRY_MS);
    };
    const follow = () => {
      stop.abort();
      clearTimeout(timer);
      if (document.hidden) return;
      stop = new AbortController();
      void connect(stop.signal);
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      clearTimeout(timer);
      stop.abort();
    };
  }, [filter, on]);
  return state;
}

/** A function that has the queries under a key asked again: once after a while, however often it is called, and not before the answers to the last
 *  time are there. A server that is slower than what arrives is not asked ever more, and what was asked is not given up for the next. */
export function useRefresh(queryKey: QueryKey, afterMs = 800): () => void {
  const queries = useQueryClient();
  const key = useRef(queryKey);
  key.current = queryKey;
  const state = useRef({ wanted: false, busy: false, gone: false });
  useEffect(() => {
    const now = state.current;
    now.gone = false;
    return () => {
      now.gone = true;
    };
  }, []);
  return useCallback(() => {
    const now = state.current;
    const follow = async () => {
      now.busy = true;
      while (now.wanted && !now.gone) {
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        now.wanted = false; // what comes from here on may not be in the answers
        if (!now.gone) await queries.invalidateQueries({ queryKey: key.current });
      }
      now.busy = false;
    };
    now.wanted = true;
    if (!now.busy) void follow();
  }, [queries, afterMs]);
}

async function listen(filter: string, signal: AbortSignal, on: (name: string, data: string) => void): Promise<void> {
  const response = await fetch(`/api/v1/live?${new URLSearchParams({ filter })}`, { headers: headers(), signal });
  if (!response.ok || !response.body) throw problem(response.status, await response.json().catch(() => null));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = parse(block);
      if (event) on(event.name, event.data);
    }
  }
}

export function parse(block: string): { name: string; data: string } | null {
  if (block.startsWith(": listening")) return { name: "listening", data: "" };
  const name = /^event: (.*)$/m.exec(block)?.[1];
  const data = /^data: (.*)$/m.exec(block)?.[1];
  return name && data !== undefined ? { name, data } : null;
}
