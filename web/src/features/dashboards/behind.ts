/** Where what lies behind a figure is shown. */

import { terms } from "../../filter/terms";

export type Place = { page: string; filter: string; error?: string };

/** A filter for spans that failed leads to their errors, one that names a fingerprint to that error; any other to the page that it is given with. */
export function placeOf(filter: string, page = "/search"): Place {
  const all = terms(filter);
  const fails = (one: string) => one === "status:error" || one.startsWith("fingerprint:");
  if (page !== "/search" || all.includes("OR") || !all.some((one) => fails(one) || one.startsWith("error:"))) return { page, filter };
  const named = all.filter((one) => one.startsWith("fingerprint:")).map((one) => one.slice("fingerprint:".length).replace(/^"|"$/g, ""));
  return { page: "/errors", filter: all.filter((one) => !fails(one)).join(" "), ...(named.length === 1 && { error: named[0] }) };
}
