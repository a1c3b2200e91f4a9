/** The pages. To add one is to add a row here: the route, the navigation, the palette and the keys follow from it. */

import type { ComponentType } from "react";

export type Page = {
  /** With $names for parameters. The first segment must be one of PAGES in src/clew/server/pages.py. */
  path: string;
  title: string;
  /** Whether it stands in the navigation, and the key that goes there after g. */
  key?: string;
  /** Whether it has a place of its own in the bar of a phone; the others are behind More. */
  onPhone?: boolean;
  load: () => Promise<{ default: ComponentType }>;
};

export const PAGES: Page[] = [
  { path: "/now", title: "Now", key: "n", onPhone: true, load: () => import("./features/now/Now") },
  { path: "/runs", title: "Runs", key: "r", onPhone: true, load: () => import("./features/runs/Runs") },
  { path: "/runs/$runId", title: "Run", load: () => import("./features/run/Run") },
  { path: "/compare/$beforeId/$afterId", title: "Compare", load: () => import("./features/compare/Compare") },
  { path: "/errors", title: "Errors", key: "e", onPhone: true, load: () => import("./features/errors/Errors") },
  { path: "/agents", title: "Agents", key: "a", load: () => import("./features/agents/Agents") },
  { path: "/agents/$agent", title: "Agent", load: () => import("./features/agents/Agent") },
  { path: "/sessions", title: "Sessions", key: "s", load: () => import("./features/sessions/Sessions") },
  { path: "/search", title: "Search", key: "f", onPhone: true, load: () => import("./features/search/Search") },
  { path: "/dashboards", title: "Dashboards", key: "d", load: () => import("./features/dashboards/Dashboards") },
  { path: "/dashboards/$name", title: "Dashboard", load: () => import("./features/dashboards/Dashboards") },
  { path: "/budgets", title: "Budgets", key: "b", load: () => import("./features/budgets/Budgets") },
  { path: "/system", title: "System", key: "y", load: () => import("./features/system/System") },
];

/** Where / leads. */
export const HOME = "/now";
