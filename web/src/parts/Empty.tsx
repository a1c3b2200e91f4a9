import "./parts.css";
import type { ReactNode } from "react";
import { copy } from "./Figures";

/** Nothing is here: why, and the one command that fills it. */
export function Empty({ title, children, command, action }: { title: string; children?: ReactNode; command?: string; action?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children && <div>{children}</div>}
      {command && (
        <pre>
          <code>{command}</code>
        </pre>
      )}
      {command && (
        <button type="button" className="button" onClick={() => void copy(command)}>
          Copy
        </button>
      )}
      {action}
    </div>
  );
}

/** A list or chart that is cut says so. */
export function CutNote({ children }: { children: ReactNode }) {
  return (
    <p className="cut-note" role="note">
      {children}
    </p>
  );
}
