import { queryOptions } from "@tanstack/react-query";
import { answer, api, type Schemas } from "../../api/client";

/** The client types pairs as lists. */
export type Budget = Omit<Schemas["BudgetState"], "fired"> & { fired: (string | number)[][] };

/** Every account; programs spend meanwhile, so that it is asked again. */
export const budgets = queryOptions({
  queryKey: ["budgets"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/budgets", { signal })),
  refetchInterval: 5_000,
});
