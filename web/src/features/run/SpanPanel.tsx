import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Trouble } from "../../app/Broken";
import { bytes, clock, count, duration, exact, line, usd, utc, visible } from "../../format";
import { CallCost, copy, Figure, Id, Kind, Lasted, Status } from "../../parts/Figures";
import { SidePanel } from "../../parts/SidePanel";
import { contentsOf, costOf, type Detail, detailOf, logsOf } from "./queries";
import { Text } from "./Text";
import { RolledUp } from "./Tree";
import { pathTo, type Trace } from "./trace";

/** Everything about one span. */
export function SpanPanel({ trace, at, close, select }: { trace: Trace; at: number; close: () => void; select: (at: number) => void }) {
  const runId = trace.of.run.run_id;
  const { columns } = trace;
  const spanId = columns.span_id[at]!;
  const detail = useQuery(detailOf(runId, spanId));
  const url = `${location.origin}/api/v1/runs/${runId}/spans/${spanId}`;
  return (
    <SidePanel
      title={line(columns.name[at]!, 120)}
      close={close}
      actions={
        <>
          <button type="button" className="button" onClick={() => void copy(`curl '${url}'`)}>
            curl
          </button>
          <button type="button" className="button" disabled={!detail.data} onClick={() => void copy(JSON.stringify(detail.data, null, 2))}>
            JSON
          </button>
        </>
      }
    >
      <nav className="ancestors" aria-label="Where it is">
        {pathTo(trace, at)
          .reverse()
          .slice(-6)
          .map((up) => (
            <button key={up} type="button" className="link cut" onClick={() => select(up)}>
              {line(columns.name[up]!, 40)}
            </button>
          ))}
      </nav>
      <dl className="facts">
        <dt>Kind</dt>
        <dd>
          <Kind kind={columns.kind[at]!} />
        </dd>
        <dt>Outcome</dt>
        <dd>
          <Status of={{ status: columns.status[at]!, state: columns.state[at]! }} />
          {detail.data?.error_type && <span className="faint"> {line(detail.data.error_type, 120)}</span>}
        </dd>
        <dt>Span</dt>
        <dd>
          <Id id={spanId} of="span" />
        </dd>
        <dt>Started</dt>
        <dd data-hint={utc(trace.of.start_ns + trace.start[at]!)}>
          +{duration(trace.start[at])} <span className="faint">{exact(trace.of.start_ns + trace.start[at]!)}</span>
        </dd>
        <dt>Duration</dt>
        <dd>
          <Lasted ns={columns.duration_ns[at] ?? null} state={columns.state[at]!} />
          {trace.critical[at] === 1 && (
            <span className="faint" data-hint="If it were shorter, the run would be.">
              {" "}
              on the critical path
            </span>
          )}
        </dd>
        {columns.agent[at] && (
          <>
            <dt>Agent</dt>
            <dd>{line(columns.agent[at]!, 120)}</dd>
          </>
        )}
        {columns.model[at] && (
          <>
            <dt>Model</dt>
            <dd>{line(columns.model[at]!, 120)}</dd>
          </>
        )}
        {columns.tool[at] && (
          <>
            <dt>Tool</dt>
            <dd>{line(columns.tool[at]!, 120)}</dd>
          </>
        )}
        {columns.is_model_call[at] ? (
          <>
            <dt>Tokens</dt>
            <dd>
              {count(columns.input_tokens[at])} in, {count(columns.output_tokens[at])} out
            </dd>
            <dt>Cost</dt>
            <dd>
              <CallCost usd={columns.cost_usd[at] ?? null} source={columns.cost_source[at] ?? ""} />
            </dd>
          </>
        ) : (
          trace.calls[at]! > 0 && (
            <>
              <dt>Below it</dt>
              <dd>
                {count(trace.below[at]! - 1)} spans, {count(trace.tokens[at])} tokens, <RolledUp trace={trace} at={at} />
              </dd>
            </>
          )
        )}
      </dl>
      {columns.status_message[at] && <pre className="message error">{visible(columns.status_message[at]!.slice(0, 4000))}</pre>}
      {detail.error && <Trouble error={detail.error} />}
      {columns.is_model_call[at] && <CostLines runId={runId} spanId={spanId} />}
      {detail.data && <Contents runId={runId} detail={detail.data} />}
      <Logs runId={runId} spanId={spanId} />
      {detail.data && <Rest detail={detail.data} />}
    </SidePanel>
  );
}

