import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Detail = Schemas["SpanDetail"];
export type Turn = Schemas["Passage"];
export type Decided = Schemas["Decided"];
export type AgentTrace = Schemas["AgentTrace"];
export type LogRecord = Schemas["LogRecord"];

/** Spans that are asked for first: all of most runs, and of a large one what is painted while the rest is on its way. The server names the question
 *  in its answer for the page (server/pages.py). */
export const FIRST = 1000;

/** With a limit, it is not asked again once there turned out to be more: then all of it is asked for. */
export const structureOf = (runId: string, limit?: number) =>
  queryOptions({
    queryKey: ["run", runId, "structure", limit ?? "all"],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: runId }, query: { limit } }, signal })),
    enabled: ({ state }) => !(limit && state.data?.more),
    staleTime: 30_000,
    placeholderData: undefined,
    structuralSharing: false,
  });

/** What may be spent, by run and session among others. */
export const budgetsOf = (runId: string, isRunning: boolean) =>
  queryOptions({
    queryKey: ["run", runId, "budgets"],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/budgets", { signal })),
    staleTime: 10_000,
    refetchInterval: isRunning ? 10_000 : false,
  });

const SPAN = 5 * 60_000;

export const detailOf = (runId: string, spanId: string) =>
  queryOptions({
    queryKey: ["run", runId, "span", spanId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/runs/{run_id}/spans/{span_id}", { params: { path: { run_id: runId, span_id: spanId } }, signal })),
    staleTime: SPAN,
    placeholderData: undefined,
  });

export const contentsOf = (runId: string, spanId: string) =>
  queryOptions({
    queryKey: ["run", runId, "contents", spanId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/runs/{run_id}/spans/{span_id}/contents", { params: { path: { run_id: runId, span_id: spanId } }, signal })),
    staleTime: SPAN,
    gcTime: 60_000,
    placeholderData: undefined,
    structuralSharing: false,
  });

export const costOf = (runId: string, spanId: string) =>
  queryOptions({
    queryKey: ["run", runId, "cost", spanId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/runs/{run_id}/spans/{span_id}/cost", { params: { path: { run_id: runId, span_id: spanId } }, signal })),
    staleTime: SPAN,
    placeholderData: undefined,
  });

const TURNS = 100;

export const transcriptOf = (runId: string) =>
  infiniteQueryOptions({
    queryKey: ["run", runId, "transcript"],
    queryFn: ({ signal, pageParam }) =>
      answer(
        api.GET("/api/v1/runs/{run_id}/transcript", {
          params: { path: { run_id: runId }, query: { limit: TURNS, offset: pageParam } },
          signal,
        }),
      ),
    initialPageParam: 0,
    getNextPageParam: (page, pages) => (page.more ? pages.length * TURNS : undefined),
  });

export const agentTraceOf = (runId: string) =>
  queryOptions({
    queryKey: ["run", runId, "agent-trace"],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs/{run_id}/agent-trace", { params: { path: { run_id: runId } }, signal })),
  });

export const graphOf = (runId: string, leaves: ("tool" | "model")[]) =>
  queryOptions({
    queryKey: ["run", runId, "graph", leaves],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/runs/{run_id}/agents", { params: { path: { run_id: runId }, query: { with: leaves } }, signal })),
    placeholderData: keepPreviousData,
  });

export const logsOf = (runId: string, span?: string) =>
  infiniteQueryOptions({
    queryKey: ["run", runId, "logs", span ?? ""],
    queryFn: ({ signal, pageParam }) =>
      answer(
        api.GET("/api/v1/logs", {
          params: { query: { filter: `run:${runId}${span ? ` span:${span}` : ""}`, limit: 200, after: pageParam } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
