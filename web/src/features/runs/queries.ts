import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Run = Schemas["Run"];
export type Summary = Schemas["RunSummary"];

export const runsPage = (filter: string) =>
  infiniteQueryOptions({
    queryKey: ["runs", filter],
    queryFn: ({ signal, pageParam }) =>
      answer(api.GET("/api/v1/runs", { params: { query: { filter, limit: 100, after: pageParam } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });

export const runSummary = (filter: string) =>
  queryOptions({
    queryKey: ["runs", "summary", filter],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs/summary", { params: { query: { filter, bars: 80, values: 8 } }, signal })),
  });

/** Of a page of runs: asked for once, as what has ended changes no more. */
export const runShapes = (ids: string[]) =>
  queryOptions({
    queryKey: ["runs", "shapes", ids],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs/shapes", { params: { query: { run: ids } }, signal })),
    enabled: ids.length > 0,
    staleTime: 60_000,
    gcTime: 5_000, // a list that grows has other ids every second
  });

export const runOddities = (runId: string) =>
  queryOptions({
    queryKey: ["run", runId, "oddities"],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs/{run_id}/oddities", { params: { path: { run_id: runId } }, signal })),
  });
