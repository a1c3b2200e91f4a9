import { queryOptions } from "@tanstack/react-query";
import { answer, ApiError, api, type Schemas } from "../../api/client";

export type Stats = Schemas["Stats"];
export type Line = Stats["lines"][number];
export type Health = Schemas["Health"];

/** The collector's account; null where the server collects nothing. */
export const stats = queryOptions({
  queryKey: ["system", "stats"],
  queryFn: ({ signal }) =>
    answer(api.GET("/api/v1/stats", { signal })).catch((error: unknown): null => {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }),
  refetchInterval: 5_000,
});

export const health = queryOptions({
  queryKey: ["system", "health"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/health", { signal })),
  refetchInterval: 30_000,
});
