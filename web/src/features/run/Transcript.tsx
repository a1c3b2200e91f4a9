import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef } from "react";
import { useKeys } from "../../app/keys";
import { duration, line, plural, short, visible } from "../../format";
import { Empty } from "../../parts/Empty";
import { CallCost, Kind } from "../../parts/Figures";
import { type Turn, transcriptOf } from "./queries";
import { Text } from "./Text";
import type { Trace } from "./trace";

/** The run as a conversation: what is new in each call, tools with what they were asked and gave back. */
export function Transcript({ trace, selected, select }: { trace: Trace; selected: number; select: (at: number) => void }) {
  const found = useInfiniteQuery(transcriptOf(trace.of.run.run_id));
  const turns = useMemo(
    () => found.data?.pages.flatMap((page) => page.turns).filter((turn) => trace.index.has(turn.span_id)) ?? [],
    [found.data, trace],
  );
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: turns.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => 240,
    overscan: 4,
    getItemKey: (at) => turns[at]!.span_id,
  });
  const last = virtual.getVirtualItems().at(-1)?.index ?? 0;
  const { hasNextPage, isFetching, fetchNextPage } = found;
  useEffect(() => {
    if (hasNextPage && !isFetching && last >= turns.length - 5) void fetchNextPage();
  }, [hasNextPage, isFetching, fetchNextPage, last, turns.length]);

  const here = turns.findIndex((turn) => trace.index.get(turn.span_id) === selected);
  const first = useRef(true);
  useEffect(() => {
    if (first.current && here >= 0) virtual.scrollToIndex(here, { align: "start" });
    if (turns.length) first.current = false;
  }, [here, turns.length, virtual]);
  const move = (by: number) => {
    const next = Math.max(0, Math.min(turns.length - 1, here + by));
    const turn = turns[next];
    if (!turn) return;
    select(trace.index.get(turn.span_id)!);
    virtual.scrollToIndex(next, { align: "start" });
  };
  useKeys("Transcript", [
    { key: "j", does: "Next turn", run: () => move(1) },
    { key: "k", does: "Previous turn", run: () => move(-1) },
  ]);
  if (!found.isPending && turns.length === 0) {
    return (
      <Empty title="Nothing was said here" command="export CLEW_CAPTURE=full">
        No span of this run holds messages, or the program was told to record no content. Content is recorded with:
      </Empty>
    );
  }
  return (
    <div ref={scroll} className="transcript" role="feed" aria-busy={found.isFetching} tabIndex={0} aria-label="Transcript">
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((item) => {
          const turn = turns[item.index]!;
          const at = trace.index.get(turn.span_id)!;
          return (
            <article
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              aria-posinset={item.index + 1}
              aria-setsize={turns.length}
              aria-label={`${trace.columns.kind[at]} ${line(trace.columns.name[at]!, 80)}`}
              className={`turn ${at === selected ? "chosen" : ""} ${trace.columns.status[at] === "error" ? "failed" : ""}`}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <TurnView trace={trace} at={at} turn={turn} open={() => select(at)} />
            </article>
          );
        })}
      </div>
    </div>
  );
}

function TurnView({ trace, at, turn, open }: { trace: Trace; at: number; turn: Turn; open: () => void }) {
  const { columns } = trace;
  const tokens = (columns.input_tokens[at] ?? 0) + (columns.output_tokens[at] ?? 0);
  const outputs = turn.said.filter((said) => said.direction === "output");
  return (
    <>
      <header>
        <button type="button" className="turn-title" onClick={open}>
          <Kind kind={columns.kind[at]!} /> <strong>{line(columns.name[at]!, 100)}</strong>
        </button>
        <span className="faint cut">
          {[columns.agent[at], columns.model[at]]
            .filter(Boolean)
            .map((text) => line(text!, 60))
            .join(" · ")}
        </span>
        <span className="turn-figures">
          +{duration(trace.start[at])} · {duration(columns.duration_ns[at])}
          {tokens > 0 && ` · ${short(tokens)} tokens`}
          {columns.is_model_call[at] && (
            <>
              {" · "}
              <CallCost usd={columns.cost_usd[at] ?? null} source={columns.cost_source[at] ?? ""} />
            </>
          )}
        </span>
      </header>
      {turn.folded > 0 && <p className="folded">{plural(turn.folded, "message")} as before</p>}
      {turn.said.map((said, number) => (
        <section key={number} className={`said said-${said.direction}`}>
          <h3>{said.direction === "system" ? "system" : line(said.role, 40) || said.direction}</h3>
          <div>
            {said.content.characters > 0 && <Text text={said.content.text} whole={said.content.characters} more={open} />}
            {callsIn(said.parts).map((call, place) => (
              <ToolCall key={place} name={call.name} arguments={call.arguments} result={call.result} />
            ))}
            {said.content.characters === 0 && callsIn(said.parts).length === 0 && <p className="faint">(nothing)</p>}
          </div>
        </section>
      ))}
      {(turn.arguments || turn.result) && (
        <div className="tool-card">
          {turn.arguments && (
            <section>
              <h3>asked</h3>
              <Text text={turn.arguments.text} whole={turn.arguments.characters} more={open} />
            </section>
          )}
          <section>
            <h3>{columns.status[at] === "error" ? "failed with" : "gave back"}</h3>
            {turn.result ? (
              <Text text={turn.result.text} whole={turn.result.characters} more={open} />
            ) : (
              <p className="faint">{columns.state[at] === "running" ? "running…" : "nothing that was recorded"}</p>
            )}
          </section>
        </div>
      )}
      {columns.status[at] === "error" && columns.status_message[at] && (
        <pre className="message error">{visible(columns.status_message[at]!.slice(0, 2000))}</pre>
      )}
      {columns.state[at] === "running" && outputs.length === 0 && columns.kind[at] === "llm" && (
        <p className="faint typing">waiting for the model…</p>
      )}
    </>
  );
}

function ToolCall({ name, arguments: given, result }: { name: string; arguments: string; result: string }) {
  return (
    <div className="tool-card">
      <section>
        <h3>
          {given ? "calls" : "result of"} <code>{line(name, 80)}</code>
        </h3>
        {(given || result) && <Text text={given || result} />}
      </section>
    </div>
  );
}

/** Calls of tools (and their results) in a message's JSON, in the shapes of GenAI, OpenAI and Anthropic. */
export function callsIn(parts: string): { name: string; arguments: string; result: string }[] {
  if (!parts) return [];
  let given: unknown;
  try {
    given = JSON.parse(parts);
  } catch {
    return [];
  }
  const message = given as Record<string, unknown>;
  const lists = [message.parts, message.content, message.tool_calls].filter(Array.isArray) as Record<string, unknown>[][];
  return lists.flat().flatMap((part) => {
    if (!part || typeof part !== "object") return [];
    const called = (part.function ?? part) as Record<string, unknown>;
    const kind = String(part.type ?? "");
    if (/^(tool_call|tool_use|function)$/.test(kind) && called.name !== undefined)
      return [{ name: String(called.name), arguments: written(called.arguments ?? called.input ?? {}), result: "" }];
    if (/^(tool_call_response|tool_result)$/.test(kind))
      return [
        {
          name: String(part.name ?? part.id ?? part.tool_use_id ?? "tool"),
          arguments: "",
          result: written(part.response ?? part.result ?? part.content ?? ""),
        },
      ];
    return [];
  });
}

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
