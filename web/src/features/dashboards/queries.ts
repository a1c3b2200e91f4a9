import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

export type Dashboard = Schemas["Dashboard"];
export type Panel = Schemas["Panel"];
export type Answer = Schemas["Answer"];

export const all = queryOptions({
  queryKey: ["dashboards"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/dashboards", { signal })),
});

export const one = (name: string) =>
  queryOptions({
    queryKey: ["dashboards", name],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/dashboards/{name}", { params: { path: { name } }, signal })),
  });

export type Asked = { filter: string; time: string };

/** What some panels show: together they share their questions. */
export const answers = (name: string, { filter, time }: Asked, panel: string[], choose: string[]) =>
  queryOptions({
    queryKey: ["answers", name, filter, time, panel, choose],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/dashboards/{name}/answers", { params: { path: { name }, query: { filter, time, panel, choose } }, signal })),
    enabled: panel.length > 0,
    placeholderData: keepPreviousData,
  });

export const preview = (panel: Panel, { filter, time }: Asked) =>
  answer(api.POST("/api/v1/dashboards/preview", { body: { panel, filter, time } as never }));

export const keep = (dashboard: Dashboard) =>
  answer(api.PUT("/api/v1/dashboards/{name}", { params: { path: { name: dashboard.name } }, body: dashboard as never }));

export const remove = (name: string) => answer(api.DELETE("/api/v1/dashboards/{name}", { params: { path: { name } } }));
