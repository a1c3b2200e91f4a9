/** A filter's text as its outermost terms, so that a click can put one in or take it out. The server alone understands filters. */

/** The terms, apart by spaces outside quotes and parentheses. */
export function terms(filter: string): string[] {
  const found: string[] = [];
  let term = "";
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < filter.length; at++) {
    const c = filter[at]!;
    if (quoted && c === "\\") {
      term += c + (filter[++at] ?? "");
      continue;
    }
    if (c === '"') quoted = !quoted;
    else if (!quoted && c === "(") depth++;
    else if (!quoted && c === ")") depth--;
    if (/\s/.test(c) && !quoted && depth <= 0) {
      if (term) found.push(term);
      term = "";
    } else term += c;
  }
  if (term) found.push(term);
  return found;
}

/** The outermost term that stands at a place of a filter, and the filter without it; null where none does. */
export function termAt(filter: string, position: number): { text: string; rest: string } | null {
  const all = terms(filter);
  let end = 0;
  for (const [number, text] of all.entries()) {
    end = filter.indexOf(text, end) + text.length;
    if (position > end) continue;
    const rest = all.filter((_, at) => at !== number && !(at === number - 1 && all[at] === "NOT"));
    return { text, rest: rest.filter((one, at) => !joins(one) || (at > 0 && at < rest.length - 1 && !joins(rest[at + 1]!))).join(" ") };
  }
  return null;
}

function joins(term: string): boolean {
  return term === "OR" || term === "AND";
}

/** One condition; the value in quotes where it needs them. An empty value is the condition that there is none. */
export function term(field: string, value: string): string {
  if (value === "") return `-${field}:*`;
  return `${field}:${/^[\w./+@-]+$/.test(value) && !/^[-.]|\.\.|^(AND|OR|NOT)$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`;
}

function negated(one: string): string {
  return one.startsWith("-") ? one.slice(1) : `-${one}`;
}

export type Chosen = "in" | "out" | null;

/** Whether a filter includes or excludes a value. */
export function chosen(filter: string, field: string, value: string): Chosen {
  const all = terms(filter);
  const wanted = term(field, value);
  return all.includes(wanted) ? "in" : all.includes(negated(wanted)) ? "out" : null;
}

/** The filter with a value included or excluded; what was so already is taken out. A field has one value that is included. */
export function toggle(filter: string, field: string, value: string, how: "in" | "out"): string {
  const wanted = term(field, value);
  const was = chosen(filter, field, value);
  let all = terms(filter).filter((one) => one !== wanted && one !== negated(wanted));
  if (was !== how) {
    if (how === "in") all = all.filter((one) => !one.startsWith(`${field}:`) && one !== `-${field}:*`);
    // A top-level OR binds weaker than what is added.
    if (all.includes("OR")) all = [`(${all.join(" ")})`];
    all.push(how === "in" ? wanted : negated(wanted));
  }
  return all.join(" ");
}

/** The part of a filter that the caret is in: what completion goes on from. */
export function partAt(filter: string, caret: number): { start: number; text: string } {
  const before = filter.slice(0, caret);
  let start = 0;
  let quoted = false;
  for (let at = 0; at < before.length; at++) {
    const c = before[at]!;
    if (quoted && c === "\\") at++;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && /[\s(),]/.test(c)) start = at + 1;
  }
  if (before[start] === "-") start++;
  return { start, text: before.slice(start) };
}

/** The field that a list of values in parentheses, such as model:(a,b, belongs to. */
export function openField(filter: string, start: number): string | null {
  return /([\w.]+|@[^\s:()]+):\((?:[^()]*,)?\s*$/.exec(filter.slice(0, start))?.[1] ?? null;
}
