"""Mistakes in how nodes are connected: ids, edges, the start, what no way leads to, and loops that no way leads out of.

A run ends at a node that ends with ``default`` and has no edge for it. So a loop has a way out when an edge leaves it, for whatever action,
or when one of its nodes has no ``default`` edge. That a run ever takes it is not known; ``max_visits`` ends one that does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clew.act.workflow.document import DEFAULT, ERROR
from clew.act.workflow.draft import RESERVED, Draft, DraftEdge
from clew.act.workflow.names import hint, nearest
from clew.act.workflow.problem import shown
from clew.act.workflow.shape import Mistake

MOST_NODES = 20_000
"""Up to so many nodes it is worked out which can have run before which; the bits for it take 50 MB then."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The graph of a draft; an end of an edge that is misspelt counts as the node it probably means, so that one mistake is told once."""

    ids: Mapping[str, int]
    """Id -> its place in the order."""
    next: Mapping[str, Sequence[str]]
    start: str | None
    cycles: Sequence[Collection[str]]
    """Nodes that can run again, grouped by the loops that hold together."""
    before: Mapping[str, int] | None
    """Id -> bits of the nodes that can have run before it; None when there are too many nodes."""

    @classmethod
    def of(cls, draft: Draft) -> Flow:
        ids = {node.id: index for index, node in enumerate(draft.nodes)}
        following: dict[str, list[str]] = {id_: [] for id_ in ids}
        meant = _Meant(ids)
        for edge in draft.edges:
            source, target = meant(edge.source), meant(edge.target)
            if source is not None and target is not None:
                following[source].append(target)
        first = draft.nodes[0].id if draft.nodes else None
        start = first if draft.start is None else meant(draft.start)
        groups = components(ids, following)
        cycles = [group for group in groups if len(group) > 1 or group[0] in following[group[0]]]
        return cls(ids, following, start, cycles, _before(ids, following, groups) if len(ids) <= MOST_NODES else None)

    def can_precede(self, earlier: str, later: str) -> bool:
        """Whether ``earlier`` can have run before ``later``; when it is not known, yes."""
        return self.before is None or bool(self.before[later] >> self.ids[earlier] & 1)

    def unreached(self) -> list[str]:
        """Nodes that no way leads to from the start."""
        if self.start is None:
            return []
        reached, waiting = {self.start}, [self.start]
        while waiting:
            for target in self.next[waiting.pop()]:
                if target not in reached:
                    reached.add(target)
                    waiting.append(target)
        return [id_ for id_ in self.ids if id_ not in reached]


