import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Hit = Schemas["Hit"];
export type LogRecord = Schemas["LogRecord"];
/** A piece of recorded content with a word in it. */
export type Excerpt = { span: string; key: string; text: string };

export const spansPage = (filter: string) =>
  infiniteQueryOptions({
    queryKey: ["search", "spans", filter],
    queryFn: ({ signal, pageParam }) =>
      answer(api.GET("/api/v1/spans", { params: { query: { filter, limit: 100, after: pageParam } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });

export const logsPage = (filter: string) =>
  infiniteQueryOptions({
    queryKey: ["search", "logs", filter],
    queryFn: ({ signal, pageParam }) =>
      answer(api.GET("/api/v1/logs", { params: { query: { filter, limit: 100, after: pageParam } }, signal })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });

/** Where in the content of some spans the words are, at most so many places each. */
export const excerptsOf = (hits: Pick<Hit, "run_id" | "span_id">[], words: string[], most = 1) =>
  queryOptions({
    queryKey: ["search", "excerpts", hits.map((hit) => hit.run_id + hit.span_id).join(), words, most],
    queryFn: async ({ signal }) => {
      const query = select(hits, words, most);
      const found = await answer(api.POST("/api/v1/sql", { params: { query: { timeout_s: 10 } }, body: { query }, signal }));
      return (found.rows as string[][]).map(([run, span, key, text]): Excerpt => ({ span: `${run}${span}`, key: key!, text: text! }));
    },
    enabled: hits.length > 0 && words.length > 0,
    staleTime: 60_000,
    placeholderData: undefined,
    retry: false,
  });

/** Runs are named, so that no more than theirs is read. */
function select(hits: Pick<Hit, "run_id" | "span_id">[], words: string[], most: number): string {
  const list = (values: string[]) => `(${[...new Set(values)].map(text).join(", ")})`;
  const place = words.map((word) => `positionCaseInsensitiveUTF8(value, ${text(word)})`);
  const first = `least(${place.map((one) => `if(${one} = 0, 4294967295, ${one})`).join(", ")}, 4294967295)`;
  return `SELECT trace_id, span_id, key, substringUTF8(value, if(at > 60, at - 60, 1), 400) FROM (
    SELECT trace_id, span_id, key, value, ${first} AS at FROM contents
    WHERE trace_id IN ${list(hits.map((hit) => hit.run_id))} AND span_id IN ${list(hits.map((hit) => hit.span_id))}
  ) WHERE at < 4294967295 ORDER BY trace_id, span_id, key LIMIT ${most} BY trace_id, span_id`;
}

function text(value: string): string {
  return `'${value.replace(/[\\']/g, "\\$&")}'`;
}
