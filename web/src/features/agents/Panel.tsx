import { Link } from "@tanstack/react-router";
import { useShared } from "../../app/view";
import { term } from "../../filter/terms";
import { count, line, plural } from "../../format";
import { Kind, Tokens, TotalCost, When } from "../../parts/Figures";
import { edgeKey, failedShare, type Edge, type Graph, type Node, nodeKey, type Weight } from "../../parts/graph/shape";
import { SidePanel } from "../../parts/SidePanel";
import { Calls, Failed, SAYS, SearchLink, spansOf, tiesOf, title, Took, verb } from "./parts";

/** What is behind the selected node or edge. */
export function Panel({
  of,
  node,
  edge,
  select,
  close,
}: {
  of: Graph;
  node: Node | undefined;
  edge: Edge | undefined;
  select: (key: string) => void;
  close: () => void;
}) {
  return (
    <SidePanel
      title={node ? title(node.name) : edge ? `${title(edge.source, 50)} → ${title(edge.target, 50)}` : ""}
      close={close}
      actions={node?.kind === "agent" && <ProfileLink agent={node.name} />}
    >
      {node && <OfNode of={of} node={node} select={select} />}
      {edge && <OfEdge edge={edge} select={select} />}
    </SidePanel>
  );
}

function ProfileLink({ agent }: { agent: string }) {
  const shared = useShared();
  return (
    <Link to="/agents/$agent" params={{ agent } as never} search={shared as never} className="button">
      Profile
    </Link>
  );
}

function OfNode({ of, node, select }: { of: Graph; node: Node; select: (key: string) => void }) {
  const { time } = useShared();
  const ties = tiesOf(of.edges, node);
  return (
    <>
      <dl className="facts">
        <dt>Kind</dt>
        <dd>{node.kind === "model" ? <Kind kind="llm" /> : <Kind kind={node.kind} />}</dd>
        <Weighed of={node.weight} />
        <dt>Spans</dt>
        <dd>
          <SearchLink filter={spansOf(node)}>{plural(node.spans, "span")}</SearchLink>
          {node.failed_spans > 0 && (
            <>
              ,{" "}
              <SearchLink filter={spansOf(node, "status:error")} className="error">
                ✕ {count(node.failed_spans)} failed
              </SearchLink>
            </>
          )}
        </dd>
        <dt>Runs</dt>
        <dd>
          <Link to="/runs" search={{ filter: term(node.kind, node.name), time } as never}>
            {plural(node.runs, "run")}
          </Link>{" "}
          <span className="faint">of {count(of.runs)}</span>
        </dd>
        <dt>Last seen</dt>
        <dd>{node.last_ns === null ? "–" : <When ns={node.last_ns} />}</dd>
      </dl>
      {ties.length > 0 && (
        <>
          <h3>Works with</h3>
          <ul className="agents-works">
            {ties.slice(0, 30).map((tie) => (
              <li key={`${tie.out}${edgeKey(tie.edge)}`}>
                <button type="button" className="link" onClick={() => select(edgeKey(tie.edge))}>
                  {verb(tie)}
                </button>
                <button type="button" className="link cut" onClick={() => select(nodeKey(tie.kind, tie.name))}>
                  {title(tie.name, 80)}
                </button>
                <span>
                  {count(tie.edge.weight.calls)} <span className="error">{failedShare(tie.edge.weight)}</span>
                </span>
              </li>
            ))}
          </ul>
          {ties.length > 30 && <p className="faint">The 30 with the most calls of {count(ties.length)}.</p>}
        </>
      )}
      <Calls of={node} />
    </>
  );
}

function OfEdge({ edge, select }: { edge: Edge; select: (key: string) => void }) {
  const target = edge.relation === "used" ? "tool" : edge.relation === "asked" ? "model" : "agent";
  const { time } = useShared();
  const both = [term("agent", edge.source), term(target, edge.target)].join(" ");
  return (
    <>
      <dl className="facts">
        <dt>From</dt>
        <dd>
          <button type="button" className="link" onClick={() => select(nodeKey("agent", edge.source))}>
            {title(edge.source)}
          </button>
        </dd>
        <dt>Relation</dt>
        <dd data-hint={SAYS[edge.relation]}>{edge.relation}</dd>
        <dt>To</dt>
        <dd>
          <button type="button" className="link" onClick={() => select(nodeKey(target, edge.target))}>
            {title(edge.target)}
          </button>
        </dd>
        <Weighed of={edge.weight} />
        <dt>Runs</dt>
        <dd>
          <Link to="/runs" search={{ filter: both, time } as never}>
            Runs with both
          </Link>
        </dd>
      </dl>
      <p className="agents-says">{line(SAYS[edge.relation] ?? "")}</p>
      <Calls of={edge} />
    </>
  );
}

function Weighed({ of }: { of: Weight }) {
  return (
    <>
      <dt>Calls</dt>
      <dd>{count(of.calls)}</dd>
      <dt>Failed</dt>
      <dd>
        <Failed of={of} />
      </dd>
      <dt>Duration</dt>
      <dd>
        p50 <Took ns={of.p50_ns} level={50} of="calls" />, p95 <Took ns={of.p95_ns} level={95} of="calls" />, p99{" "}
        <Took ns={of.p99_ns} level={99} of="calls" />
      </dd>
      {of.model_calls > 0 && (
        <>
          <dt>Tokens</dt>
          <dd>
            <Tokens input={of.input_tokens} output={of.output_tokens} calls={of.model_calls} withUsage={of.calls_with_usage} />{" "}
            <span className="faint">in {plural(of.model_calls, "model call")}</span>
          </dd>
          <dt>Cost</dt>
          <dd>
            <TotalCost of={of} />
          </dd>
        </>
      )}
    </>
  );
}
