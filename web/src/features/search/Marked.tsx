import { line, visible } from "../../format";
import { around, marked } from "./words";

/** A text with the words in it marked. */
export function Marked({ text, words }: { text: string; words: string[] }) {
  return <>{marked(text, words).map((part, at) => (at % 2 ? <mark key={at}>{part}</mark> : part))}</>;
}

/** The same on one line, from a little before the first word on; escaped line ends and quotes of JSON as what they are. */
export function Excerpt({ text, words }: { text: string; words: string[] }) {
  const plain = text.replace(/\\[nrt]/g, " ").replace(/\\(["\\])/g, "$1");
  return <Marked text={line(around(plain, words), 400)} words={words} />;
}

/** The same as a block of its own; long ones are cut and say so. */
export function Passage({ text, words, most = 20_000 }: { text: string; words: string[]; most?: number }) {
  return (
    <>
      <pre className="passage" dir="auto">
        <Marked text={visible(text.slice(0, most))} words={words} />
      </pre>
      {text.length > most && <p className="faint">Cut after {most.toLocaleString("en")} characters.</p>}
    </>
  );
}
