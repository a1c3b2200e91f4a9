import "./search.css";
import { useView } from "../../app/view";
import { Tabs } from "../../parts/Tabs";
import { Logs } from "./Logs";
import { Spans } from "./Spans";

const TABS = [
  { id: "spans", title: "Spans" },
  { id: "logs", title: "Logs" },
];

/** Every span and every log record, by any of their fields and by the words in them. */
export default function Search() {
  const [view, setView] = useView();
  const tab = view.tab === "logs" ? "logs" : "spans";
  const set = (id: string) => setView({ tab: id === "spans" ? undefined : id, preview: undefined });
  const tabs = <Tabs label="What is searched" tabs={TABS} at={tab} set={set} />;
  return <main className="search">{tab === "spans" ? <Spans tabs={tabs} /> : <Logs tabs={tabs} />}</main>;
}
