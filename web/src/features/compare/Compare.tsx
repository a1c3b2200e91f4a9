import "./compare.css";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { answer, api, type Schemas } from "../../api/client";
import { Trouble } from "../../app/Broken";
import { useKeys } from "../../app/keys";
import { useView } from "../../app/view";
import { count, duration, line, percent, plural, short, usd } from "../../format";
import { CutNote } from "../../parts/Empty";
import { Id, Kind, Lasted, Status, Tokens, TotalCost, When } from "../../parts/Figures";
import { type Column, Table } from "../../parts/Table";

type Run = Schemas["Run"];
type Step = Schemas["Step"];
type Side = Schemas["Side"];

const diffOf = (before: string, after: string) =>
  queryOptions({
    queryKey: ["diff", before, after],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/runs/{run_id}/diff/{other_id}", { params: { path: { run_id: before, other_id: after } }, signal })),
    placeholderData: undefined,
  });

/** Two runs side by side: what each step took and cost in both, and which decisions went another way. */
export default function Compare() {
  const { beforeId, afterId } = useParams({ strict: false }) as { beforeId: string; afterId: string };
  const [view, setView] = useView();
  const navigate = useNavigate();
  const found = useQuery(diffOf(beforeId, afterId));
  const onlyDifferent = view.all === undefined;
  useKeys("Comparison", [
    { key: "x", does: "Swap the two runs", run: () => void navigate({ to: `/compare/${afterId}/${beforeId}` }) },
    { key: "u", does: "Show what is the same, or not", run: () => setView({ all: onlyDifferent ? "1" : undefined }, { replace: true }) },
  ]);
  if (found.error)
    return (
      <main className="notice">
        <Trouble error={found.error} />
      </main>
    );
  const diff = found.data;
  const steps = diff?.steps.filter((step) => !onlyDifferent || differs(step)) ?? [];
  return (
    <main>
      <header className="page-title">
        <h1>Comparison</h1>
        <p>{diff && sentence(diff.before, diff.after, diff.steps)}</p>
      </header>
      {diff && (
        <div className="sides">
          <SideHead title="before" run={diff.before} />
          <SideHead title="after" run={diff.after} />
          <button type="button" className="button" onClick={() => void navigate({ to: `/compare/${afterId}/${beforeId}` })}>
            Swap <kbd>x</kbd>
          </button>
          <button
            type="button"
            className="button"
            aria-pressed={!onlyDifferent}
            onClick={() => setView({ all: onlyDifferent ? "1" : undefined }, { replace: true })}
          >
            All steps <kbd>u</kbd>
          </button>
        </div>
      )}
      {diff?.more && <CutNote>One of the runs is longer than what is compared.</CutNote>}
      {diff && diff.turns.length > 0 && (
        <section className="turns" aria-label="Decisions that went another way">
          <h2>Decided otherwise</h2>
          <ul>
            {diff.turns.map((turn, at) => (
              <li key={at}>
                <span className="swatch swatch-decision" aria-hidden="true" /> {line(turn.question, 160)}{" "}
                <span className="faint">{line(turn.agent, 40)}</span>: <del>{line(turn.before, 100) || "nothing"}</del> →{" "}
                <strong>{line(turn.after, 100) || "nothing"}</strong>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Table
        label="Steps of both runs"
        columns={COLUMNS}
        rows={steps}
        id={(step) => `${step.kind} ${step.path.join("\n")}`}
        loading={found.isPending}
        open={(step) => {
          const inAfter = step.after.spans > 0;
          void navigate({
            to: `/runs/${inAfter ? diff!.after.run_id : diff!.before.run_id}`,
            search: { span: inAfter ? step.after.span_id : step.before.span_id } as never,
          });
        }}
        empty={<div className="empty">Both runs took the same steps, as often and as well.</div>}
        foot={diff && `${plural(diff.steps.length, "step")}; ${count(diff.only_before)} only before, ${count(diff.only_after)} only after`}
      />
    </main>
  );
}

const COLUMNS: Column<Step>[] = [
  {
    title: "Step",
    width: "minmax(140px, 3fr)",
    cell: (step) => (
      <span
        style={{ paddingLeft: Math.min(step.path.length - 1, 12) * 12 }}
        className={step.before.spans === 0 ? "only-after" : step.after.spans === 0 ? "only-before" : ""}
      >
        {step.before.spans === 0 ? "+ " : step.after.spans === 0 ? "− " : ""}
        {line(step.path.at(-1) ?? "", 100)}
      </span>
    ),
  },
  { title: "Kind", width: "86px", cell: (step) => <Kind kind={step.kind} />, wide: true },
  {
    title: "Spans",
    width: "92px",
    align: "right",
    cell: (step) => <Pair before={step.before.spans} after={step.after.spans} write={count} />,
  },
  {
    title: "Failed",
    width: "76px",
    align: "right",
    cell: (step) => <Pair before={step.before.errors} after={step.after.errors} write={(value) => (value ? count(value) : "")} bad />,
  },
  {
    title: "Duration",
    width: "150px",
    align: "right",
    cell: (step) => <Pair before={step.before.duration_ns} after={step.after.duration_ns} write={duration} bad />,
  },
  {
    title: "Tokens",
    width: "120px",
    align: "right",
    cell: (step) => (
      <Pair before={step.before.tokens} after={step.after.tokens} write={(value) => (value === null ? "" : short(value))} bad />
    ),
    wide: true,
  },
  {
    title: "Cost",
    width: "140px",
    align: "right",
    cell: (step) => (
      <Pair before={step.before.cost_usd} after={step.after.cost_usd} write={(value) => (value === null ? "" : usd(value))} bad />
    ),
    wide: true,
  },
];

/** Two figures; where the second is much larger than the first, and that is bad, it stands out. */
function Pair({
  before,
  after,
  write,
  bad,
}: {
  before: number | null;
  after: number | null;
  write: (value: number | null) => string;
  bad?: boolean;
}) {
  if (write(before) === write(after)) return <span className="faint">{write(after)}</span>;
  const worse = bad && after !== null && after > (before ?? 0) * 1.2;
  return (
    <span data-hint={before && after !== null ? `${after >= before ? "+" : ""}${percent(after / before - 1)}` : undefined}>
      <span className="faint">{write(before) || "–"} → </span>
      <strong className={worse ? "error" : ""}>{write(after) || "–"}</strong>
    </span>
  );
}

function SideHead({ title, run }: { title: string; run: Run }) {
  return (
    <div className="side-head">
      <span className="faint">{title}</span>
      <Link to={`/runs/${run.run_id}`} className="cut">
        <strong>{line(run.name, 80)}</strong>
      </Link>
      <Id id={run.run_id} of="run" />
      <Status of={run} />
      <span>
        <Lasted ns={run.duration_ns} state={run.state} />,{" "}
        <Tokens input={run.input_tokens} output={run.output_tokens} calls={run.model_calls} /> tokens, <TotalCost of={run} />
      </span>
      <span className="faint">
        <When ns={run.start_ns} />
      </span>
    </div>
  );
}

function same(one: Side, two: Side): boolean {
  return one.spans === two.spans && one.errors === two.errors;
}

function differs(step: Step): boolean {
  const { before, after } = step;
  const slower =
    before.duration_ns && after.duration_ns
      ? Math.abs(after.duration_ns / before.duration_ns - 1) > 0.2 && Math.abs(after.duration_ns - before.duration_ns) > 10e6
      : false;
  return !same(before, after) || slower || Math.abs((after.cost_usd ?? 0) - (before.cost_usd ?? 0)) > 0.0001;
}

function sentence(before: Run, after: Run, steps: Step[]): string {
  const parts = [];
  if (before.duration_ns && after.duration_ns) {
    const share = after.duration_ns / before.duration_ns;
    parts.push(
      Math.abs(share - 1) < 0.05
        ? "took as long"
        : share > 1
          ? `took ${percent(share - 1)} longer`
          : `took ${percent(1 - share)} less time`,
    );
  }
  if (before.cost_usd && after.cost_usd) {
    const share = after.cost_usd / before.cost_usd;
    parts.push(
      Math.abs(share - 1) < 0.02 ? "cost the same" : share > 1 ? `cost ${percent(share - 1)} more` : `cost ${percent(1 - share)} less`,
    );
  }
  if (before.errors !== after.errors) parts.push(`${count(after.errors)} spans failed instead of ${count(before.errors)}`);
  const different = steps.filter(differs).length;
  return `The second ${parts.join(", ") || "is much like the first"}; ${plural(different, "step")} differ${different === 1 ? "s" : ""}.`;
}
