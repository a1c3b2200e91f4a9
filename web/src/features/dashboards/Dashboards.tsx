import "./dashboards.css";
import { useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { Fragment, useEffect, useRef, useState } from "react";
import type { ApiError } from "../../api/client";
import { useLive } from "../../api/live";
import { Trouble } from "../../app/Broken";
import { title as titleOf } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { duration, exact, line } from "../../format";
import { announce } from "../../parts/Figures";
import { placeOf } from "./behind";
import { CopyDialog, EditDialog, slug } from "./Edit";
import { PanelFrame } from "./PanelFrame";
import { all, type Answer, answers, type Dashboard, keep, one, type Panel, remove } from "./queries";
import { isEmpty, remarks } from "./sentence";
import { Behind, type Go } from "./Views";

const FIRST = "agent-overview";
const USUAL = "1d";
const REFRESH_MS = 10_000;

type Open = { panel: Panel | null } | "copy" | null;

/** Panels over one period and one filter. */
export default function Dashboards() {
  const { name = FIRST } = useParams({ strict: false }) as { name?: string };
  const [view, setView] = useView();
  const shared = useShared();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const list = useQuery(all);
  const declared = useQuery(one(name));
  const [open, setOpen] = useState<Open>(null);
  const asked = { filter: view.filter ?? "", time: view.time || USUAL };
  const chosen = choices(view.keys);
  const dashboard = declared.data;
  const batches = dashboard ? batchesOf(dashboard, chosen) : [];
  const found = useQueries({
    queries: batches.map((batch) =>
      answers(
        name,
        asked,
        batch,
        batch.flatMap((id) => (chosen[id] ? [`${id}:${chosen[id]}`] : [])),
      ),
    ),
  });
  useRefresh(name);
  const known = new Map<string, Answer>();
  const troubles = new Map<string, string>();
  batches.forEach((batch, place) => {
    for (const answer of found[place]?.data?.answers ?? []) known.set(answer.panel, answer);
    const error = found[place]?.error;
    if (error) for (const id of batch) troubles.set(id, error.message);
  });
  const period = found.find((each) => each.data)?.data;
  const filterError = found.find((each) => (each.error as ApiError | null)?.kind === "FilterError")?.error;
  const go: Go = (page, filter, time) => {
    const place = placeOf(filter ?? "", page);
    const search = { filter: place.filter || undefined, time: time === "" ? undefined : (time ?? asked.time), error: place.error };
    void navigate({ to: place.page, search: search as never });
  };
  const here = list.data?.dashboards.find((each) => each.name === name);
  const isOwn = here?.is_own ?? false;
  const change = async (panels: Panel[]) => {
    await keep({ ...dashboard!, panels });
    await queries.invalidateQueries({ queryKey: ["dashboards"] });
    await queries.invalidateQueries({ queryKey: ["answers", name] });
  };
  return (
    <main className="dashboards">
      <header className="page-title">
        <h1 data-hint={dashboard?.about || undefined}>{dashboard ? line(dashboard.title, 120) : "Dashboards"}</h1>
        <p aria-live="polite">
          {dashboard && period && <Sentence of={dashboard} known={known} go={go} />}{" "}
          {period && (
            <span className="faint" data-hint={`${exact(period.from_ns)} to ${exact(period.to_ns)} (local)`}>
              {titleOf(asked.time)} in steps of {duration(period.bucket_ns).replace(/ 0+[ms]$/, "")}
            </span>
          )}
        </p>
        <span className="dashboard-actions">
          {isOwn && (
            <button type="button" className="button" onClick={() => setOpen({ panel: null })}>
              Add a panel
            </button>
          )}
          {dashboard && (
            <button type="button" className="button" onClick={() => setOpen("copy")}>
              {isOwn ? "Copy" : "Copy to edit"}
            </button>
          )}
          {isOwn && (
            <button
              type="button"
              className="button"
              onClick={() => {
                if (!window.confirm(`Delete the dashboard ${name}?`)) return;
                void remove(name)
                  .then(() => queries.invalidateQueries({ queryKey: ["dashboards"] }))
                  .then(() => navigate({ to: `/dashboards/${FIRST}`, search: shared as never }))
                  .catch((error: Error) => announce(error.message));
              }}
            >
              Delete
            </button>
          )}
        </span>
      </header>
      <nav className="dashboard-names" aria-label="Dashboards">
        {list.data?.dashboards.map((each) => (
          <Link
            key={each.name}
            to={`/dashboards/${each.name}`}
            search={shared as never}
            className={each.name === name ? "at" : undefined}
            aria-current={each.name === name ? "page" : undefined}
            data-hint={each.trouble || each.about || undefined}
          >
            {line(each.title, 40)}
            {each.trouble && <span className="error"> ✕</span>}
          </Link>
        ))}
      </nav>
      <FilterBar of="spans" page={`/dashboards/${name}`} usual={USUAL} error={filterError} />
      {declared.error && <Trouble error={declared.error} />}
      {dashboard?.panels.length === 0 && <p className="soft dashboard-none">No panel yet. Add one from SQL or from a filter.</p>}
      <div className="panels">
        {!dashboard &&
          !declared.error &&
          Array.from({ length: 4 }, (_, place) => (
            <div key={place} className="skeleton panel panel-skeleton" style={{ gridColumn: "span 6", height: 220 }} />
          ))}
        {dashboard?.panels.map((panel) => (
          <PanelFrame
            key={`${name}.${panel.id}`}
            panel={panel}
            answer={known.get(panel.id)}
            trouble={filterError ? "" : troubles.get(panel.id)}
            fill={dashboard.fill}
            go={go}
            time={asked.time}
            choose={(key) => setView({ keys: keysOf({ ...chosen, [panel.id]: key }) })}
            more={
              isOwn && (
                <>
                  <button type="button" onClick={() => setOpen({ panel })}>
                    Edit
                  </button>
                  <button
                    type="button"
                    onClick={() =>
                      void change(dashboard.panels.filter((each) => each.id !== panel.id)).catch((error: Error) => announce(error.message))
                    }
                  >
                    Remove
                  </button>
                </>
              )
            }
          />
        ))}
      </div>
      {open === "copy" && dashboard && (
        <CopyDialog
          of={dashboard}
          taken={list.data?.dashboards.map((each) => each.name) ?? []}
          close={() => setOpen(null)}
          keep={async (copied: Dashboard) => {
            await keep(copied);
            await queries.invalidateQueries({ queryKey: ["dashboards"] });
            await navigate({ to: `/dashboards/${copied.name}`, search: shared as never });
          }}
        />
      )}
      {open && open !== "copy" && dashboard && (
        <EditDialog
          panel={open.panel}
          asked={asked}
          close={() => setOpen(null)}
          keep={async (made) => {
            const others = dashboard.panels.map((each) => (each.id === open.panel?.id ? { ...made, id: each.id } : each));
            const id = slug(
              made.title,
              dashboard.panels.map((each) => each.id),
            );
            await change(open.panel ? others : [...dashboard.panels, { ...made, id }]);
          }}
        />
      )}
    </main>
  );
}

/** What matters here, each part with a way to what lies behind it. */
function Sentence({ of, known, go }: { of: Dashboard; known: ReadonlyMap<string, Answer>; go: Go }) {
  const said = remarks(of.panels, known);
  if (said.length === 0) {
    const some = [...known.values()].some((answer) => !answer.trouble && !isEmpty(answer));
    return <>{some ? "Nothing stands out." : "Nothing to show for this time."}</>;
  }
  return (
    <>
      {said.map((one, at) => (
        <Fragment key={one.text}>
          {at > 0 && "; "}
          <Behind filter={one.filter} page={one.page} go={go} className={`said ${one.tone ? `tone-${one.tone}` : ""}`}>
            {at === 0 && !one.isNamed ? one.text[0]!.toUpperCase() + one.text.slice(1) : one.text}
          </Behind>
        </Fragment>
      ))}
      .
    </>
  );
}

/** Panels that are asked together: SQL may take its time, and a chosen key changes one panel alone. */
function batchesOf(dashboard: Dashboard, chosen: Record<string, string>): string[][] {
  const alone = (panel: Panel) => panel.question.of === "sql" || panel.id in chosen;
  const together = dashboard.panels.filter((panel) => !alone(panel)).map((panel) => panel.id);
  return [together, ...dashboard.panels.filter(alone).map((panel) => [panel.id])].filter((batch) => batch.length > 0);
}

/** Keys that the reader chose, as the address has them: cost-by:agent,other:tool */
function choices(text: string | undefined): Record<string, string> {
  const pairs = (text ?? "").split(",").map((pair) => pair.split(":"));
  return Object.fromEntries(pairs.filter((pair) => pair.length === 2 && pair[0] && pair[1]));
}

function keysOf(chosen: Record<string, string>): string {
  return Object.entries(chosen)
    .map(([panel, key]) => `${panel}:${key}`)
    .join(",");
}

/** Asks again when something new was stored, at most every ten seconds. */
function useRefresh(name: string) {
  const queries = useQueryClient();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const refresh = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      void queries.invalidateQueries({ queryKey: ["answers", name] });
    }, REFRESH_MS);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  useLive("", { spans: refresh }, { back: refresh });
}
