import { expect, test } from "vitest";
import { placeOf } from "./behind";

test("failures lead to the page of errors, and a fingerprint to that error", () => {
  expect(placeOf("status:error agent:coder")).toEqual({ page: "/errors", filter: "agent:coder" });
  expect(placeOf('name:"a b" status:error fingerprint:c236bd')).toEqual({ page: "/errors", filter: 'name:"a b"', error: "c236bd" });
  expect(placeOf("error:rate_limit")).toEqual({ page: "/errors", filter: "error:rate_limit" });
});

test("what does not only fail leads to where it is given with", () => {
  expect(placeOf("agent:coder")).toEqual({ page: "/search", filter: "agent:coder" });
  expect(placeOf("agent:a status:error OR agent:b")).toEqual({ page: "/search", filter: "agent:a status:error OR agent:b" });
  expect(placeOf('"status:error"')).toEqual({ page: "/search", filter: '"status:error"' });
  expect(placeOf("status:error", "/runs")).toEqual({ page: "/runs", filter: "status:error" });
  expect(placeOf("-status:error")).toEqual({ page: "/search", filter: "-status:error" });
});
