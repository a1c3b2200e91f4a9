/** The server's API, typed by its OpenAPI document (schema.d.ts is generated: npm run types). */

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** Why the server gave no answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    /** Index of the character at fault, for a filter. */
    readonly position: number | null = null,
  ) {
    super(message);
  }
}

const KEY = "clew.key";

export function readKey(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

/** A server that other machines reach asks for a key; it is kept until the tab is closed. */
export function writeKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export function headers(): Record<string, string> {
  const key = readKey();
  return key ? { authorization: `Bearer ${key}` } : {};
}

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "",
  querySerializer: { array: { style: "form", explode: true } },
});
api.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(headers())) request.headers.set(name, value);
    return request;
  },
});

/** The data of an answer: `answer(api.GET("/api/v1/runs", { params: { query: { filter } }, signal }))`. Throws ApiError. */
export async function answer<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let found: { data?: T; error?: unknown; response: Response };
  try {
    found = await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "Unreachable", "the server does not answer; is clew serve still running?");
  }
  if (found.response.ok) return found.data as T;
  throw problem(found.response.status, found.error);
}

export function problem(status: number, said: unknown): ApiError {
  if (said && typeof said === "object" && "message" in said) {
    const { error, message, position } = said as { error?: string; message: string; position?: number };
    return new ApiError(status, error ?? "Error", message, position ?? null);
  }
  return new ApiError(status, "Error", `the server answered ${status}`);
}
