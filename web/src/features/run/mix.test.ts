import { describe, expect, it } from "vitest";
import { mixOf } from "./mix";

describe("mixOf", () => {
  it("sums tokens and calls of model calls by model, and of nothing else", () => {
    const columns = {
      is_model_call: [true, false, true, true],
      model: ["small", "large", "large", "small"],
      input_tokens: [10, 999, 100, null],
      output_tokens: [5, 999, 20, null],
    } as unknown as Parameters<typeof mixOf>[0]["columns"];
    expect(mixOf({ columns })).toEqual([
      { model: "large", calls: 1, tokens: 120 },
      { model: "small", calls: 2, tokens: 15 },
    ]);
  });
});
