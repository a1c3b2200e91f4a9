/** What matters on a dashboard, in a sentence made from what its panels show. Each rule looks at one panel; the gravest remarks are said. */

import { count, line, percent } from "../../format";
import { type Tone, tone, written } from "./figures";
import type { Answer, Panel } from "./queries";

export type Remark = {
  text: string;
  tone: Tone;
  filter?: string | null;
  page?: string;
  /** It begins with a name, which stays as it is at the start of a sentence. */
  isNamed?: boolean;
};
type Rule = (panel: Panel, answer: Answer) => (Remark & { weight: number }) | undefined;

const MOST = 3;
/** A change since the period before that is smaller is not worth a word. */
const CHANGE = 0.1;
const WEIGHT: Record<Tone, number> = { error: 5, warning: 4, "": 0, ok: 0 };
/** How a figure is called in a sentence; else by its title. */
const NAMES: Record<string, string> = {
  p50: "median latency",
  p95: "p95 of latency",
  p99: "p99 of latency",
  Failed: "failures",
  "Failed share": "the failed share",
  "Per minute": "load",
  "In the period": "spend",
};

/** The name of a table's last row where that sums up the others. */
const TOTAL = "in all";

const named = (title: string) => NAMES[title] ?? (/^[A-Z][a-z]/.test(title) ? title[0]!.toLowerCase() + title.slice(1) : title);
const verb = (name: string) => (/[^s]s$/.test(name) ? "are" : "is");
const text = (cell: unknown) => line(String(cell ?? ""), 60);
const place = (answer: Answer, ...titles: string[]) => answer.columns.findIndex((column) => titles.includes(column.title));

function greatest<T>(all: T[], of: (one: T) => number): T | undefined {
  return all.reduce<T | undefined>((best, one) => (of(one) > (best === undefined ? 0 : of(best)) ? one : best), undefined);
}

/** A stat beyond its thresholds. */
const beyond: Rule = (panel, answer) => {
  const units = answer.values.map((one) => one.unit);
  const found = answer.values.map((one) => ({ one, of: one.level ?? tone(panel, answer, one.value, one.unit, units) }));
  const worst = greatest(found, ({ of }) => WEIGHT[of]);
  if (!worst) return undefined;
  const { one, of } = worst;
  const what = one.unit === "share" && panel.question.of === "metric" ? named(panel.title) : named(one.title);
  return { text: `${what} ${verb(what)} ${written(one.value, one.unit)}`, tone: of, weight: WEIGHT[of], filter: one.filter };
};

/** A stat that is another than in the period before. */
const changed: Rule = (_, answer) => {
  const change = (one: Answer["values"][number]) => (one.before && one.value !== null ? one.value / one.before - 1 : 0);
  const one = greatest(answer.values, (each) => Math.abs(change(each)));
  if (!one || Math.abs(change(one)) < CHANGE) return undefined;
  const by = change(one);
  const tail = one.unit === "share" ? `, to ${written(one.value, one.unit)}` : "";
  return {
    text: `${named(one.title)} ${verb(named(one.title))} ${by > 0 ? "up" : "down"} ${percent(Math.abs(by))} on the period before${tail}`,
    tone: "",
    weight: 3,
    filter: one.filter,
  };
};

/** The row of a table that failed most often. */
const failing: Rule = (panel, answer) => {
  const [spans, failed, share] = [place(answer, "Spans", "Model calls"), place(answer, "Failed"), place(answer, "Failed share")];
  if (panel.view !== "table" || spans < 0 || (failed < 0 && share < 0)) return undefined;
  const shareOf = (cells: unknown[]) =>
    share >= 0 ? Number(cells[share] ?? 0) : Number(cells[failed] ?? 0) / Math.max(Number(cells[spans]), 1);
  const row = greatest(answer.rows, ({ cells }) => shareOf(cells) * Number(cells[spans]));
  if (!row) return undefined;
  const of = shareOf(row.cells);
  const unit = answer.columns[spans]!.title === "Spans" ? "spans" : "calls";
  return {
    text: `${text(row.cells[0]) || "(none)"} failed ${percent(of)} of its ${count(Number(row.cells[spans]))} ${unit}`,
    tone: "error",
    weight: of >= 0.05 ? 5 : 2,
    isNamed: true,
    filter: row.filter && `${row.filter} status:error`,
    page: row.page,
  };
};

/** The error that occurred most often. */
const alike: Rule = (panel, answer) => {
  const row = panel.question.of === "failures" ? answer.rows[0] : undefined;
  if (!row) return undefined;
  const [type, where, message, state, times] = row.cells;
  const what = type === "(no type)" ? (message ? `“${text(message)}”` : "an error without a message") : text(type);
  return {
    text: `most often ${where ? `${text(where)} failed with ` : ""}${what}, ${count(Number(times))}×${state === "new" || state === "regressed" ? `, ${state}` : ""}`,
    tone: "error",
    weight: 5,
    filter: row.filter,
    page: row.page,
  };
};

