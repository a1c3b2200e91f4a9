import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Session = Schemas["Session"];

export const sessionsPage = (filter: string) =>
  infiniteQueryOptions({
    queryKey: ["sessions", filter],
    queryFn: ({ signal, pageParam }) =>
      answer(api.GET("/api/v1/sessions", { params: { query: { filter, limit: 100, after: pageParam } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });

/** The newest runs of some that match. */
export const runsOf = (filter: string) =>
  queryOptions({
    queryKey: ["sessions", "runs", filter],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/runs", { params: { query: { filter, limit: 20 } }, signal })),
  });
