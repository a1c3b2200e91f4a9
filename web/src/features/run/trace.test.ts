import { describe, expect, it } from "vitest";
import { firstFailures, index, pathTo, rowsOf, type Structure } from "./trace";

/** A trace from lines of "depth kind name start end [cost|?|!]": ? a call without price, ! a failed span. */
function trace(text: string) {
  const lines = text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(" "));
  const depth = lines.map(([value]) => Number(value));
  const parent = depth.map((own, at) => depth.findLastIndex((other, before) => before < at && other === own - 1));
  const mark = lines.map((line) => line[5]);
  const column = <T>(make: (line: string[], at: number) => T) => lines.map(make);
  return index({
    run: { state: "ended" },
    start_ns: 0,
    orphans: 0,
    more: false,
    spans: {
      span_id: column((_, at) => `s${at}`),
      parent,
      depth,
      kind: column((line) => line[1]!),
      name: column((line) => line[2]!),
      status: mark.map((value) => (value === "!" ? "error" : "unset")),
      offset_ns: column((line) => Number(line[3])),
      duration_ns: column((line) => Number(line[4]) - Number(line[3])),
      is_model_call: column((line) => line[1] === "llm"),
      input_tokens: column((line) => (line[1] === "llm" ? 10 : null)),
      output_tokens: column(() => null),
      cost_usd: mark.map((value) => (value && Number(value) ? Number(value) : null)),
    },
  } as unknown as Structure);
}

const SMALL = `
  0 agent root 0 100
  1 llm chat 0 30 1
  1 tool search 20 60 !
  2 llm inner 30 50 2
  1 llm chat 60 90 ?`;

describe("a trace", () => {
  it("sums tokens, cost and failures upwards, and knows what is not priced", () => {
    const found = trace(SMALL);
    expect([...found.below]).toEqual([5, 1, 2, 1, 1]);
    expect([...found.cost]).toEqual([3, 1, 2, 2, 0]);
    expect([...found.unpriced]).toEqual([1, 0, 0, 0, 1]);
    expect([...found.tokens]).toEqual([30, 10, 10, 10, 10]);
    expect([...found.errors]).toEqual([1, 0, 1, 0, 0]);
  });

  it("has a critical path: from the end back, what ended last before", () => {
    const found = trace(SMALL);
    expect([...found.critical]).toEqual([1, 0, 1, 1, 1]);
  });

  it("knows where failures began, and the way to them", () => {
    const found = trace("0 agent root 0 10 !\n1 agent inner 0 10 !\n2 tool run 0 5 !\n1 tool other 0 5");
    expect(firstFailures(found)).toEqual([2]);
    expect(pathTo(found, 2)).toEqual([1, 0]);
  });

  it("survives being a thousand deep", () => {
    const found = trace(Array.from({ length: 1000 }, (_, at) => `${at} tool t 0 10`).join("\n"));
    expect(found.below[0]).toBe(1000);
    expect(found.critical[999]).toBe(1);
  });
});

describe("rows", () => {
  const many = trace(
    `0 agent root 0 100\n${Array.from({ length: 7 }, (_, at) => `1 tool search ${at} ${at + 1}`).join("\n")}\n1 llm chat 90 100`,
  );

  it("hold siblings that look the same together, until they are opened", () => {
    const rows = rowsOf(many, new Set(), new Set());
    expect([...rows.span]).toEqual([0, 1, 8]);
    expect([...rows.count]).toEqual([1, 7, 1]);
    expect(rows.row[5]).toBe(1);
    const opened = rowsOf(many, new Set(), new Set([1]));
    expect([...opened.span]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("leave out what is below a closed span", () => {
    const rows = rowsOf(many, new Set([0]), new Set());
    expect([...rows.span]).toEqual([0]);
    expect(rows.row[8]).toBe(-1);
  });
});
