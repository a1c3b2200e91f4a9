import { expect, test } from "vitest";
import type { Answer, Panel } from "./queries";
import { remarks } from "./sentence";

const panel = (id: string, view: string, of: string, more = {}) =>
  ({ id, view, title: `The ${id}`, question: { of }, thresholds: [], per_hour: false, ...more }) as unknown as Panel;
const answer = (panel: string, more: object) =>
  ({ panel, times: [], bucket_ns: null, series: [], values: [], columns: [], rows: [], trouble: "", ...more }) as unknown as Answer;
const value = (title: string, value: number | null, unit: string, before: number | null = null) => ({
  title,
  value,
  unit,
  before,
  filter: "f",
});
const table = (titles: string[], ...rows: unknown[][]) => ({
  columns: titles.map((title) => ({ title, unit: title === "p95" ? "ns" : "" })),
  rows: rows.map((cells) => ({ cells, partial: [], filter: `agent:${String(cells[0])}`, page: "/search" })),
});
const said = (...both: [Panel, Answer][]) =>
  remarks(
    both.map(([one]) => one),
    new Map(both.map(([one, other]) => [one.id, other])),
  ).map((one) => one.text);

test("who fails, what changed and what costs are said, the gravest first", () => {
  const costs: [Panel, Answer] = [
    panel("costs", "table", "costs"),
    answer("costs", table(["model", "Cost"], ["small", 0.1], ["large", 2])),
  ];
  const usage: [Panel, Answer] = [panel("usage", "stat", "spans"), answer("usage", { values: [value("Cost", 1.4, "usd", 1)] })];
  const agents: [Panel, Answer] = [
    panel("agents", "table", "spans"),
    answer("agents", table(["agent", "Spans", "Failed"], ["planner", 10, 2], ["coder", 340, 41], ["none", 5, 0])),
  ];
  expect(said(costs, usage, agents)).toEqual([
    "coder failed 12 % of its 340 spans",
    "cost is up 40 % on the period before",
    "large cost most, $2.00",
  ]);
});

test("a figure beyond its threshold, an error with its state, and a budget that is overspent are grave", () => {
  const thresholds = [{ level: "warning", at: 0.05 }];
  const rate: [Panel, Answer] = [
    panel("rate", "stat", "spans", { thresholds }),
    answer("rate", { values: [value("Failed", 9, "count"), value("Failed share", 0.09, "share")] }),
  ];
  const alike: [Panel, Answer] = [
    panel("alike", "table", "failures"),
    answer("alike", table(["type", "where", "message", "state", "Failures"], ["(no type)", "tests", "are red", "new", 12])),
  ];
  const budget: [Panel, Answer] = [
    panel("budget", "gauge", "budgets"),
    answer("budget", table(["budget", "", "", "", "", "", ""], ["daily", "usd", 6, 0, 5, null, [80]])),
  ];
  expect(said(rate, alike, budget)).toEqual([
    "most often tests failed with “are red”, 12×, new",
    "120 % of the budget daily is spent",
    "the failed share is 9.0 %",
  ]);
});

test("small changes are not worth a word, and empty or troubled panels say nothing", () => {
  const steady: [Panel, Answer] = [panel("use", "stat", "spans"), answer("use", { values: [value("Cost", 1.04, "usd", 1)] })];
  expect(said(steady)).toEqual(["the use: $1.04"]);
  const slow = (id: string, ns: number): [Panel, Answer] => [panel(id, "table", "spans"), answer(id, table(["tool", "p95"], [id, ns]))];
  expect(said(slow("a", 2e9), slow("b", 3e9))).toEqual(["slowest is a, p95 2 s"]);
  expect(said([panel("none", "table", "spans"), answer("none", table(["agent", "Spans", "Failed"]))])).toEqual([]);
  expect(said([panel("bad", "stat", "spans"), answer("bad", { values: [value("Cost", 5, "usd", 1)], trouble: "it broke" })])).toEqual([]);
});
