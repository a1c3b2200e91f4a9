"""Doubles for tests of instrumented code: a record in memory, with ids that count and a clock that a test moves, and a server that plays
a model.

::

    from clew.testing import ModelServer, recording

    def test_the_planner_calls_the_search_tool():
        with recording() as record:
            plan("find it")
        assert record.tree() == ["agent planner", "  tool search"]
"""

from clew.testing.model_server import Answer, Asked, Broken, Hang, ModelServer, Raw, Refusal
from clew.testing.recording import START_NS, Clock, RecordedSpan, Recording, decode, recording

__all__ = [
    "START_NS",
    "Answer",
    "Asked",
    "Broken",
    "Clock",
    "Hang",
    "ModelServer",
    "Raw",
    "RecordedSpan",
    "Recording",
    "Refusal",
    "decode",
    "recording",
]
