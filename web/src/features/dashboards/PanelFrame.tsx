import { type ReactNode, useRef } from "react";
import { copy } from "../../parts/Figures";
import { line } from "../../format";
import { placeOf } from "./behind";
import type { Answer, Panel } from "./queries";
import { isEmpty } from "./sentence";
import { type Go, HEIGHTS, VIEWS } from "./Views";

type Props = {
  panel: Panel;
  /** Undefined while it is not known. */
  answer: Answer | undefined;
  trouble?: string;
  fill: string;
  go: Go;
  time: string;
  choose?: (key: string) => void;
  /** Further entries of its menu. */
  more?: ReactNode;
};

/** One panel: its title, what it shows, and where the figures come from. */
export function PanelFrame({ panel, answer, trouble, fill, go, time, choose, more }: Props) {
  const View = VIEWS[panel.view];
  const wrong = trouble || answer?.trouble;
  const hint = [panel.help, answer?.provenance].filter(Boolean).join("\n");
  return (
    <section className={`panel panel-${panel.view}`} style={{ gridColumn: `span ${panel.width}` }} aria-labelledby={`panel-${panel.id}`}>
      <header>
        <h2 id={`panel-${panel.id}`} className="cut" data-hint={hint || undefined}>
          {line(panel.title, 120)}
        </h2>
        {answer && answer.choices.length > 1 && (
          <span className="choices" role="group" aria-label={`${panel.title}: key`}>
            {answer.choices.map((key) => (
              <button key={key} type="button" aria-pressed={key === answer.chosen} onClick={() => choose?.(key)}>
                {key}
              </button>
            ))}
          </span>
        )}
        <Menu panel={panel} answer={answer} go={go} more={more} />
      </header>
      <div className="panel-body" style={{ minHeight: HEIGHTS[panel.view] }} aria-busy={!answer && !wrong}>
        {wrong ? (
          <pre className="panel-trouble" role="alert">
            {wrong}
          </pre>
        ) : !answer ? (
          <div className="skeleton panel-skeleton" style={{ height: (HEIGHTS[panel.view] ?? 100) - 12 }} />
        ) : isEmpty(answer) ? (
          panel.none ? (
            <p className="panel-empty">{panel.none}</p>
          ) : (
            <Nothing fill={panel.fill || fill} />
          )
        ) : (
          <View panel={panel} answer={answer} go={go} time={time} />
        )}
      </div>
      {answer && answer.notes.length > 0 && !wrong && (
        <p className="panel-notes" role="note">
          {answer.notes.join("; ")}
        </p>
      )}
    </section>
  );
}

function Nothing({ fill }: { fill: string }) {
  return (
    <div className="panel-empty">
      <span>Nothing in this period.</span>
      {fill && (
        <button type="button" className="mono" data-hint="What records it. Click to copy" onClick={() => void copy(fill)}>
          {fill}
        </button>
      )}
    </div>
  );
}

function Menu({ panel, answer, go, more }: Pick<Props, "panel" | "answer" | "go" | "more">) {
  const menu = useRef<HTMLDetailsElement>(null);
  const done = (run: () => void) => () => {
    if (menu.current) menu.current.open = false;
    run();
  };
  if (!answer && !more) return null;
  return (
    <details
      className="saved panel-menu"
      ref={menu}
      onKeyDown={(event) => {
        if (event.key === "Escape" && menu.current) menu.current.open = false;
      }}
      onBlur={(event) => {
        if (menu.current && !menu.current.contains(event.relatedTarget)) menu.current.open = false;
      }}
    >
      <summary aria-label={`What to do with ${panel.title}`}>⋯</summary>
      <div className="saved-menu">
        {answer?.filter && (
          <button type="button" onClick={done(() => go("/search", answer.filter, ""))}>
            {placeOf(answer.filter).page === "/errors" ? "Show the errors behind it" : "Show the spans behind it"}
          </button>
        )}
        {answer?.filter && (
          <button type="button" onClick={done(() => void copy(answer.filter!))}>
            Copy as query
          </button>
        )}
        {answer?.sql && (
          <button type="button" onClick={done(() => void copy(answer.sql!))}>
            Copy as SQL
          </button>
        )}
        {answer?.api && (
          <button type="button" onClick={done(() => void copy(`curl '${location.origin}${answer.api}'`))}>
            Copy as curl
          </button>
        )}
        {more}
      </div>
    </details>
  );
}
