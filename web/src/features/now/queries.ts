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

/** Calls, tokens and cost of the last hour by minute. */
export const lastHour = queryOptions({
  queryKey: ["now", "hour"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/aggregates", { params: { query: { filter: "since:1h", bucket: "1m" } }, signal })),
});

export const newest = queryOptions({
  queryKey: ["now", "newest"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/runs", { params: { query: { limit: 5 } }, signal })),
});
