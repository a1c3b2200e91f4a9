import "./parts.css";
import type { ReactNode } from "react";
import { useKeys } from "../app/keys";

/** What belongs to the selected row, beside the view; Escape closes it. */
export function SidePanel({
  title,
  close,
  children,
  actions,
}: {
  title: ReactNode;
  close: () => void;
  children: ReactNode;
  actions?: ReactNode;
}) {
  useKeys("Side panel", [{ key: "Escape", does: "Close it", run: close }]);
  return (
    <aside className="side" aria-label="Selected">
      <header>
        <h2 className="cut">{title}</h2>
        {actions}
        <button type="button" className="button" aria-label="Close" onClick={close}>
          ×
        </button>
      </header>
      <div className="side-body">{children}</div>
    </aside>
  );
}
