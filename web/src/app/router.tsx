import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { HOME, PAGES } from "../features";
import { Broken, Missing } from "./Broken";
import { Shell } from "./Shell";
import { parseSearch, writeSearch } from "./view";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: Missing,
  errorComponent: Broken,
  validateSearch: (search: Record<string, unknown>) => search as Record<string, string | undefined>,
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: ({ search }) => {
    throw redirect({ to: HOME, search, replace: true });
  },
});

const routes = PAGES.map((page) =>
  createRoute({
    getParentRoute: () => root,
    path: page.path,
    component: lazyRouteComponent(page.load),
    errorComponent: Broken,
  }),
);

export const router = createRouter({
  routeTree: root.addChildren([home, ...routes]),
  parseSearch,
  stringifySearch: writeSearch,
  scrollRestoration: false,
  defaultPreload: false,
});
