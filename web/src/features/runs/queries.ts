import { infiniteQueryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Run = Schemas["Run"];

export const runsPage = (filter: string) =>
  infiniteQueryOptions({
    queryKey: ["runs", filter],
    queryFn: ({ signal, pageParam }) =>
      answer(api.GET("/api/v1/runs", { params: { query: { filter, limit: 100, after: pageParam } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
