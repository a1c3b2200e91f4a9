import { queryOptions } from "@tanstack/react-query";
import { answer, api } from "../../api/client";

/** Runs that go on, and those whose process died, newest first. */
export const runsIn = (state: "running" | "lost", since = "") =>
  queryOptions({
    queryKey: ["now", state],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/runs", {
          params: { query: { filter: `state:${state} ${since}`.trim(), limit: state === "running" ? 100 : 20 } },
          signal,
        }),
      ),
  });

/** Runs that failed lately. */
export const failedLately = queryOptions({
  queryKey: ["now", "failed"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/runs", { params: { query: { filter: "status:error since:1h", limit: 10 } }, signal })),
});

/** Spans that go on: what each running run is doing. */
export const openSpans = queryOptions({
  queryKey: ["now", "spans"],
  queryFn: ({ signal }) =>
    answer(api.GET("/api/v1/spans", { params: { query: { filter: "state:running since:1d", limit: 1000 } }, signal })),
});

const LANES_MS = 5_000;

/** Who works in a running run, and who called whom; read anew from time to time, for it reads all of the run. */
export const agentsIn = (runId: string) =>
  queryOptions({
    queryKey: ["lanes", runId],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs/{run_id}/agents", { params: { path: { run_id: runId } }, signal })),
    refetchInterval: LANES_MS,
    retry: false,
  });

/** Calls, tokens and cost of the last hour by minute. */
export const lastHour = queryOptions({
  queryKey: ["now", "hour"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/aggregates", { params: { query: { filter: "since:1h", bucket: "1m" } }, signal })),
});

/** Every account of a budget; programs spend meanwhile. */
export const budgets = queryOptions({
  queryKey: ["now", "budgets"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/budgets", { signal })),
  refetchInterval: 10_000,
});

const TASKS = `SELECT attributes['status'] AS state, sum(value) AS tasks FROM (
    SELECT attributes, argMax(value, time_ns) AS value FROM points
    WHERE name = 'tasks_by_state' AND time > now() - INTERVAL 1 HOUR GROUP BY attributes, service, process
) GROUP BY state HAVING tasks > 0 ORDER BY tasks DESC, state`;

/** How many tasks orchestrators said to be in each state, the newest word of each within the last hour. */
export const tasksByState = queryOptions({
  queryKey: ["now", "tasks"],
  queryFn: async ({ signal }) => {
    const found = await answer(api.POST("/api/v1/sql", { params: { query: { timeout_s: 5 } }, body: { query: TASKS }, signal }));
    return (found.rows as [string, number][]).map(([state, tasks]) => ({ state, tasks }));
  },
  refetchInterval: 10_000,
  retry: false,
});

export const newest = queryOptions({
  queryKey: ["now", "newest"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/runs", { params: { query: { limit: 5 } }, signal })),
});
