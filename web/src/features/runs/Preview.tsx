import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useShared } from "../../app/view";
import { count, exact, line, plural, utc, visible } from "../../format";
import { Id, Lasted, Status, Tokens, TotalCost } from "../../parts/Figures";
import { type Run, runOddities } from "./queries";

/** A run at a glance. */
export function Preview({ run }: { run: Run }) {
  const shared = useShared();
  const odd = useQuery(runOddities(run.run_id)).data;
  const to = (span: string, tab = "waterfall") => ({ to: `/runs/${run.run_id}`, search: { ...shared, span, tab } as never });
  return (
    <>
      <dl className="facts">
        <dt>Outcome</dt>
        <dd>
          <Status of={run} />
        </dd>
        <dt>Run</dt>
        <dd>
          <Id id={run.run_id} of="run" />
        </dd>
        <dt>Started</dt>
        <dd data-hint={utc(run.start_ns)}>{exact(run.start_ns)}</dd>
        <dt>Duration</dt>
        <dd>
          <Lasted ns={run.duration_ns} state={run.state} />
        </dd>
        <dt>Spans</dt>
        <dd>
          {count(run.spans)}
          {run.errors > 0 && <span className="error"> ({count(run.errors)} failed)</span>}
        </dd>
        <dt>Model calls</dt>
        <dd>{count(run.model_calls)}</dd>
        <dt>Tokens</dt>
        <dd>
          <Tokens input={run.input_tokens} output={run.output_tokens} calls={run.model_calls} withUsage={run.calls_with_usage} />
        </dd>
        <dt>Cost</dt>
        <dd>
          <TotalCost of={run} />
        </dd>
        <dt>Agents</dt>
        <dd>{line(run.agents.join(", ")) || "–"}</dd>
        <dt>Models</dt>
        <dd>{line(run.models.join(", ")) || "–"}</dd>
        <dt>Program</dt>
        <dd>{line(run.service) || "–"}</dd>
        {run.session_id && (
          <>
            <dt>Session</dt>
            <dd>{line(run.session_id)}</dd>
          </>
        )}
      </dl>
      {run.error && <pre className="message error">{visible(run.error.slice(0, 2000))}</pre>}
      {odd && (odd.repeated_calls > 0 || odd.blank_spans > 0) && (
        <>
          <h3>Looks odd</h3>
          <ul className="odd">
            {odd.repeats.slice(0, 5).map((repeat) => (
              <li key={repeat.span_id}>
                <Link {...to(repeat.span_id)}>
                  {line(repeat.tool)} asked the same {repeat.times} times
                </Link>
              </li>
            ))}
            {odd.blank_spans > 0 && odd.blanks[0] && (
              <li>
                <Link {...to(odd.blanks[0].span_id)}>{plural(odd.blank_spans, "span")} gave back nothing</Link>
              </li>
            )}
          </ul>
        </>
      )}
    </>
  );
}
