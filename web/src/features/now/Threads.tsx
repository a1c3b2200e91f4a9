import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { memo, useMemo } from "react";
import { duration, line, plural } from "../../format";
import { type Lanes, lanesOf } from "./lanes";
import { agentsIn } from "./queries";

/** The time that all threads share: nanoseconds. */
export type Axis = { from: number; to: number };

const LANE = 18;
/** Far enough for what goes on to reach beyond the picture. */
const OPEN_S = 1e7;

/** Who works in a run and who handed over to whom, on the time that all threads share; nothing for a run of one agent. */
export function AgentLanes({ runId, startNs, axis }: { runId: string; startNs: number; axis: Axis }) {
  const graph = useQuery(agentsIn(runId)).data;
  const of = useMemo(() => graph && lanesOf(graph, startNs), [graph, startNs]);
  if (!of || of.lanes.length < 2) return null;
  const length = Math.max((axis.to - axis.from) / 1e9, 1e-3);
  const said = of.lanes.map((lane) => line(lane.agent, 40)).join(", ");
  return (
    <div className="lanes">
      <ul className="lane-names">
        {of.lanes.map((lane) => (
          <li key={lane.agent} className="cut" style={{ height: LANE }} title={line(lane.agent, 300)}>
            {line(lane.agent, 60) || "(no name)"}
          </li>
        ))}
        {of.hidden > 0 && <li className="faint">and {plural(of.hidden, "agent")} more</li>}
      </ul>
      <Link to={`/runs/${runId}`} search={{ tab: "timeline" } as never}>
        <span className="sr-only">
          Timeline of {said}; {plural(of.handoffs.length, "hand-off")}
        </span>
        <svg
          viewBox={`${(axis.from - startNs) / 1e9} 0 ${length} ${of.lanes.length * LANE}`}
          height={of.lanes.length * LANE}
          preserveAspectRatio="none"
          aria-hidden="true"
        >
          <Picture of={of} bow={2 ** Math.ceil(Math.log2(length)) * 0.008} />
        </svg>
      </Link>
    </div>
  );
}

/** Drawn anew only when the run has changed, for time passes in the frame around it. */
const Picture = memo(function Picture({ of, bow }: { of: Lanes; bow: number }) {
  const y = (lane: number) => lane * LANE + LANE / 2;
  return (
    <>
      {of.lanes.flatMap((lane, at) =>
        lane.calls.map((call, number) => {
          const to = call.to ?? call.from + OPEN_S;
          return (
            <g
              key={`${at}.${number}`}
              data-hint={`${line(lane.agent, 60)}\n${call.to === null ? "goes on" : duration((to - call.from) * 1e9)}`}
            >
              <line
                className={call.to === null ? "lane-call open" : "lane-call"}
                x1={call.from}
                x2={to}
                y1={y(at)}
                y2={y(at)}
                vectorEffect="non-scaling-stroke"
              />
              {call.failed && (
                <line className="lane-failed" x1={call.from} x2={to} y1={y(at) + 5} y2={y(at) + 5} vectorEffect="non-scaling-stroke" />
              )}
            </g>
          );
        }),
      )}
      {of.handoffs.map(({ at, from, to, relation }, number) => (
        <g
          key={number}
          className={`handoff handoff-${relation}`}
          data-hint={`${line(of.lanes[from]!.agent, 40)} → ${line(of.lanes[to]!.agent, 40)}\n${relation}`}
        >
          <path d={`M ${at} ${y(from)} C ${at - bow} ${y(from)} ${at - bow} ${y(to)} ${at} ${y(to)}`} vectorEffect="non-scaling-stroke" />
          <path className="handoff-end" d={`M ${at} ${y(to)} h 0`} vectorEffect="non-scaling-stroke" />
        </g>
      ))}
    </>
  );
});
