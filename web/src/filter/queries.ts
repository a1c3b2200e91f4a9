import { queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../api/client";

/** The lists that have a filter. */
export type Of = "spans" | "runs" | "sessions" | "logs";

export const fieldsOf = (of: Of) =>
  queryOptions({
    queryKey: ["completion", "fields", of],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/completion/fields", { params: { query: { of } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** Whether a list itself has come: what stands beside it is asked for afterwards, so that the list waits for none of it. */
export function isThere(list: { isSuccess: boolean; isPlaceholderData: boolean }): boolean {
  return list.isSuccess && !list.isPlaceholderData;
}

/** How often each value occurs in all that matches. */
export const facetsOf = (of: Of | "errors", filter: string) =>
  queryOptions({
    queryKey: ["facets", of, filter],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/facets", { params: { query: { of, filter } }, signal })),
    staleTime: 15_000,
    retry: false,
  });

/** The same for <Facets>; none where the list cannot be read. */
export function facetsIn(found: Schemas["Facets"] | undefined, error: Error | null) {
  return { facets: found?.facets ?? (error ? [] : undefined), cut: found?.more ? found.counted : undefined };
}

export const valuesOf = (of: Of, field: string, prefix: string) =>
  queryOptions({
    queryKey: ["completion", "values", of, field, prefix],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/completion/values", { params: { query: { of, field, prefix, limit: 12 } }, signal })),
    retry: false,
  });

export const attributesOf = (of: Of, prefix: string) =>
  queryOptions({
    queryKey: ["completion", "attributes", of, prefix],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/completion/attributes", { params: { query: { of, prefix, limit: 12 } }, signal })),
    retry: false,
  });
