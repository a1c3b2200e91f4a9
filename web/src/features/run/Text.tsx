import { useState } from "react";
import { bytes, count, visible } from "../../format";

/** Characters that are shown of a text before the reader asks for more, and by how many more each time. */
const FIRST = 1_600;
const STEP = 100_000;

/** A recorded text: as text, in its own direction, long ones cut; JSON laid out, a diff in its colours. */
export function Text({ text, whole, more }: { text: string; whole?: number; more?: () => void }) {
  const [shown, setShown] = useState(FIRST);
  const laid = text.length <= STEP ? laidOut(text) : text;
  const part = visible(laid.slice(0, shown));
  const left = (whole ?? 0) > text.length ? whole! - shown : laid.length - shown;
  return (
    <div className="text">
      {isDiff(laid) ? <Diff text={part} /> : <pre dir="auto">{part}</pre>}
      {left > 0 && (
        <button
          type="button"
          className="link"
          onClick={() => {
            if (laid.length <= shown && more) more();
            else setShown(shown + STEP);
          }}
        >
          {laid.length <= shown && more
            ? `${count(left)} more characters: open the span`
            : `Show more (${left > 20_000 ? bytes(left) : `${count(left)} characters`})`}
        </button>
      )}
    </div>
  );
}

function laidOut(text: string): string {
  const first = text.trimStart()[0];
  if (first !== "{" && first !== "[") return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function isDiff(text: string): boolean {
  return /^(diff --git |--- .*\n\+\+\+ |@@ -\d)/m.test(text.slice(0, 4000));
}

function Diff({ text }: { text: string }) {
  return (
    <pre className="diff" dir="ltr">
      {text.split("\n").map((one, at) => (
        <span key={at} className={one.startsWith("@@") ? "hunk" : one[0] === "+" ? "added" : one[0] === "-" ? "removed" : undefined}>
          {one}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}
