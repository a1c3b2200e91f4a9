import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Profile = Schemas["AgentProfile"];
export type Operation = Schemas["Operation"];
export type Decision = Schemas["AgentDecision"];
export type Run = Schemas["Run"];

/** Runs that are looked at unless more are asked for, and the most that may be. */
export const RUNS = 100;
export const MOST_RUNS = 1000;

export const graphOf = (filter: string, leaves: ("tool" | "model")[], limit: number) =>
  queryOptions({
    queryKey: ["agents", "graph", filter, leaves, limit],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/agents", { params: { query: { filter, with: leaves, limit } }, signal })),
    placeholderData: keepPreviousData,
  });

export const profileOf = (agent: string, filter: string, limit: number) =>
  queryOptions({
    queryKey: ["agents", "profile", agent, filter, limit],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/agents/profile", { params: { query: { agent, filter, limit } }, signal })),
  });
