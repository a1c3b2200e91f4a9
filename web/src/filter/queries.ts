import { queryOptions } from "@tanstack/react-query";
import { answer, api } from "../api/client";

/** The lists that have a filter. */
export type Of = "spans" | "runs" | "sessions" | "logs";

export const fieldsOf = (of: Of) =>
  queryOptions({
    queryKey: ["completion", "fields", of],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/completion/fields", { params: { query: { of } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

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
