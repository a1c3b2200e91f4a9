import "./filter.css";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState } from "react";
import type { ApiError } from "../api/client";
import { useKeys } from "../app/keys";
import { RANGES, title } from "../app/time";
import { useView } from "../app/view";
import { short } from "../format";
import { attributesOf, fieldsOf, type Of, valuesOf } from "./queries";
import { SavedViews } from "./SavedViews";
import { openField, partAt, term, termAt } from "./terms";

type Choice = { text: string; insert: string; hint: string; goOn: boolean };

/** The filter and the time range of a page, both in the URL. `usual` is the range that holds while the URL has none. */
export function FilterBar({
  of,
  error,
  page,
  placeholder,
  usual = "",
}: {
  of: Of;
  error?: Error | null;
  page: string;
  placeholder?: string;
  usual?: string;
}) {
  const [view, setView] = useView();
  return (
    <div className="filter-bar" role="search">
      <FilterField
        of={of}
        value={view.filter ?? ""}
        placeholder={placeholder}
        onChange={(filter) => setView({ filter: filter || undefined })}
      />
      <label className="sr-only" htmlFor="time-range">
        Time range
      </label>
      <select
        id="time-range"
        className="field"
        value={view.time || usual}
        onChange={(event) => setView({ time: event.target.value || undefined })}
      >
        {RANGES.filter(([value]) => value || !usual).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
        {view.time && !RANGES.some(([value]) => value === view.time) && <option value={view.time}>{title(view.time)}</option>}
      </select>
      <SavedViews page={page} />
      {error && (
        <FilterError
          error={error as ApiError}
          filter={view.filter ?? ""}
          isNested={Boolean(view.time)}
          set={(filter) => setView({ filter: filter || undefined }, { replace: true })}
        />
      )}
    </div>
  );
}

type Fault = { error: ApiError; filter: string; isNested: boolean; set: (filter: string) => void };

/** What is wrong, and the way out: a field that this page does not have, as when a filter came along from another page, is left out. */
function FilterError({ error, filter, isNested, set }: Fault) {
  const unknown = error.position !== null && /there is no field|has no text|has no attributes/.test(error.message);
  // With a time range the server was sent the filter in parentheses.
  const fault = unknown ? termAt(filter, error.position! - (isNested ? 1 : 0)) : null;
  return (
    <div className="filter-error" role="alert">
      {fault && (
        <p>
          This page has no <code>{fault.text}</code>; the filter may have come along from another page.{" "}
          <button type="button" className="link" onClick={() => set(fault.rest)}>
            Leave it out
          </button>
        </p>
      )}
      <pre>{error.message}</pre>
    </div>
  );
}

/** A text field for a filter, with completion of fields, values and attributes. */
export function FilterField({
  of,
  value,
  onChange,
  placeholder,
  live,
}: {
  of: Of;
  value: string;
  onChange: (filter: string) => void;
  placeholder?: string;
  /** Tells of every change, not only of what was entered: in a form. */
  live?: boolean;
}) {
  const [text, setText] = useState(value);
  const [caret, setCaret] = useState(0);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const field = useRef<HTMLInputElement>(null);
  const list = useId();
  useEffect(() => setText(value), [value]);
  useKeys("Filter", [{ key: "/", does: "Type a filter", run: () => field.current?.focus() }]);

  const part = partAt(text, caret);
  const choices = useChoices(of, text, part, open);
  const at = Math.min(active, choices.length - 1);
  const submit = (filter: string) => {
    setOpen(false);
    setActive(-1);
    onChange(filter.trim());
  };
  const choose = (choice: Choice) => {
    const next = text.slice(0, part.start) + choice.insert + text.slice(caret);
    const place = part.start + choice.insert.length;
    setText(next);
    setCaret(place);
    if (live) onChange(next);
    setActive(-1);
    setOpen(choice.goOn);
    requestAnimationFrame(() => field.current?.setSelectionRange(place, place));
    field.current?.focus();
  };
  return (
    <div className="filter-field">
      <input
        ref={field}
        className="field mono"
        type="text"
        role="combobox"
        spellCheck={false}
        autoComplete="off"
        autoCapitalize="off"
        aria-label="Filter"
        aria-expanded={open && choices.length > 0}
        aria-controls={list}
        aria-activedescendant={at >= 0 ? `${list}-${at}` : undefined}
        placeholder={placeholder ?? "status:error agent:coder cost:>0.05 or any words"}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          if (live) onChange(event.target.value);
          setCaret(event.target.selectionStart ?? event.target.value.length);
          setOpen(true);
          setActive(-1);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            if (open && at >= 0) choose(choices[at]!);
            else submit(text);
          } else if (event.key === "Tab" && open && choices.length && !event.shiftKey && part.text) {
            event.preventDefault();
            choose(choices[Math.max(at, 0)]!);
          } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && choices.length) {
            event.preventDefault();
            setOpen(true);
            setActive(
              (at + (event.key === "ArrowDown" ? 1 : choices.length) + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % choices.length,
            );
            if (event.key === "ArrowUp" && at > 0) setActive(at - 1);
          } else if (event.key === "Escape") {
            event.preventDefault();
            if (open && choices.length) setOpen(false);
            else {
              setText(value);
              field.current?.blur();
            }
          }
        }}
      />
      {text && (
        <button type="button" className="filter-clear" aria-label="Clear the filter" onClick={() => submit("")}>
          ×
        </button>
      )}
      <div id={list} role="listbox" aria-label="What may come next" className="filter-choices" hidden={!open || choices.length === 0}>
        {choices.map((choice, number) => (
          <div
            key={choice.insert}
            id={`${list}-${number}`}
            role="option"
            tabIndex={-1}
            aria-selected={number === at}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(choice)}
          >
            <span className="mono cut">{choice.text}</span>
            <span className="faint cut">{choice.hint}</span>
          </div>
        ))}
      </div>
    </div>
  );
}

