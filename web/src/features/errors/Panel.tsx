import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Trouble } from "../../app/Broken";
import { between } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { term, terms } from "../../filter/terms";
import { count, duration, exact, line, plural, utc, visible } from "../../format";
import { copy, Id, Kind, When } from "../../parts/Figures";
import { Histogram } from "../../parts/Histogram";
import { SidePanel } from "../../parts/SidePanel";
import { type Detail, errorOf } from "./queries";
import { StateMark } from "./State";

/** One error: its history, a sample, what sets it apart, and each failure with the way to it. */
export function Panel({ fingerprint, filter, close }: { fingerprint: string; filter: string; close: () => void }) {
  const [, setView] = useView();
  const shared = useShared();
  const found = useInfiniteQuery(errorOf(fingerprint, filter));
  const first = found.data?.pages[0];
  const failures = found.data?.pages.flatMap((page) => page.failures) ?? [];
  if (!first)
    return (
      <SidePanel title={found.error ? "Not found" : "…"} close={close}>
        {found.error ? <Trouble error={found.error} /> : <div className="skeleton" />}
      </SidePanel>
    );
  const { error } = first;
  const search = { filter: term("fingerprint", error.fingerprint), time: shared.time } as never;
  return (
    <SidePanel
      title={line(error.type || error.message, 80) || "(no message)"}
      close={close}
      actions={
        <button type="button" className="button" onClick={() => void copy(`clew errors --show ${error.fingerprint}`)}>
          clew
        </button>
      }
    >
      <p className="error-pattern">
        {line(error.message, 400) || "(no message)"} <StateMark state={error.state} />
      </p>
      <div className="error-bars">
        <Histogram
          label={`Failures of this error over time, ${count(error.count)} in all`}
          bars={{ startNs: first.first_ns, widthNs: first.bucket_ns, series: [{ name: "error", values: error.counts }] }}
          choose={(from, to) => setView({ time: between(from, to) })}
        />
      </div>
      <dl className="facts">
        <dt>Where</dt>
        <dd>
          <Kind kind={error.kind} /> {line(error.place, 100)}
        </dd>
        <dt>Failures</dt>
        <dd>
          {count(error.count)} in {plural(error.runs, "run")}
          {error.users > 0 && `, of ${plural(error.users, "user")}`}; {count(error.before)} in the time before
        </dd>
        <dt>First seen</dt>
        <dd data-hint={utc(error.first_ns)}>{exact(error.first_ns)}</dd>
        <dt>Last seen</dt>
        <dd data-hint={utc(error.last_ns)}>{exact(error.last_ns)}</dd>
        <Names name="Agents" values={error.agents} />
        <Names name="Tools" values={error.tools} />
        <Names name="Models" values={error.models} />
        <Names name="Programs" values={error.services} />
        <dt>Fingerprint</dt>
        <dd>
          <Id id={error.fingerprint} of="fingerprint" />
        </dd>
      </dl>
      <p className="error-links">
        <Link to="/runs" search={search}>
          Its runs
        </Link>{" "}
        <Link to="/search" search={search}>
          Its spans
        </Link>
      </p>
      <h3>The newest says</h3>
      <pre className="message error">{visible(error.sample.message.slice(0, 2000)) || "(nothing)"}</pre>
      <Apart of={first} />
      {first.stack && (
        <>
          <h3>
            Stack of{" "}
            <Link to={`/runs/${first.stack.run_id}`} search={{ span: first.stack.span_id } as never}>
              a failure
            </Link>
            {first.stack.characters > first.stack.text.length && (
              <span className="faint">
                {" "}
                the last {count(first.stack.text.length)} of {count(first.stack.characters)} characters
              </span>
            )}
          </h3>
          <pre className="error-stack" tabIndex={0}>
            {visible(first.stack.text)}
          </pre>
        </>
      )}
      <h3>Failures, newest first</h3>
      {failures.length === 0 && <p className="soft">None in the time that is shown.</p>}
      {failures.map((failure) => (
        <div key={failure.run_id + failure.span_id} className="failure">
          <When ns={failure.start_ns} />
          <Link to={`/runs/${failure.run_id}`} search={{ span: failure.span_id } as never} className="cut" title={line(failure.message)}>
            {line(failure.name, 60) || "(no name)"}
          </Link>
          <span className="cut soft">{line(failure.agent || failure.model, 40)}</span>
          <span className="faint">{duration(failure.duration_ns)}</span>
          <span className="cut soft failure-message">{line(failure.message, 200)}</span>
        </div>
      ))}
      {found.hasNextPage && (
        <p>
          <button type="button" className="link" disabled={found.isFetching} onClick={() => void found.fetchNextPage()}>
            Show more of the {count(error.count)}
          </button>
        </p>
      )}
    </SidePanel>
  );

  function Apart({ of }: { of: Detail }) {
    const [view] = useView();
    const { apart } = of;
    if (!apart || (apart.values.length === 0 && apart.numbers.length === 0)) return null;
    const include = (field: string, value: string) =>
      setView({ filter: [...terms(view.filter ?? ""), term(field, value)].join(" "), error: fingerprint });
    return (
      <>
        <h3 data-hint={`The newest ${plural(apart.failures, "failure")} beside the newest ${restOf(of)}`}>
          What sets it apart <span className="faint">from {restOf(of)}</span>
        </h3>
        <table className="apart">
          <thead>
            <tr>
              <th scope="col">Value</th>
              <th scope="col">Failures</th>
              <th scope="col">Rest</th>
            </tr>
          </thead>
          <tbody>
            {apart.values.map((one) => (
              <tr key={one.field + one.value}>
                <th scope="row">
                  <span className="faint">{line(one.field, 60)}</span>{" "}
                  {one.field.startsWith("resource ") ? (
                    line(one.value, 80)
                  ) : (
                    <button type="button" className="link" data-hint="Only these" onClick={() => include(one.field, one.value)}>
                      {line(one.value, 80)}
                    </button>
                  )}
                </th>
                <td>
                  <Share of={one.failures / apart.failures} which="failures" />
                </td>
                <td>
                  <Share of={one.rest / apart.rest} which="rest" />
                </td>
              </tr>
            ))}
            {apart.numbers.map((one) => (
              <tr key={one.field}>
                <th scope="row">
                  <span className="faint">{one.field.replace("_", " ")}</span> the middle one
                </th>
                <td>{figure(one.field, one.failures)}</td>
                <td>{figure(one.field, one.rest)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </>
    );
  }
}

/** What the failures are compared with. */
function restOf({ error, apart }: Detail): string {
  if (!apart) return "";
  const place = error.place ? ` of ${line(error.place, 40)}` : ` of kind ${error.kind}`;
  return `${plural(apart.rest, "other span")}${{ place, kind: ` of kind ${error.kind}`, all: "" }[apart.against]}`;
}

function figure(field: string, value: number): string {
  return field === "duration" ? duration(value) : count(Math.round(value));
}

function Share({ of, which }: { of: number; which: "failures" | "rest" }) {
  return (
    <span className="share">
      <span className={`share-fill share-${which}`} style={{ width: `${Math.round(of * 100)}%` }} aria-hidden="true" />
      <span>{Math.round(of * 100)} %</span>
    </span>
  );
}

function Names({ name, values }: { name: string; values: string[] }) {
  if (values.length === 0) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{line(values.join(", "), 400)}</dd>
    </>
  );
}
