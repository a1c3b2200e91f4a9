import "./agents.css";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { between, within } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { term } from "../../filter/terms";
import { count, line, percent, plural, short } from "../../format";
import { CutNote, Empty } from "../../parts/Empty";
import { Bar, Figure, Id, Kind, Lasted, Status, Tokens, TotalCost, When } from "../../parts/Figures";
import { edgeKey, type Graph, type Node, nodeKey } from "../../parts/graph/shape";
import { Histogram } from "../../parts/Histogram";
import { type Column, Table } from "../../parts/Table";
import { Tabs } from "../../parts/Tabs";
import { Failed, SearchLink, spansOf, type Tie, tiesOf, title, Took, verb, weightColumns } from "./parts";
import { type Decision, graphOf, MOST_RUNS, type Operation, type Profile, profileOf, type Run, RUNS } from "./queries";

const TABS = [
  { id: "operations", title: "Operations" },
  { id: "works", title: "Works with" },
  { id: "runs", title: "Runs" },
  { id: "decisions", title: "Decisions" },
];

/** How one agent does: what it does and how long that takes, with whom and with which tools and models, in which runs, and what it decided. */
export default function Agent() {
  const { agent } = useParams({ strict: false }) as { agent: string };
  const [view, setView] = useView();
  const shared = useShared();
  const limit = Math.min(Math.max(Number(view.runs) || RUNS, 1), MOST_RUNS);
  const filter = within(view.filter, view.time);
  const named = filter ? `(${filter}) ${term("agent", agent)}` : term("agent", agent);
  const profile = useQuery(profileOf(agent, filter, limit));
  const graph = useQuery(graphOf(named, ["tool", "model"], limit));
  const node = graph.data?.nodes.find((one) => nodeKey(one.kind, one.name) === nodeKey("agent", agent));
  const tab = TABS.find((one) => one.id === view.tab)?.id ?? "operations";
  const error = profile.error ?? graph.error;
  const nothing = profile.data && profile.data.runs.length === 0;
  return (
    <main className="agents">
      <header className="page-title">
        <Link to="/agents" search={shared as never} className="faint">
          Agents
        </Link>
        <h1 className="cut">{title(agent, 200)}</h1>
        <p aria-live="polite">{node && profile.data && <Sentence node={node} of={profile.data} />}</p>
      </header>
      <FilterBar of="runs" page="/agents" error={error} placeholder="status:error service:builder" />
      {profile.data?.more && (
        <CutNote>
          Only the newest {plural(profile.data.runs.length, "run")} of it {profile.data.runs.length === 1 ? "is" : "are"} counted here.{" "}
          {limit < MOST_RUNS && (
            <button type="button" className="link" onClick={() => setView({ runs: String(MOST_RUNS) }, { replace: true })}>
              Count up to {count(MOST_RUNS)}
            </button>
          )}
        </CutNote>
      )}
      {error && !profile.data ? (
        <div className="empty">
          <Trouble error={error} />
        </div>
      ) : nothing ? (
        <Empty
          title="No such agent in these runs"
          action={
            <Link to="/agents" className="button">
              All agents
            </Link>
          }
        >
          No run{view.filter || view.time ? " that matches" : ""} names an agent {title(agent)}.
        </Empty>
      ) : (
        <>
          {node && graph.data && <Figures node={node} of={graph.data} choose={(first, last) => setView({ time: between(first, last) })} />}
          <Tabs label="Views of the agent" tabs={TABS} at={tab} set={(id) => setView({ tab: id === "operations" ? undefined : id })} />
          <div className="columns" role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`}>
            {tab === "operations" && <Operations agent={agent} of={profile.data} />}
            {tab === "works" && <Works agent={agent} of={graph.data} />}
            {tab === "runs" && <Runs of={profile.data} />}
            {tab === "decisions" && <Decisions of={profile.data} />}
          </div>
        </>
      )}
    </main>
  );
}

function Sentence({ node, of }: { node: Node; of: Profile }) {
  const slowest = of.operations
    .filter((one) => one.kind !== "agent")
    .reduce<Operation | undefined>((most, one) => ((one.p95_ns ?? 0) > (most?.p95_ns ?? 0) ? one : most), undefined);
  const { weight } = node;
  return (
    <>
      {plural(weight.calls, "call")} in {plural(node.runs, "run")},{" "}
      {weight.errors ? `${count(weight.errors)} failed (${percent(weight.errors / weight.calls)})` : "none failed"}
      {slowest?.p95_ns && (
        <>
          ; slowest is <em>{title(slowest.name, 40)}</em>, p95 <Took ns={slowest.p95_ns} level={95} of="spans" />
        </>
      )}
      .
    </>
  );
}

function Figures({ node, of, choose }: { node: Node; of: Graph; choose: (firstNs: number, lastNs: number) => void }) {
  const { weight } = node;
  const { time } = useShared();
  const part = Math.max(1, ((of.to_ns ?? 0) - (of.from_ns ?? 0)) / node.starts.length);
  const ok = node.starts.map((value, at) => value - node.failed_starts[at]!);
  const facts: [string, React.ReactNode][] = [
    ["calls", count(weight.calls)],
    ["failed", <Failed key="f" of={weight} />],
    ...([50, 95, 99] as const).map((level): [string, React.ReactNode] => [
      `p${level}`,
      <Took key={level} ns={weight[`p${level}_ns`]} level={level} of="calls" />,
    ]),
    [
      "spans",
      <SearchLink key="s" filter={spansOf(node)}>
        {count(node.spans)}
      </SearchLink>,
    ],
    [
      "failed spans",
      node.failed_spans ? (
        <SearchLink key="e" filter={spansOf(node, "status:error")} className="error">
          ✕ {count(node.failed_spans)}
        </SearchLink>
      ) : (
        "0"
      ),
    ],
    ...(weight.model_calls
      ? ([
          [
            "tokens",
            <Tokens
              key="t"
              input={weight.input_tokens}
              output={weight.output_tokens}
              calls={weight.model_calls}
              withUsage={weight.calls_with_usage}
            />,
          ],
          ["cost", <TotalCost key="c" of={weight} />],
        ] as [string, React.ReactNode][])
      : []),
    [
      "runs",
      <Link key="r" to="/runs" search={{ filter: term("agent", node.name), time } as never}>
        {count(node.runs)}
      </Link>,
    ],
    ["last seen", node.last_ns === null ? "–" : <When key="w" ns={node.last_ns} />],
  ];
  return (
    <>
      <dl className="agents-figures">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {of.from_ns !== null && node.weight.calls > 1 && (
        <div className="agents-times">
          <Histogram
            bars={{
              startNs: of.from_ns,
              widthNs: part,
              series: [
                { name: "count", values: ok },
                { name: "error", values: node.failed_starts },
              ],
            }}
            label="Its calls over the time of these runs"
            choose={choose}
          />
        </div>
      )}
    </>
  );
}

function Operations({ agent, of }: { agent: string; of: Profile | undefined }) {
  const navigate = useNavigate();
  const { time } = useShared();
  const rows = useMemo(() => of?.operations ?? [], [of]);
  const most = Math.max(1, ...rows.map((one) => one.count));
  const slowest = Math.max(1, ...rows.map((one) => one.p95_ns ?? 0));
  const spans = (one: Operation, more = "") =>
    [term("agent", agent), term("kind", one.kind), term("name", one.name), more].filter(Boolean).join(" ");
  const columns: Column<Operation>[] = [
    { title: "Kind", width: "86px", cell: (one) => <Kind kind={one.kind} />, wide: true },
    { title: "Operation", width: "minmax(90px, 1.6fr)", cell: (one) => <strong title={line(one.name)}>{title(one.name)}</strong> },
    { title: "Spans", width: "60px", align: "right", cell: (one) => <Bar share={one.count / most}>{count(one.count)}</Bar> },
    {
      title: "Failed",
      width: "82px",
      align: "right",
      cell: (one) =>
        one.errors ? (
          <SearchLink filter={spans(one, "status:error")} className="error">
            ✕ {count(one.errors)} <span className="soft">{percent(one.errors / one.count)}</span>
          </SearchLink>
        ) : (
          <span className="faint">0</span>
        ),
      hint: "Spans that ended with an error; a click finds them.",
    },
    ...([50, 95, 99] as const).map((level): Column<Operation> => ({
      title: `p${level}`,
      width: "68px",
      align: "right",
      cell: (one) => {
        const took = <Took ns={one[`p${level}_ns`]} level={level} of="spans" />;
        return level === 95 ? <Bar share={(one.p95_ns ?? 0) / slowest}>{took}</Bar> : took;
      },
      wide: level !== 95,
      hint: `${level} % of the spans that ended took at most this.`,
    })),
    {
      title: "Per minute",
      width: "76px",
      align: "right",
      cell: (one) => (
        <Figure
          unknown={one.per_second === null}
          hint={
            one.per_second === null
              ? "All at one moment: there is no rate."
              : "Spans by the time from the agent's first span in these runs to its last."
          }
        >
          {one.per_second === null ? "–" : short(Number((one.per_second * 60).toPrecision(3)))}
        </Figure>
      ),
      wide: true,
    },
    {
      title: "Newest",
      width: "96px",
      cell: (one) => (
        <Link to={`/runs/${one.last_run_id}`} search={{ span: one.last_span_id } as never}>
          <When ns={one.last_ns} />
        </Link>
      ),
      wide: true,
    },
  ];
  return (
    <Table
      label="Operations"
      columns={columns}
      rows={rows}
      id={(one) => nodeKey(one.kind, one.name)}
      loading={!of}
      open={(one) => void navigate({ to: "/search", search: { filter: spans(one), time } as never })}
    />
  );
}

function Works({ agent, of }: { agent: string; of: Graph | undefined }) {
  const navigate = useNavigate();
  const shared = useShared();
  const rows = useMemo(() => (of ? tiesOf(of.edges, { kind: "agent", name: agent }) : []), [of, agent]);
  const columns: Column<Tie>[] = [
    { title: "Kind", width: "70px", cell: (tie) => <Kind kind={tie.kind === "model" ? "llm" : tie.kind} />, wide: true },
    {
      title: "With",
      width: "minmax(80px, 1.6fr)",
      cell: (tie) => (
        <>
          <span className="soft">{verb(tie)}</span> <strong title={line(tie.name)}>{title(tie.name)}</strong>
        </>
      ),
    },
    ...weightColumns((tie: Tie) => tie.edge.weight, rows),
  ];
  return (
    <Table
      label="Works with"
      columns={columns}
      rows={rows}
      id={(tie) => `${tie.out}${edgeKey(tie.edge)}`}
      loading={!of}
      empty={<Empty title="It works alone">It called no agent, tool or model, and none called it.</Empty>}
      open={(tie) =>
        tie.kind === "agent"
          ? void navigate({ to: "/agents/$agent", params: { agent: tie.name } as never, search: shared as never })
          : void navigate({ to: "/search", search: { filter: `${spansOf(tie)} ${term("agent", agent)}`, time: shared.time } as never })
      }
    />
  );
}

function Runs({ of }: { of: Profile | undefined }) {
  const navigate = useNavigate();
  const shared = useShared();
  const columns: Column<Run>[] = [
    { title: "Status", width: "72px", cell: (run) => <Status of={run} /> },
    { title: "Name", width: "minmax(90px, 1.4fr)", cell: (run) => <strong title={line(run.name)}>{line(run.name) || "–"}</strong> },
    { title: "Run", width: "62px", cell: (run) => <Id id={run.run_id} of="run" />, wide: true },
    { title: "Started", width: "100px", cell: (run) => <When ns={run.start_ns} /> },
    { title: "Duration", width: "72px", align: "right", cell: (run) => <Lasted ns={run.duration_ns} state={run.state} /> },
    { title: "Cost", width: "76px", align: "right", cell: (run) => <TotalCost of={run} />, hint: "Of the whole run.", wide: true },
    { title: "Error", width: "minmax(60px, 1.5fr)", cell: (run) => <span className="error">{line(run.error)}</span>, wide: true },
  ];
  return (
    <Table
      label="Runs"
      columns={columns}
      rows={of?.runs ?? []}
      id={(run) => run.run_id}
      loading={!of}
      open={(run) => void navigate({ to: `/runs/${run.run_id}`, search: { ...shared, tab: "graph" } as never })}
    />
  );
}

function Decisions({ of }: { of: Profile | undefined }) {
  const navigate = useNavigate();
  const shared = useShared();
  const columns: Column<Decision>[] = [
    { title: "When", width: "100px", cell: (one) => <When ns={one.start_ns} /> },
    { title: "Question", width: "minmax(80px, 1.2fr)", cell: (one) => line(one.question) || "–", wide: true },
    { title: "Chosen", width: "minmax(70px, 0.8fr)", cell: (one) => <strong>{line(one.choice) || "–"}</strong> },
    { title: "Why", width: "minmax(80px, 1.6fr)", cell: (one) => <span title={line(one.reason)}>{line(one.reason) || "–"}</span> },
    {
      title: "Confidence",
      width: "76px",
      align: "right",
      cell: (one) => (
        <Figure unknown={one.confidence === null} hint={one.confidence === null ? "It recorded none." : "As the agent recorded it."}>
          {percent(one.confidence)}
        </Figure>
      ),
      wide: true,
    },
  ];
  return (
    <Table
      label="Decisions"
      columns={columns}
      rows={of?.decisions ?? []}
      id={(one) => `${one.run_id}${one.span_id}`}
      loading={!of}
      empty={
        <Empty
          title="It recorded no decision"
          command={'clew.decision("Which file?", options=["a.py", "b.py"], choice="a.py", reason="it is newer")'}
        >
          An agent says what it chose, among what and why:
        </Empty>
      }
      open={(one) => void navigate({ to: `/runs/${one.run_id}`, search: { ...shared, tab: "decisions", span: one.span_id } as never })}
      foot={
        of && of.decided > of.decisions.length ? `The newest ${count(of.decisions.length)} of ${count(of.decided)} decisions.` : undefined
      }
    />
  );
}