function CostLines({ runId, spanId }: { runId: string; spanId: string }) {
  const cost = useQuery(costOf(runId, spanId)).data;
  if (!cost) return null;
  return (
    <details className="part" open>
      <summary>Cost, line by line</summary>
      {cost.lines.length > 0 ? (
        <table className="lines">
          <tbody>
            {cost.lines.map((one) => (
              <tr key={one.name}>
                <th scope="row">{one.name.replaceAll("_", " ")}</th>
                <td>{count(one.count)}</td>
                <td className="faint">
                  × {usd(one.price)} / {one.name === "request" ? "1k" : "1M"}
                </td>
                <td>{usd(one.usd)}</td>
              </tr>
            ))}
            <tr className="total">
              <th scope="row">computed</th>
              <td />
              <td className="faint">{line(cost.priced_as, 60)}</td>
              <td>{usd(cost.computed_usd)}</td>
            </tr>
            {cost.reported_usd !== null && (
              <tr>
                <th scope="row">reported</th>
                <td />
                <td className="faint">by the provider; this counts</td>
                <td>{usd(cost.reported_usd)}</td>
              </tr>
            )}
          </tbody>
        </table>
      ) : (
        <p>
          {cost.reported_usd !== null ? (
            <>Reported by the provider: {usd(cost.reported_usd)}. </>
          ) : (
            <Figure unknown hint={cost.source}>
              Not known
            </Figure>
          )}{" "}
          {cost.source === "missing" && "The call recorded no usage."}
          {cost.source === "unpriced" && "No price is known for this model; give one in prices.toml in the data directory."}
          {cost.source === "cached" && "Answered from a local cache: costs nothing."}
        </p>
      )}
      {cost.prices && <p className="faint">Prices: {cost.prices}</p>}
    </details>
  );
}

function Contents({ runId, detail }: { runId: string; detail: Detail }) {
  const size = detail.contents.reduce((sum, content) => sum + content.bytes, 0);
  const [wanted, setWanted] = useState(false);
  const large = size > 4 << 20;
  const found = useQuery({ ...contentsOf(runId, detail.span_id), enabled: detail.contents.length > 0 && (!large || wanted) });
  if (detail.contents.length === 0) return null;
  return (
    <details className="part" open>
      <summary>
        Content <span className="faint">{bytes(size)}</span>
      </summary>
      {large && !wanted && (
        <p>
          <button type="button" className="button" onClick={() => setWanted(true)}>
            Load {bytes(size)}
          </button>
        </p>
      )}
      {found.error && <Trouble error={found.error} />}
      {detail.contents.map((content) => (
        <section key={content.key} className="content">
          <h4>
            <code className="cut">{line(content.key, 120)}</code>
            <span className="faint">{bytes(content.bytes)}</span>
            {found.data && (
              <button type="button" className="link" onClick={() => void copy(found.data[content.key] ?? "")}>
                copy
              </button>
            )}
          </h4>
          {found.data ? (
            <Text text={found.data[content.key] ?? ""} />
          ) : found.isFetching ? (
            <div className="skeleton" style={{ height: Math.min(120, 12 + content.bytes / 8) }} />
          ) : null}
        </section>
      ))}
    </details>
  );
}

function Logs({ runId, spanId }: { runId: string; spanId: string }) {
  const found = useInfiniteQuery(logsOf(runId, spanId));
  const logs = found.data?.pages.flatMap((page) => page.logs) ?? [];
  if (logs.length === 0) return null;
  return (
    <details className="part" open>
      <summary>
        Logs{" "}
        <span className="faint">
          {count(logs.length)}
          {found.hasNextPage && "+"}
        </span>
      </summary>
      <ul className="logs">
        {[...logs].reverse().map((log, at) => (
          <li key={at} className={`log log-${log.level}`}>
            <span className="faint">{clock(log.time_ns)}</span> <span className="level">{log.level}</span>{" "}
            <Text text={log.body || log.event_name} />
          </li>
        ))}
      </ul>
    </details>
  );
}

function Rest({ detail }: { detail: Detail }) {
  const tables: [string, Record<string, string>][] = [
    ["Attributes", detail.attributes],
    ["Program", { ...detail.resource, scope: `${detail.scope_name} ${detail.scope_version}`.trim(), sender: detail.sender }],
  ];
  return (
    <>
      {detail.events.length > 0 && (
        <details className="part" open>
          <summary>
            Events <span className="faint">{count(detail.events.length)}</span>
          </summary>
          <ul>
            {detail.events.slice(0, 200).map((event, at) => (
              <li key={at} className="event">
                <strong>{line(event.name, 120)}</strong> <span className="faint">+{duration(event.time_ns - detail.start_ns)}</span>
                <Attributes of={event.attributes} />
              </li>
            ))}
          </ul>
        </details>
      )}
      {detail.links.length > 0 && (
        <details className="part" open>
          <summary>Links</summary>
          <ul>
            {detail.links.slice(0, 200).map((one, at) => (
              <li key={at}>
                <Link to={`/runs/${one.run_id}`} search={{ span: one.span_id } as never}>
                  span {one.span_id.slice(0, 8)} of {one.run_id === detail.run_id ? "this run" : `run ${one.run_id.slice(0, 8)}`}
                </Link>
              </li>
            ))}
          </ul>
        </details>
      )}
      {tables.map(([title, of]) => (
        <details key={title} className="part" open={title === "Attributes"}>
          <summary>
            {title} <span className="faint">{count(Object.keys(of).length)}</span>
          </summary>
          <Attributes of={of} />
        </details>
      ))}
    </>
  );
}

function Attributes({ of }: { of: Record<string, string> }) {
  return (
    <dl className="attributes">
      {Object.entries(of)
        .filter(([, value]) => value !== "")
        .slice(0, 500)
        .map(([key, value]) => (
          <div key={key}>
            <dt>{line(key, 200)}</dt>
            <dd dir="auto">{line(value, 1000)}</dd>
          </div>
        ))}
    </dl>
  );
}
