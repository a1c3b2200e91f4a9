import { useInfiniteQuery } from "@tanstack/react-query";
import { clock, line } from "../../format";
import { Empty } from "../../parts/Empty";
import { Table } from "../../parts/Table";
import { type LogRecord, logsOf } from "./queries";
import type { Trace } from "./trace";

/** The log records of the run, newest first, each beside the span that wrote it. */
export function Logs({ trace, select }: { trace: Trace; select: (at: number) => void }) {
  const found = useInfiniteQuery(logsOf(trace.of.run.run_id));
  const logs = found.data?.pages.flatMap((page) => page.logs) ?? [];
  const spanOf = (log: LogRecord) => trace.index.get(log.span_id);
  return (
    <Table
      label="Log records"
      columns={[
        { title: "Time", width: "92px", cell: (log) => clock(log.time_ns) },
        {
          title: "Level",
          width: "52px",
          cell: (log) => (
            <span className={/error|fatal/.test(log.level) ? "error" : log.level === "warn" ? "warning" : "faint"}>{log.level}</span>
          ),
        },
        {
          title: "Span",
          width: "minmax(80px, 1fr)",
          cell: (log) => {
            const at = spanOf(log);
            return at === undefined ? <span className="faint">{log.span_id.slice(0, 8)}</span> : line(trace.columns.name[at]!, 80);
          },
          wide: true,
        },
        { title: "Text", width: "minmax(160px, 4fr)", cell: (log) => line(log.body || log.event_name, 400) },
      ]}
      rows={logs}
      id={(log) => `${log.time_ns}-${log.span_id}-${log.event_name}-${log.body.length}-${logs.indexOf(log)}`}
      loading={found.isPending}
      more={found.hasNextPage && !found.isFetching ? () => void found.fetchNextPage() : undefined}
      open={(log) => {
        const at = spanOf(log);
        if (at !== undefined) select(at);
      }}
      empty={
        <Empty
          title="This run wrote no log records"
          command="OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:6360 opentelemetry-instrument python app.py"
        >
          Any OpenTelemetry log handler sends them here, with the span that was open:
        </Empty>
      }
    />
  );
}
