"""One insert: many requests as one body. What the engine refuses is halved until the request at fault is found and set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from clew.errors import StoreError, StoreUnavailable
from clew.observe.ingest import quarantine
from clew.observe.store.engine import Encoding
from clew.observe.store.prices import refresh_prices
from clew.observe.store.settle import settle
from clew.observe.store.store import Store, Stored
from clew.wire.check import Checked, canonical_json, stamp_json, stamp_protobuf
from clew.wire.otlp import Signal


@dataclass(frozen=True, slots=True)
class Numbered:
    """A request and its place in what its sender sent: its line in a file, or its number in the log."""

    line: int
    arrival_ns: int
    checked: Checked


@dataclass(frozen=True, slots=True)
class Refused:
    """One request that the engine refused; it is in quarantine."""

    line: int
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of one signal, encoding and sender, in the order of their arrival."""

    signal: Signal
    encoding: Encoding
    sender: str
    requests: Sequence[Numbered]
    collected: bool = False
    """Whether they came through the collector, whose account they are in."""
    in_haste: bool = False
    """Whether more is waiting than the store can take, so that what can be done later is."""

    @property
    def records(self) -> int:
        return sum(request.checked.records for request in self.requests)

    def insert(self, store: Store) -> list[Refused]:
        """Stores the batch; what is not in the result is stored.

        :raises StoreUnavailable: the store cannot be written; some of the batch may be stored, and repeating it changes nothing
        """
        try:
            store.insert(self.signal, self.encoding, *self._parts(), in_haste=self.in_haste)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if len(self.requests) > 1:  # find the one at fault
                middle = len(self.requests) // 2
                return [*self._part(self.requests[:middle]).insert(store), *self._part(self.requests[middle:]).insert(store)]
            return self._alone(store, self.requests[0], error)
        self._tell(store)
        return []

    def _tell(self, store: Store) -> None:
        times = [request.arrival_ns for request in self.requests]
        for listener in store.on_stored:
            listener(Stored(self.signal.name, self.records, min(times), max(times)))

    def _part(self, requests: Sequence[Numbered]) -> Batch:
        return replace(self, requests=requests)

    def _parts(self) -> list[bytes]:
        """What is inserted, one after the other. Concatenated requests are one request in protobuf, which has one time of arrival; JSON
        requests stay lines."""
        if self.encoding == "json":
            lines = [stamp_json(request.checked.body, request.arrival_ns, self.sender) for request in self.requests]
            return [part for line in lines for part in (line, b"\n")]
        stamp = stamp_protobuf(self.signal, self.requests[0].arrival_ns, self.sender)
        return [*(request.checked.body for request in self.requests), stamp]

    def _alone(self, store: Store, request: Numbered, error: StoreError) -> list[Refused]:
        if self.encoding == "json":  # the engine may refuse only the sender's own spelling
            checked = request.checked
            canonical = Checked(checked.signal, canonical_json(checked), checked.records)
            try:
                store.insert(self.signal, self.encoding, *self._part([Numbered(request.line, request.arrival_ns, canonical)])._parts())
            except StoreUnavailable:
                raise
            except StoreError:
                pass
            else:
                self._tell(store)
                return []
        path = quarantine.set_aside(
            store.data_dir,
            request.checked,
            self.encoding,
            sender=self.sender,
            line=request.line,
            arrival_ns=request.arrival_ns,
            collected=self.collected,
            error=str(error),
        )
        reason = f"refused by the engine and set aside as {path}: {error}"
        return [Refused(request.line, request.checked.records, reason)]


@dataclass(frozen=True, slots=True)
class Retried:
    """One request of the quarantine that was tried again."""

    name: str
    records: int
    reason: str | None
    """Why it was refused again; None when it is stored."""


def retry(store: Store, names: Sequence[str], stored: Callable[[quarantine.Kept], None]) -> list[Retried]:
    """Tries requests of the quarantine again, all of them when ``names`` is empty, and takes out those that are stored now.

    :param stored: told of each one that is stored, for the collector's account
    :raises NotFound: there is none of that name
    :raises StoreUnavailable: the store cannot be written
    """
    items = [quarantine.one(store.data_dir, name) for name in names] if names else quarantine.kept(store.data_dir)
    tried = []
    with store.ingesting:
        for item in items:
            request = Numbered(0, item.arrival_ns or 1, quarantine.request_of(store.data_dir, item))
            refused = Batch(request.checked.signal, item.encoding, item.sender, [request], item.collected).insert(store)
            if not refused:
                stored(item)
                quarantine.discard(store.data_dir, item.name)
            tried.append(Retried(item.name, item.records, refused[0].reason if refused else None))
        settle(store)
        refresh_prices(store)
    return tried
