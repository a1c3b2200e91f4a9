import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Group = Schemas["Error"];
export type Groups = Schemas["Errors"];
export type Detail = Schemas["ErrorDetail"];
export type Failure = Schemas["Failure"];
export type State = NonNullable<Group["state"]>;

export const STATES: State[] = ["new", "regressed", "ongoing", "gone"];
export const ORDERS = { count: "Most failures", runs: "Most runs", last: "Last seen", first: "First seen", state: "New first" } as const;
export type Order = keyof typeof ORDERS;

export const MOST = 200;

export const errorsOf = (filter: string, order: Order, state: State | undefined) =>
  queryOptions({
    queryKey: ["errors", "list", filter, order, state ?? ""],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/errors", { params: { query: { filter, order, state, limit: MOST, bars: 60 } }, signal })),
    refetchInterval: 30_000,
  });

export const errorOf = (fingerprint: string, filter: string) =>
  infiniteQueryOptions({
    queryKey: ["errors", "one", fingerprint, filter],
    queryFn: ({ signal, pageParam }) =>
      answer(
        api.GET("/api/v1/errors/{fingerprint}", {
          params: { path: { fingerprint }, query: { filter, limit: 25, bars: 48, after: pageParam } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: undefined,
    retry: false,
  });