function useChoices(of: Of, text: string, part: { start: number; text: string }, open: boolean): Choice[] {
  const colon = part.text.indexOf(":");
  const inList = openField(text, part.start);
  const field = inList ?? (colon > 0 ? part.text.slice(0, colon) : null);
  const prefix = (inList ? part.text : part.text.slice(colon + 1)).replace(/^"/, "");
  const isAttribute = !field && part.text.startsWith("@");
  const fields = useQuery({ ...fieldsOf(of), enabled: open });
  const known = fields.data?.find((one) => one.name === field);
  const hasValues = field !== null && (field.startsWith("@") || known?.type === "text" || known?.type === "enum");
  const values = useQuery({ ...valuesOf(of, field ?? "", prefix), enabled: open && hasValues && !/[*><]/.test(prefix) });
  const attributes = useQuery({ ...attributesOf(of, part.text.slice(1)), enabled: open && isAttribute });
  if (!open) return [];
  if (field !== null) {
    if (!hasValues) return [];
    return (values.data?.suggestions ?? []).map(({ text: found, count }) => ({
      text: found,
      insert: inList ? term("", found).slice(1) : `${term(field, found)} `,
      hint: count === null ? "" : short(count),
      goOn: false,
    }));
  }
  if (isAttribute) {
    return (attributes.data?.suggestions ?? []).map(({ text: found, count }) => ({
      text: `@${found}`,
      insert: /[\s:()"]/.test(found) ? `@"${found.replace(/["\\]/g, "\\$&")}":` : `@${found}:`,
      hint: count === null ? "" : short(count),
      goOn: true,
    }));
  }
  const wanted = part.text.toLowerCase();
  return (fields.data ?? [])
    .filter((one) => one.name.startsWith(wanted))
    .slice(0, wanted ? 12 : 30)
    .map((one) => ({ text: `${one.name}:`, insert: `${one.name}:`, hint: one.help, goOn: true }));
}
