import { expect, test } from "vitest";
import { inOrder, nextSort } from "./sorting";

type Row = { name: string; p95: number | null };
const rows: Row[] = [
  { name: "a", p95: 2 },
  { name: "b", p95: null },
  { name: "c", p95: 3 },
  { name: "d", p95: 2 },
];
const columns = [{ title: "Agent" }, { title: "p95 of calls", sort: (row: Row) => row.p95 }];
const order = (text: string | undefined) =>
  inOrder(rows, columns, text)
    .map((row) => row.name)
    .join("");

test("rows are sorted either way, those alike as they came, and what is not known last", () => {
  expect(order("p95-of-calls")).toBe("cadb");
  expect(order("p95-of-calls.up")).toBe("adcb");
});

test("without an order, or with one of a column that is not there, rows stay as they came", () => {
  for (const text of [undefined, "", "agent", "cost.up"]) expect(order(text)).toBe("abcd");
});

test("a column's head leads from the most to the least and back to the order in which they came", () => {
  expect(nextSort(undefined, "p95 of calls")).toBe("p95-of-calls");
  expect(nextSort("cost.up", "p95 of calls")).toBe("p95-of-calls");
  expect(nextSort("p95-of-calls", "p95 of calls")).toBe("p95-of-calls.up");
  expect(nextSort("p95-of-calls.up", "p95 of calls")).toBeUndefined();
});
