import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { PAGES } from "../features";
import { readSaved } from "../filter/saved";
import { Dialog } from "./Dialog";
import { switchTheme } from "./theme";
import { useShared } from "./view";

type Command = { title: string; hint: string; run: () => void };

/** Every page, saved view and switch by name; a run by its id. */
export function Palette({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const navigate = useNavigate();
  const shared = useShared();
  const commands = useMemo<Command[]>(
    () => [
      ...PAGES.filter((page) => page.key).map((page) => ({
        title: `Go to ${page.title}`,
        hint: `g ${page.key}`,
        run: () => void navigate({ to: page.path, search: shared as never }),
      })),
      { title: "Open the newest run", hint: "last", run: () => void navigate({ to: "/runs/last" }) },
      ...Object.entries(readSaved()).map(([name, saved]) => ({
        title: `View: ${name}`,
        hint: saved.filter || "everything",
        run: () => void navigate({ to: saved.page, search: { filter: saved.filter, time: saved.time } as never }),
      })),
      { title: "Switch theme", hint: "t", run: switchTheme },
    ],
    [navigate, shared],
  );
  const wanted = text.trim().toLowerCase();
  const found = commands.filter((command) =>
    wanted.split(/\s+/).every((word) => `${command.title} ${command.hint}`.toLowerCase().includes(word)),
  );
  if (/^[0-9a-f]{4,32}$/.test(wanted))
    found.unshift({ title: `Open run ${wanted}`, hint: "id", run: () => void navigate({ to: `/runs/${wanted}` }) });
  if (wanted) {
    found.push({
      title: `Find runs: ${text.trim()}`,
      hint: "filter",
      run: () => void navigate({ to: "/runs", search: { ...shared, filter: text.trim() } as never }),
    });
  }
  const at = Math.min(active, found.length - 1);
  const choose = (command: Command | undefined) => {
    if (!command) return;
    close();
    command.run();
  };
  return (
    <Dialog title="Command palette" close={close} className="palette">
      <input
        className="palette-field"
        role="combobox"
        aria-label="Command"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={`palette-${at}`}
        placeholder="Page, saved view, run id or filter"
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setActive(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            event.preventDefault();
            setActive((at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(found.length, 1));
          } else if (event.key === "Enter") {
            event.preventDefault();
            choose(found[at]);
          }
        }}
      />
      <div id="palette-list" role="listbox" aria-label="Commands">
        {found.map((command, number) => (
          <div
            key={command.title}
            id={`palette-${number}`}
            role="option"
            aria-selected={number === at}
            tabIndex={-1}
            className="palette-row"
            onClick={() => choose(command)}
            onMouseMove={() => setActive(number)}
          >
            <span className="cut">{command.title}</span>
            <span className="faint cut">{command.hint}</span>
          </div>
        ))}
      </div>
    </Dialog>
  );
}
