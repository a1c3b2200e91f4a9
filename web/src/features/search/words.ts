/** The words of a filter that text is searched for: what is marked where it is found. */

import { terms } from "../../filter/terms";

/** In the filter's order, without those that must not be there. */
export function wordsOf(filter: string): string[] {
  const found: string[] = [];
  let negated = false;
  for (const one of terms(filter)) {
    if (one === "AND" || one === "OR") continue;
    if (one === "NOT") {
      negated = true;
      continue;
    }
    if (!negated && !one.startsWith("-")) {
      if (one.startsWith("(") && one.endsWith(")")) found.push(...wordsOf(one.slice(1, -1)));
      else if (/^"(?:[^"\\]|\\.)*"$/.test(one)) found.push(one.slice(1, -1).replace(/\\(.)/g, "$1"));
      else if (!/[:"]/.test(one)) found.push(one);
    }
    negated = false;
  }
  return [...new Set(found.map((word) => word.trim()).filter(Boolean))];
}

function pattern(words: string[]): RegExp {
  return new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+")).join("|"), "giu");
}

/** A text in parts, those at odd places being words. */
export function marked(text: string, words: string[]): string[] {
  if (words.length === 0) return [text];
  const parts: string[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern(words))) {
    parts.push(text.slice(at, match.index), match[0]);
    at = match.index + match[0].length;
  }
  return [...parts, text.slice(at)];
}

/** The text from a little before the first word on; all of it when no word is in it. */
export function around(text: string, words: string[], before = 14): string {
  const at = words.length ? text.search(pattern(words)) : -1;
  return at > before ? `…${text.slice(at - before)}` : text;
}
