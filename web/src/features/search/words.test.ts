import { expect, test } from "vitest";
import { around, marked, wordsOf } from "./words";

test("the words of a filter are those that must be there", () => {
  expect(wordsOf('status:error merge "git \\"push\\"" -draft NOT old (alpha OR beta kind:llm) @a:b -(x y)')).toEqual([
    "merge",
    'git "push"',
    "alpha",
    "beta",
  ]);
  expect(wordsOf('message:"merge conflict"')).toEqual([]);
});

test("words are marked whatever their case and what they hold", () => {
  expect(marked("A Merge, a merge (x+y)", ["merge", "(x+y)"])).toEqual(["A ", "Merge", ", a ", "merge", " ", "(x+y)", ""]);
  expect(marked("line\nbreak", ["line break"])).toEqual(["", "line\nbreak", ""]);
  expect(marked("nothing", [])).toEqual(["nothing"]);
});

test("an excerpt begins shortly before the first word", () => {
  expect(around(`${"a ".repeat(100)}needle here`, ["needle"], 4)).toBe("…a a needle here");
  expect(around("needle", ["needle"])).toBe("needle");
  expect(around("plain", ["needle"])).toBe("plain");
});
