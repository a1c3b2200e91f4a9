"""API keys: who may do what. Kept hashed; a key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from pathlib import Path
from typing import Literal, get_args

import msgspec

from clew.errors import SettingError
from clew.wire.whole import write_whole

Role = Literal["ingest", "view", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "clew_"
_BYTES = 32


class Key(msgspec.Struct, frozen=True):
    name: str
    role: Role
    digest: str
    """SHA-256 of the key, in hex. A key is 256 random bits, so nothing slower is needed."""
    made_s: float

    def allows(self, needed: Role) -> bool:
        """``admin`` may do everything, the others only what they are named after."""
        return self.role in (needed, "admin")


class Keys:
    """The keys of a data directory, in ``keys.json`` there (0600). Read again when the file has changed."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "keys.json"
        self._stamp: tuple[int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def all(self) -> tuple[Key, ...]:
        """:raises SettingError: the file is damaged"""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._keys = msgspec.json.decode(self._path.read_bytes(), type=tuple[Key, ...])
                self._stamp = stamp
        except FileNotFoundError:
            self._keys, self._stamp = (), None
        except msgspec.DecodeError as error:
            raise SettingError(f"{self._path} is not usable: {error}; restore it, or delete it and make new keys") from None
        return self._keys

    def find(self, token: str) -> Key | None:
        """Whose key it is. Takes the same time whichever key it is, and whether it is one."""
        digest = _digest(token)
        found: Key | None = None
        for key in self.all():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def add(self, name: str, role: Role) -> str:
        """Makes a key and gives it back: it cannot be read again.

        :raises SettingError: there is one of that name
        """
        keys = self.all()
        if any(key.name == name for key in keys):
            raise SettingError(f"there is a key named {name!r} already; remove it first, or choose another name")
        token = PREFIX + secrets.token_urlsafe(_BYTES)
        self._write((*keys, Key(name, role, _digest(token), time.time())))
        return token

    def remove(self, name: str) -> None:
        """:raises SettingError: there is none of that name"""
        keys = self.all()
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            names = ", ".join(key.name for key in keys) or "none"
            raise SettingError(f"there is no key named {name!r}; there are: {names}")
        self._write(left)

    def _write(self, keys: tuple[Key, ...]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._path, msgspec.json.format(msgspec.json.encode(keys)) + b"\n")
        self._stamp = None


class Denied(Exception):
    """Whoever asks may not.

    :ivar status: 401 or 403; :ivar reason: for the account
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Access:
    """Who may do what at a server.

    :param exposed: whether other machines can reach it: then every request needs a key. Else one is needed as soon as there is any.
    """

    def __init__(self, keys: Keys, *, exposed: bool) -> None:
        self._keys = keys
        self._exposed = exposed

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return not self._exposed and not self._keys.all()

    def admit(self, authorization: str, needed: Role) -> Key | None:
        """The key in the Authorization header that allows it; None when none is needed.

        :raises Denied: there is none, or it does not allow it
        """
        if self.is_open:
            return None
        scheme, _, token = authorization.partition(" ")
        key = self._keys.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Denied(401, "no key", "an API key is needed: send Authorization: Bearer KEY; clew keys add makes one")
        if not key.allows(needed):
            raise Denied(403, "wrong key", f"the key {key.name!r} is for {key.role}, and this needs {needed}; clew keys add makes another")
        return key


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
