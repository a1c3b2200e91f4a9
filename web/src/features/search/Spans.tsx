import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { Trouble } from "../../app/Broken";
import { title, within } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { facetsIn, facetsOf, isThere } from "../../filter/queries";
import { count, exact, line, plural, usd, utc } from "../../format";
import { Empty } from "../../parts/Empty";
import { Facets } from "../../parts/Facets";
import { Figure, Id, Kind, Lasted, Status, Tokens, When } from "../../parts/Figures";
import { SidePanel } from "../../parts/SidePanel";
import { type Column, Table } from "../../parts/Table";
import { Excerpt, Passage } from "./Marked";
import type { Schemas } from "../../api/client";
import { type Excerpt as Found, excerptsOf, type Hit, spansPage } from "./queries";
import { wordsOf } from "./words";

/** Spans that match, newest first, with the passage that does. */
export function Spans({ tabs }: { tabs: ReactNode }) {
  const [view, setView] = useView();
  const shared = useShared();
  const navigate = useNavigate();
  const filter = within(view.filter, view.time);
  const found = useInfiniteQuery(spansPage(filter));
  const words = useMemo(() => wordsOf(view.filter ?? ""), [view.filter]);
  const pages = found.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.hits) ?? [], [pages]);
  const excerpts = useQueries({
    queries: (pages ?? []).map((page) => excerptsOf(page.hits, words)),
    combine: (answers) => new Map(answers.flatMap((one) => one.data ?? []).map((one) => [one.span, one])),
  });
  const columns = useMemo(() => columnsOf(words, excerpts), [words, excerpts]);
  const facets = useQuery({ ...facetsOf("spans", filter), enabled: isThere(found) });
  const preview = view.preview ? rows.find((hit) => idOf(hit) === view.preview) : undefined;
  const show = (hit: Hit | undefined) => setView({ preview: hit && idOf(hit) }, { replace: true });
  const open = (hit: Hit) => void navigate({ to: `/runs/${hit.run_id}`, search: { time: shared.time, span: hit.span_id } as never });
  const selected = useMemo(() => new Set(preview ? [idOf(preview)] : []), [preview]);
  return (
    <>
      <header className="page-title">
        <h1>Search</h1>
        <p aria-live="polite">
          {pages && <Sentence rows={rows} all={facets.data} more={found.hasNextPage} filtered={Boolean(view.filter)} time={view.time} />}
        </p>
      </header>
      <FilterBar of="spans" page="/search" error={found.error} placeholder='"merge conflict" kind:tool status:error, or any words' />
      {tabs}
      <div className="columns" role="tabpanel" id="tab-panel" aria-labelledby="tab-spans">
        <Facets
          {...facetsIn(facets.data, found.error ?? facets.error)}
          filter={view.filter ?? ""}
          set={(next) => setView({ filter: next || undefined })}
          label="Facets of the spans"
        />
        {found.error && rows.length === 0 ? (
          <div className="empty">
            <Trouble error={found.error} />
          </div>
        ) : (
          <Table
            label="Spans"
            columns={columns}
            rows={rows}
            id={idOf}
            loading={found.isPending}
            more={found.hasNextPage && !found.isFetching ? () => void found.fetchNextPage() : undefined}
            open={open}
            preview={(hit) => show(preview === hit ? undefined : hit)}
            onActive={preview ? show : undefined}
            selected={selected}
            foot={found.hasNextPage && <span>The newest {count(rows.length)}; more come as you scroll.</span>}
            empty={<Nothing filtered={Boolean(view.filter || view.time)} clear={() => setView({ filter: undefined, time: undefined })} />}
          />
        )}
        {preview && (
          <SidePanel
            title={line(preview.name) || "(no name)"}
            close={() => show(undefined)}
            actions={
              <button type="button" className="button" onClick={() => open(preview)}>
                Open
              </button>
            }
          >
            <Preview hit={preview} words={words} />
          </SidePanel>
        )}
      </div>
    </>
  );
}

function idOf(hit: Hit): string {
  return hit.run_id + hit.span_id;
}

function columnsOf(words: string[], excerpts: Map<string, Found>): Column<Hit>[] {
  return [
    { title: "Status", width: "66px", cell: (hit) => <Status of={hit} /> },
    { title: "Kind", width: "84px", cell: (hit) => <Kind kind={hit.kind} />, wide: true },
    {
      title: "Name",
      width: "minmax(90px, 1fr)",
      cell: (hit) => (
        <strong title={line(hit.name)}>
          <Excerpt text={hit.name} words={words} />
        </strong>
      ),
    },
    {
      title: words.length ? "Match" : "Error",
      width: "minmax(110px, 2.2fr)",
      cell: (hit) => {
        const found = excerpts.get(idOf(hit));
        if (found)
          return (
            <span data-hint={line(found.key)}>
              <Excerpt text={found.text} words={words} />
            </span>
          );
        return (
          <span className="error">
            <Excerpt text={hit.status_message} words={words} />
          </span>
        );
      },
    },
    { title: "Agent", width: "minmax(60px, 0.6fr)", cell: (hit) => line(hit.agent), wide: true },
    { title: "Started", width: "92px", cell: (hit) => <When ns={hit.start_ns} />, wide: true },
    { title: "Duration", width: "68px", align: "right", cell: (hit) => <Lasted ns={hit.duration_ns} state={hit.state} />, wide: true },
    { title: "Cost", width: "66px", align: "right", cell: (hit) => <Cost hit={hit} />, wide: true },
  ];
}