class _Meant:
    """The id itself, else the nearest; a name is looked for once, as that takes a while among many."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = ids
        self._found: dict[str, str | None] = {}

    def __call__(self, name: str) -> str | None:
        if name in self._ids:
            return name
        if name not in self._found:
            self._found[name] = nearest(name, self._ids) if len(self._found) < 50 else None
        return self._found[name]


def components(ids: Collection[str], following: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components, each after those that it leads to (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    found = []
    for root in ids:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        open_[root] = None
        path = [(root, iter(following[root]))]
        while path:
            node, targets = path[-1]
            for target in targets:
                if target not in number:
                    number[target] = low[target] = len(number)
                    open_[target] = None
                    path.append((target, iter(following[target])))
                    break
                if target in open_:
                    low[node] = min(low[node], number[target])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    group: list[str] = []
                    while not group or group[-1] != node:
                        group.append(open_.popitem()[0])
                    found.append(group[::-1])
    return found


def _before(ids: Mapping[str, int], following: Mapping[str, Sequence[str]], groups: Sequence[Sequence[str]]) -> dict[str, int]:
    leading: dict[str, list[str]] = defaultdict(list)
    for source, targets in following.items():
        for target in targets:
            leading[target].append(source)
    before: dict[str, int] = {}
    for group in reversed(groups):
        bits = 0
        inside = set(group)
        for node in group:
            for source in leading[node]:
                bits |= 1 << ids[source] if source in inside else before[source] | 1 << ids[source]
        before.update(dict.fromkeys(group, bits))
    return before


def mistakes(draft: Draft, flow: Flow, chooses: Callable[[str | None], bool]) -> Iterator[Mistake]:
    """Every mistake in the connections.

    :param chooses: whether nodes of a type may end with actions of their own; of an unknown type nobody knows, so yes
    """
    yield from _ids(draft)
    yield from _edges(draft, flow, chooses)
    if draft.start is not None and draft.start not in flow.ids:
        yield _no_node(("start",), draft.start, flow.ids)
    yield from _unreached(draft, flow)
    yield from _endless(draft, flow)


def _ids(draft: Draft) -> Iterator[Mistake]:
    for node in draft.nodes:
        if node.id in RESERVED:
            yield Mistake((*node.place, "id"), f"{node.id} is reserved: templates mean something else by ${{{node.id}}}; choose another id")
    for twin, first in draft.twins:
        yield Mistake((*twin.place, "id"), f"{shown(twin.id)} is the id of nodes[{first.place[-1]}] already; choose another")


def _no_node(place: tuple[str | int, ...], name: str, ids: Collection[str]) -> Mistake:
    near = hint(name, ids)
    return Mistake(place, f"there is no node {shown(name)}{f'; {near}' if near else ''}", nearest(name, ids))


def _edges(draft: Draft, flow: Flow, chooses: Callable[[str | None], bool]) -> Iterator[Mistake]:
    nodes = {node.id: node for node in draft.nodes}
    taken: dict[tuple[str, str], DraftEdge] = {}
    for edge in draft.edges:
        for key, name in (("from", edge.source), ("to", edge.target)):
            if name not in flow.ids:
                yield _no_node((*edge.place, key), name, flow.ids)
        first = taken.setdefault((edge.source, edge.action), edge)
        if first is not edge:
            yield Mistake(
                edge.place,
                f"edges[{first.place[-1]}] leads from {edge.source} with action {edge.action} already, to {first.target}; "
                "give one of them another action, or remove it",
            )
        node = nodes.get(edge.source)
        if node is not None and edge.action not in (DEFAULT, ERROR) and (node.batch is not None or not chooses(node.type)):
            actions = (DEFAULT, ERROR)
            what = "a batch" if node.batch is not None else f"a node of type {node.type}"
            yield Mistake(
                (*edge.place, "action"),
                f"{what} never ends with {shown(edge.action)}; {hint(edge.action, actions, 'its actions')}",
                nearest(edge.action, actions),
            )


def _unreached(draft: Draft, flow: Flow) -> Iterator[Mistake]:
    unreached = flow.unreached()
    if len(unreached) > 1 and not draft.edges:
        example = f"{{from: {flow.start}, to: {unreached[0]}}}"
        yield Mistake(("nodes",), f"there are no edges, so only {flow.start} would run; add edges, such as {example}")
        return
    places = {node.id: node.place for node in draft.nodes}
    for id_ in unreached:
        yield Mistake(places[id_], f"no way leads from the start ({flow.start}) to {id_}; add an edge to it, or remove it")


def _endless(draft: Draft, flow: Flow) -> Iterator[Mistake]:
    nodes = {node.id: node for node in draft.nodes}
    goes_on = {edge.source for edge in draft.edges if edge.action == DEFAULT}
    for cycle in flow.cycles:
        inside = set(cycle)
        leaves = any(target not in inside for id_ in cycle for target in flow.next[id_])
        ends = any(id_ not in goes_on for id_ in cycle)
        if not leaves and not ends:
            first = min(cycle, key=flow.ids.__getitem__)
            way = " → ".join(_round(first, flow, inside))
            yield Mistake(
                nodes[first].place,
                f"no way leads out of the loop {way}; add an edge from one of its nodes to a node outside, or remove one",
            )


def _round(first: str, flow: Flow, inside: Collection[str]) -> list[str]:
    """A shortest way from a node back to itself."""
    came: dict[str, str] = {}
    waiting = [first]
    for node in waiting:
        for target in flow.next[node]:
            if target == first:
                way = [node]
                while way[-1] != first:
                    way.append(came[way[-1]])
                return _short([*reversed(way), first])
            if target in inside and target not in came:
                came[target] = node
                waiting.append(target)
    return [first]


def _short(way: list[str]) -> list[str]:
    return way if len(way) <= 8 else [*way[:4], "…", *way[-3:]]
