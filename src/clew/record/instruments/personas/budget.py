"""The token budget of one persona, in the ledger that all processes share."""

from __future__ import annotations

from clew.record import state
from clew.record.instruments.personas.profiles import Profile
from clew.record.limits.blocks import budget


class PersonaBudget:
    """What a persona may use. While recording is off it is kept in memory.

    A soft budget is charged with what calls have really used. A hard one must know before: recorded calls of the persona reserve in it, and are
    booked by themselves.

    :param profile: of a persona with a budget
    :param owner: whose account it is, where the profile names no window
    """

    def __init__(self, profile: Profile, owner: str) -> None:
        assert profile.tokens is not None, "a persona without a budget has none"
        self.name = f"persona {profile.name}" if profile.window else f"persona {profile.name} {owner}"
        self.hard = profile.hard
        self._limit = profile.tokens
        self._spent = 0
        self._budget = budget(self.name, tokens=profile.tokens, persona=profile.name, window=profile.window or None, hard=profile.hard)

    def apply(self) -> None:
        """From now on each recorded model call of the persona in this process that a hard budget has no room for is refused."""
        if self.hard:
            self._budget.apply()

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._budget.remove()

    def remaining(self) -> int:
        """Tokens left; negative once it is overspent."""
        return self._limit - self._spent if state.is_off() else round(self._budget.state().remaining["tokens"])

    def charge(self, tokens: int) -> None:
        """Books tokens; thresholds are told."""
        if state.is_off():
            self._spent += tokens
        elif tokens:
            self._budget.charge(tokens=tokens)

    def reset(self) -> None:
        """The whole budget again."""
        self._spent = 0
        if not state.is_off():
            self._budget.reset()
