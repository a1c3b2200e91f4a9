import { queryOptions } from "@tanstack/react-query";
import { answer, api } from "../../api/client";

/** Every account; programs spend meanwhile, so that it is asked again. */
export const budgets = queryOptions({
  queryKey: ["budgets"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/budgets", { signal })),
  refetchInterval: 5_000,
});