/** The operation that became slower most. */
const slower: Rule = (_, answer) => {
  const change = place(answer, "Change of p95");
  const row = change < 0 ? undefined : greatest(answer.rows, ({ cells }) => Number(cells[change] ?? 0));
  if (!row) return undefined;
  return {
    text: `${text(row.cells[0])} became ${percent(Number(row.cells[change]))} slower`,
    tone: "",
    weight: 4,
    filter: row.filter,
    isNamed: true,
  };
};

/** What costs most. */
const dearest: Rule = (_, answer) => {
  const cost = place(answer, "Cost");
  const row = cost < 1 ? undefined : greatest(answer.rows, ({ cells }) => (cells[0] === TOTAL ? 0 : Number(cells[cost] ?? 0)));
  if (!row) return undefined;
  const known = `${row.partial.includes(cost) ? "≥ " : ""}${written(row.cells[cost], "usd")}`;
  return {
    text: `${text(row.cells[0]) || "(none)"} cost most, ${known}`,
    isNamed: true,
    tone: "",
    weight: 2,
    filter: row.filter,
    page: row.page,
  };
};

/** The budget of which most is spent. */
const fullest: Rule = (panel, answer) => {
  if (panel.view !== "gauge") return undefined;
  const share = ({ cells }: Answer["rows"][number]) => Number(cells[2]) / Math.max(Number(cells[4]), 1e-12);
  const row = greatest(answer.rows, share);
  if (!row) return undefined;
  const marks = (row.cells[6] as number[] | undefined) ?? [];
  const of: Tone = share(row) >= 1 ? "error" : marks.some((one) => share(row) >= one / 100) ? "warning" : "";
  return {
    text: `${percent(share(row))} of the budget ${text(row.cells[0])} is spent`,
    tone: of,
    weight: of ? WEIGHT[of] : 1,
    filter: row.filter,
    page: row.page,
  };
};

/** A bar beyond its thresholds. */
const barBeyond: Rule = (panel, answer) => {
  if (panel.view !== "bars") return undefined;
  const unit = answer.columns[1]?.unit ?? "";
  const of = (row: Answer["rows"][number]) => tone(panel, answer, row.cells[1], unit, [unit]);
  const row = greatest(answer.rows, (one) => WEIGHT[of(one)]);
  if (!row) return undefined;
  return {
    text: `${named(line(panel.title, 60))} of ${text(row.cells[0]) || "(none)"}: ${written(row.cells[1], unit)}`,
    tone: of(row),
    weight: WEIGHT[of(row)],
    filter: row.filter,
    page: row.page,
  };
};

/** The slowest row. */
const slowest: Rule = (_, answer) => {
  const p95 = place(answer, "p95");
  const row = p95 < 1 ? undefined : greatest(answer.rows, ({ cells }) => Number(cells[p95] ?? 0));
  if (!row) return undefined;
  const name = text(row.cells[0]) || "(none)";
  return { text: `slowest is ${name}, p95 ${written(row.cells[p95], answer.columns[p95]!.unit)}`, tone: "", weight: 1, filter: row.filter };
};

/** What a stat shows first, when nothing else is to be said. */
const plain: Rule = (panel, answer) => {
  const one = answer.values.find((value) => value.value);
  if (panel.view !== "stat" || !one) return undefined;
  const figure = `${one.is_partial ? "≥ " : ""}${written(one.value, one.unit)}`;
  return {
    text: `${named(answer.values.length > 1 ? one.title : line(panel.title, 60))}: ${figure}`,
    tone: "",
    weight: 0,
    filter: one.filter,
  };
};

const RULES: Rule[] = [beyond, changed, failing, alike, slower, dearest, fullest, barBeyond, slowest, plain];

export const isEmpty = (answer: Answer) => !answer.series.length && !answer.values.length && !answer.rows.length;

/** The gravest things that the panels tell, one a panel; none when all of them are empty. */
export function remarks(panels: Panel[], known: ReadonlyMap<string, Answer>): Remark[] {
  const found = panels.flatMap((panel) => {
    const answer = known.get(panel.id);
    if (!answer || answer.trouble || isEmpty(answer)) return [];
    const said = RULES.flatMap((rule) => {
      const remark = rule(panel, answer);
      return remark ? [{ ...remark, rule }] : [];
    });
    return said.sort((a, b) => b.weight - a.weight).slice(0, 1);
  });
  const grave = found.sort((a, b) => b.weight - a.weight);
  // What is not grave is said of one panel only: there is a slowest in each.
  const again = (one: (typeof grave)[number]) => (other: (typeof grave)[number]) =>
    other.text === one.text || (one.weight < WEIGHT.warning - 1 && other.rule === one.rule);
  return grave.filter((one, at) => grave.findIndex(again(one)) === at).slice(0, MOST);
}
