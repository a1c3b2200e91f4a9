import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { within } from "../../app/time";
import { useShared, useView } from "../../app/view";
import { FilterBar } from "../../filter/FilterBar";
import { line } from "../../format";
import { Id, Lasted, Status, Tokens, TotalCost, When } from "../../parts/Figures";
import { type Column, Table } from "../../parts/Table";
import { type Run, runsPage } from "./queries";

const COLUMNS: Column<Run>[] = [
  { title: "Status", width: "74px", cell: (run) => <Status of={run} /> },
  { title: "Name", width: "minmax(120px, 2fr)", cell: (run) => line(run.name) },
  { title: "Run", width: "62px", cell: (run) => <Id id={run.run_id} of="run" />, wide: true },
  { title: "Started", width: "90px", cell: (run) => <When ns={run.start_ns} /> },
  { title: "Duration", width: "76px", align: "right", cell: (run) => <Lasted ns={run.duration_ns} state={run.state} /> },
  {
    title: "Tokens",
    width: "66px",
    align: "right",
    cell: (run) => <Tokens input={run.input_tokens} output={run.output_tokens} calls={run.model_calls} />,
    wide: true,
  },
  { title: "Cost", width: "76px", align: "right", cell: (run) => <TotalCost of={run} /> },
];

export default function Runs() {
  const [view] = useView();
  const shared = useShared();
  const navigate = useNavigate();
  const found = useInfiniteQuery(runsPage(within(view.filter, view.time)));
  const rows = found.data?.pages.flatMap((page) => page.runs) ?? [];
  return (
    <main>
      <FilterBar of="runs" page="/runs" error={found.error} />
      <Table
        label="Runs"
        columns={COLUMNS}
        rows={rows}
        id={(run) => run.run_id}
        loading={found.isPending}
        more={found.hasNextPage && !found.isFetching ? () => void found.fetchNextPage() : undefined}
        open={(run) => void navigate({ to: `/runs/${run.run_id}`, search: shared as never })}
      />
    </main>
  );
}
