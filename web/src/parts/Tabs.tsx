import "./parts.css";
import { useEffect } from "react";
import { useKeys } from "../app/keys";

/** Tabs over one selection; digits go to them. */
export function Tabs({
  tabs,
  at,
  set,
  label,
}: {
  tabs: { id: string; title: string }[];
  at: string;
  set: (id: string) => void;
  label: string;
}) {
  useKeys(
    label,
    tabs.map((tab, number) => ({ key: String(number + 1), does: tab.title, run: () => set(tab.id) })),
  );
  // Where they are wider than the window, the one that is shown may be beyond its edge.
  useEffect(() => {
    document.getElementById(`tab-${at}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [at]);
  return (
    <div className="tabs" role="tablist" aria-label={label}>
      {tabs.map((tab, number) => (
        <button
          key={tab.id}
          type="button"
          role="tab"
          id={`tab-${tab.id}`}
          aria-selected={tab.id === at}
          aria-controls="tab-panel"
          tabIndex={tab.id === at ? 0 : -1}
          onClick={() => set(tab.id)}
          onKeyDown={(event) => {
            const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
            const next = tabs[(number + step + tabs.length) % tabs.length];
            if (step && next) {
              event.preventDefault();
              set(next.id);
              document.getElementById(`tab-${next.id}`)?.focus();
            }
          }}
        >
          {tab.title}
        </button>
      ))}
    </div>
  );
}
