"""A release by three personas: switches, stages, gates, tokens and budgets. ``python personas.py`` prints what was used and what is left.

The models' part is simulated, so that the figures are the same each time; what is recorded of it is real: ``clew show last``, and
http://127.0.0.1:9464/metrics while it runs with ``--serve`` (needs ``clew[metrics]``).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import clew

CHATMODE = "package-release"
MODEL = "gpt-4"


def prepare(task: str) -> str:
    """The backend engineer's part: a decision, and a gate of its own."""
    with clew.decision("which version", options={"1.1.1": 0.2, "1.2.0": 0.8}) as decision:
        decision.choose("1.2.0", reason="A function is new, and what worked before works as before.", confidence=0.8)
    with clew.gate("changelog names every change") as gate:
        gate.passed("3 of 3 commits have a line")
    return f"Backend implementation for: {task}"


async def validate(task: str) -> str:
    """The testing specialist's part: tools that run at the same time, and an advisory gate that fails."""

    async def run(suite: str) -> None:
        with clew.tool(f"run {suite} tests"):
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(run, ("unit", "end-to-end")))
    with clew.gate("all tests pass") as gate:
        gate.passed("128 passed")
    with clew.gate("coverage", required=False, at_least=80) as gate:
        gate.failed("78 % of 80 %", score=78)
    return f"Tests created for: {task}"


async def deploy(task: str) -> str:
    """The devops engineer's part. It has no gate of its own, so whether something was raised is its gate."""
    with clew.tool("upload"):
        await asyncio.sleep(0.01)
    return f"Deployed: {task}"


STAGES: tuple[tuple[str, str, str, str, Callable[..., object], str, int], ...] = (
    ("📝", "Version Bump", "version_bump", "backend-engineer", prepare, "Update version to 1.2.0", 850),
    ("🧪", "Quality Validation", "quality_validation", "testing-specialist", validate, "Run full test suite", 650),
    ("🚀", "Publish & Deploy", "publish_deploy", "devops-engineer", deploy, "Publish to PyPI and deploy", 550),
)
SHORT = {"backend-engineer": "Backend", "testing-specialist": "Testing", "devops-engineer": "DevOps"}


async def release(collector: clew.PersonaMetricsCollector) -> None:
    print(f"🚀 Starting Package Release Workflow\n{'=' * 60}\n")
    before: str | None = None
    async with clew.WorkflowTracer("package_release", {"version": "1.2.0"}, collector=collector) as tracer:
        for number, (sign, title, stage, persona, work, task, tokens) in enumerate(STAGES, 1):
            collector.switch_persona(before, persona, CHATMODE)
            result = await tracer.trace_stage(stage, persona, work, task)
            collector.record_token_usage(persona, CHATMODE, MODEL, tokens)
            before = persona
            print(f"{sign} Stage {number}: {title}")
            print(f"   Persona: {persona}")
            print(f"   ✅ {result}")
            print(f"   📊 Tokens: {tokens}")
            print(f"   💰 Budget remaining: {collector.get_remaining_budget(persona)}\n")


def summary(collector: clew.PersonaMetricsCollector) -> None:
    personas = [stage[3] for stage in STAGES]
    print(f"{'=' * 60}\n✅ Package Release Workflow Complete!\n\n📊 Workflow Summary:")
    print(f"   Total personas: {len(set(personas))}")
    print(f"   Total tokens: {sum(stage[6] for stage in STAGES)}")
    for persona in personas:
        print(f"   {SHORT[persona]} budget remaining: {collector.get_remaining_budget(persona)}")


def main() -> None:
    server = clew.serve_metrics(9464) if "--serve" in sys.argv else None
    collector = clew.PersonaMetricsCollector()
    asyncio.run(release(collector))
    summary(collector)
    if server is not None and server.port is not None:
        print(f"\n📈 Metrics available at: http://localhost:{server.port}/metrics")
        input("Enter ends it. ")


if __name__ == "__main__":
    main()
