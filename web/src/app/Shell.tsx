import "./shell.css";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { HOME, PAGES } from "../features";
import { Dialog } from "./Dialog";
import { Help } from "./Help";
import { useKeys } from "./keys";
import { Palette } from "./Palette";
import { Tips } from "./Tips";
import { switchTheme, THEMES, useTheme } from "./theme";
import { useShared } from "./view";

const NAVIGATION = PAGES.filter((page) => page.key);

/** What stands around every page: navigation, palette, help, tips. */
export function Shell() {
  const [open, setOpen] = useState<"palette" | "help" | "more" | null>(null);
  const navigate = useNavigate();
  const shared = useShared();
  const theme = useTheme();
  useKeys("Everywhere", [
    { key: "mod+k", does: "Command palette", inFields: true, run: () => setOpen("palette") },
    { key: "?", does: "This help", run: () => setOpen("help") },
    ...NAVIGATION.map((page) => ({
      key: `g ${page.key}`,
      does: `Go to ${page.title}`,
      run: () => void navigate({ to: page.path, search: shared as never }),
    })),
    { key: "t", does: "Switch between light, dark and the system's theme", run: switchTheme },
  ]);
  return (
    <div className="shell">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <nav className="rail" aria-label="Pages">
        <Link to={HOME} className="brand" aria-label="Clew, first page">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <circle cx="14" cy="16" r="10" />
            <path d="M6 12c5 5 11 5 16 0M6 20c5-5 11-5 16 0M23 20c2 5 5 6 8 4" />
          </svg>
          <span>Clew</span>
        </Link>
        <ul>
          {NAVIGATION.map((page) => (
            <li key={page.path} className={page.onPhone ? undefined : "rail-wide"}>
              <Link to={page.path} search={shared as never} activeProps={{ "aria-current": "page" }}>
                {page.title}
              </Link>
            </li>
          ))}
          <li className="rail-more">
            <button type="button" aria-haspopup="dialog" onClick={() => setOpen("more")}>
              More
            </button>
          </li>
        </ul>
        <div className="rail-foot">
          <button type="button" onClick={() => setOpen("palette")} data-hint="Command palette">
            Commands <kbd>⌘K</kbd>
          </button>
          <button type="button" onClick={() => setOpen("help")} data-hint="Keyboard help">
            Keys <kbd>?</kbd>
          </button>
          <button type="button" onClick={switchTheme} data-hint="Switch between light, dark and the system's theme">
            {THEMES[theme]} theme
          </button>
        </div>
      </nav>
      <div className="page" id="page">
        <Outlet />
      </div>
      {open === "palette" && <Palette close={() => setOpen(null)} />}
      {open === "more" && (
        <Dialog title="All pages" close={() => setOpen(null)} className="more">
          <ul>
            {NAVIGATION.map((page) => (
              <li key={page.path}>
                <Link to={page.path} search={shared as never} activeProps={{ "aria-current": "page" }} onClick={() => setOpen(null)}>
                  {page.title}
                </Link>
              </li>
            ))}
            <li>
              <button type="button" onClick={() => setOpen("palette")}>
                Commands
              </button>
            </li>
            <li>
              <button type="button" onClick={switchTheme}>
                {THEMES[theme]} theme
              </button>
            </li>
          </ul>
        </Dialog>
      )}
      {open === "help" && <Help close={() => setOpen(null)} />}
      <Tips />
    </div>
  );
}