function Cost({ hit }: { hit: Hit }) {
  if (hit.cost_usd === null && hit.kind !== "llm" && hit.kind !== "embedding") return null;
  return (
    <Figure
      unknown={hit.cost_usd === null}
      hint={
        hit.cost_usd === null
          ? "Not known: the model has no price, or the call recorded no usage. Its run says which."
          : "Reported by the provider, else tokens × list price."
      }
    >
      {usd(hit.cost_usd)}
    </Figure>
  );
}

type Shown = { rows: Hit[]; all: Schemas["Facets"] | undefined; more: boolean; filtered: boolean; time: string | undefined };

function Sentence({ rows, all, more, filtered, time }: Shown) {
  if (rows.length === 0) return <>No span matches.</>;
  const runs = new Set(rows.map((hit) => hit.run_id)).size;
  const failed = rows.filter((hit) => hit.status === "error").length;
  return (
    <>
      {plural(all?.counted ?? rows.length, "span")}
      {(all ? all.more : more) ? " and more" : ""}
      {filtered ? (all?.counted === 1 ? " matches" : " match") : ""}
      {time ? ` in ${title(time)}` : ""}
      {more ? `; of the newest ${count(rows.length)} ` : ", "}
      {failed ? <span className="error">{count(failed)} failed</span> : "none failed"}, in {plural(runs, "run")}.
    </>
  );
}

function Preview({ hit, words }: { hit: Hit; words: string[] }) {
  const shared = useShared();
  const navigate = useNavigate();
  const places = useQuery(excerptsOf([hit], words, 20));
  const to = (tab: string) => void navigate({ to: `/runs/${hit.run_id}`, search: { time: shared.time, span: hit.span_id, tab } as never });
  return (
    <>
      <dl className="facts">
        <dt>Kind</dt>
        <dd>
          <Kind kind={hit.kind} />
        </dd>
        <dt>Outcome</dt>
        <dd>
          <Status of={hit} />
        </dd>
        <dt>Started</dt>
        <dd data-hint={utc(hit.start_ns)}>{exact(hit.start_ns)}</dd>
        <dt>Duration</dt>
        <dd>
          <Lasted ns={hit.duration_ns} state={hit.state} />
        </dd>
        <dt>Run</dt>
        <dd>
          <Id id={hit.run_id} of="run" />
        </dd>
        <dt>Span</dt>
        <dd>
          <Id id={hit.span_id} of="span" />
        </dd>
        <dt>Agent</dt>
        <dd>{line(hit.agent) || "–"}</dd>
        {hit.tool && (
          <>
            <dt>Tool</dt>
            <dd>{line(hit.tool)}</dd>
          </>
        )}
        {hit.model && (
          <>
            <dt>Model</dt>
            <dd>{line(hit.model)}</dd>
            <dt>Tokens</dt>
            <dd>
              <Tokens input={hit.input_tokens} output={hit.output_tokens} />
            </dd>
            <dt>Cost</dt>
            <dd>
              <Cost hit={hit} />
            </dd>
          </>
        )}
        <dt>Program</dt>
        <dd>{line(hit.service) || "–"}</dd>
      </dl>
      {hit.status_message && <pre className="message error">{line(hit.status_message, 2000)}</pre>}
      {words.length > 0 && places.data?.length === 0 && (
        <p className="faint">The words are not in its content but in its name or attributes.</p>
      )}
      {places.error && <Trouble error={places.error} />}
      {places.data?.map((one) => (
        <div key={one.key}>
          <h3>{line(one.key)}</h3>
          <Passage text={one.text} words={words} />
        </div>
      ))}
      <p>
        <button type="button" className="link" onClick={() => to("transcript")}>
          Read it in the transcript
        </button>
      </p>
    </>
  );
}

function Nothing({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered)
    return (
      <Empty
        title="No span matches"
        action={
          <button type="button" className="button" onClick={clear}>
            Show all spans
          </button>
        }
      >
        Words are searched in names, errors, attributes and all that people and models wrote.
      </Empty>
    );
  return (
    <Empty title="Nothing has been recorded yet" command="clew import traces.otlp.jsonl">
      Record a program with <code>import clew</code>, send OpenTelemetry to this server, or import a record:
    </Empty>
  );
}
