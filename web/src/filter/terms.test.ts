import { describe, expect, it } from "vitest";
import { chosen, openField, partAt, term, termAt, terms, toggle } from "./terms";

describe("termAt", () => {
  it("finds the term at fault and what is left without it", () => {
    expect(termAt('status:error agnet:"a b" kind:tool', 15)).toEqual({ text: 'agnet:"a b"', rest: "status:error kind:tool" });
    expect(termAt("runs:>2", 0)).toEqual({ text: "runs:>2", rest: "" });
    expect(termAt("runs:>2 OR kind:tool", 0)).toEqual({ text: "runs:>2", rest: "kind:tool" });
    expect(termAt("kind:tool OR runs:>2 OR kind:llm", 15)).toEqual({ text: "runs:>2", rest: "kind:tool OR kind:llm" });
    expect(termAt("a NOT runs:1 b", 6)).toEqual({ text: "runs:1", rest: "a b" });
    expect(termAt("a", 9)).toBeNull();
  });
});

describe("terms of a filter", () => {
  it("are apart by spaces outside quotes and parentheses", () => {
    expect(terms('status:error  name:"run tests" model:(a, b) -x "a \\" b"')).toEqual([
      "status:error",
      'name:"run tests"',
      "model:(a, b)",
      "-x",
      '"a \\" b"',
    ]);
  });

  it("quote what would mean something else", () => {
    expect([
      term("name", "run tests"),
      term("model", "gpt-4o"),
      term("agent", ""),
      term("name", 'a"b'),
      term("name", "x*"),
      term("x", "1..2"),
    ]).toEqual(['name:"run tests"', "model:gpt-4o", "-agent:*", 'name:"a\\"b"', 'name:"x*"', 'x:"1..2"']);
  });
});

describe("a click on a facet", () => {
  const cases: [string, "in" | "out", string][] = [
    ["", "in", "status:error"],
    ["status:error", "in", ""],
    ["status:error", "out", "-status:error"],
    ["-status:error", "out", ""],
    ["status:ok since:1d", "in", "since:1d status:error"],
    ["a OR b", "out", "(a OR b) -status:error"],
  ];
  it.each(cases)("on %j (%s) gives %j", (before, how, after) => {
    expect(toggle(before, "status", "error", how)).toBe(after);
  });

  it("is seen in the filter", () => {
    expect([
      chosen("status:error", "status", "error"),
      chosen("-status:error x", "status", "error"),
      chosen("", "status", "error"),
    ]).toEqual(["in", "out", null]);
    expect(chosen("-agent:*", "agent", "")).toBe("in");
  });
});

describe("completion", () => {
  it("goes on from the part before the caret", () => {
    expect(partAt("status:error mod", 16)).toEqual({ start: 13, text: "mod" });
    expect(partAt("-mod", 4)).toEqual({ start: 1, text: "mod" });
    expect(partAt('name:"run te', 12)).toEqual({ start: 0, text: 'name:"run te' });
  });

  it("knows the field of a list of values", () => {
    expect(openField("model:(a,", 9)).toBe("model");
    expect(openField("(a ", 3)).toBeNull();
  });
});
