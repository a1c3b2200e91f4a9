"""What the pictures of the UI show: a week of a small team's work, made up from a seed."""

from __future__ import annotations

import hashlib
import json
import random
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from conftest import Otlp, Server, message, now_ns, span

from clew.cost.budgets.budget import Amounts
from clew.cost.budgets.declared import read
from clew.cost.budgets.ledger import Charge, Claim, Ledger

MINUTE, HOUR, DAY = 60, 3600, 86400
SECOND_NS = 1_000_000_000

Attributes = Mapping[str, Any]


def hexadecimal(text: str, digits: int) -> str:
    """An id that looks like one, and is the same each time."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


@dataclass
class Run:
    """A run that began some seconds ago. What of it would be in the future is left out, so that it is still under way.

    :ivar name: names the root span, and with the number it makes the ids
    :ivar pace: how slow it is: a factor for all times
    :ivar common: attributes of all its spans
    """

    name: str
    number: int
    ago: float
    pace: float = 1.0
    common: Attributes = field(default_factory=dict)
    service: str = "till"
    spans: list[Any] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)

    @property
    def id(self) -> str:
        return hexadecimal(f"{self.name} {self.number}", 32)

    def span_id(self, number: int) -> str:
        return hexadecimal(f"{self.name} {self.number} {number}", 16) if number else ""

    def add(self, parent: int, kind: str, name: str, at: float, seconds: float, more: Attributes | None = None) -> int:
        """Adds a span; its number, for those below it. ``failed`` among the attributes is its error message."""
        number = len(self.spans) + 1
        begin, end = at * self.pace, (at + seconds) * self.pace
        over = end < self.ago
        attributes = {**self.common, **(more or {})}
        if not over:
            attributes.pop("failed", None)
        made = span(number, 0, kind=kind, name=name, at=600 - self.ago + begin, seconds=end - begin if over else None, **attributes)
        if over and not parent and "failed" not in attributes:
            made["status"] = {"code": 1}
        ids = {"traceId": self.id, "spanId": self.span_id(number), "parentSpanId": self.span_id(parent)}
        self.spans.append(made | ids if begin < self.ago else None)
        return number

    def chat(
        self, parent: int, at: float, seconds: float, model: str, said: Sequence[Any], answer: Any, used: tuple[int, int], **more: Any
    ) -> int:
        """Adds a model call. An answer of a name and arguments is a call of a tool."""
        part = {"type": "text", "content": answer}
        if not isinstance(answer, str):
            part = {"type": "tool_call", "id": hexadecimal(answer[0], 8), "name": answer[0], "arguments": answer[1]}
        failed = "failed" in more
        usage = {"gen_ai.usage.input_tokens": used[0], "gen_ai.usage.output_tokens": used[1]}
        attributes = {
            "gen_ai.request.model": model,
            "gen_ai.provider.name": "anthropic" if model.startswith("claude") else "house" if model.startswith("house") else "openai",
            "gen_ai.input.messages": json.dumps(said, ensure_ascii=False),
            "gen_ai.output.messages": json.dumps([] if failed else [{"role": "assistant", "parts": [part]}], ensure_ascii=False),
            **({} if failed else usage),
            **more,
        }
        number = self.add(parent, "llm", "chat", at, seconds, attributes)
        if not failed:
            self.log(number, at + seconds, 5, f"{model} answered: {used[0]:,} tokens in, {used[1]:,} out", model=model)
        return number

    def tool(self, parent: int, at: float, seconds: float, name: str, asked: Any, result: str, more: Attributes | None = None) -> int:
        said = {"gen_ai.tool.name": name, "gen_ai.tool.call.arguments": json.dumps(asked), "gen_ai.tool.call.result": result}
        return self.add(parent, "tool", name, at, seconds, {**said, **(more or {})})

    def log(self, number: int, at: float, level: int, text: str, **attributes: Any) -> None:
        """Adds a log record of a span."""
        if at * self.pace < self.ago:
            time = now_ns() + int((at * self.pace - self.ago) * SECOND_NS)
            of = {"traceId": self.id, "spanId": self.span_id(number), "timeUnixNano": str(time), "severityNumber": level}
            self.records.append(Otlp.log(text, attributes, **of))

    def send(self, server: Server) -> None:
        resource = {"service.name": self.service, "service.version": "1.4.0", "service.instance.id": f"{self.service}-1"}
        server.send(*filter(None, self.spans), resource=resource)
        if self.records:
            server.post("v1/logs", Otlp.logs(*self.records, resource=resource))


def agent(name: str, **more: Any) -> dict[str, Any]:
    return {"gen_ai.agent.name": name, **more}


def error(kind: str, text: str) -> dict[str, Any]:
    return {"failed": text, "error.type": kind}


def raised(run: Run, number: int, kind: str, text: str, stack: str) -> None:
    """Gives a span the exception that ended it."""
    made = run.spans[number - 1]
    said = {"exception.type": kind, "exception.message": text, "exception.stacktrace": f"{stack}\n{kind}: {text}"}
    if made:
        made["events"] = [{"timeUnixNano": made["endTimeUnixNano"], "name": "exception", "attributes": Otlp.attributes(said)}]


# --- failures -----------------------------------------------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[str, str]] = {
    "TestsFailed": ("TestsFailed", "{a} failed, {b} passed in {c}.2 s"),
    "rate_limit": ("rate_limit", "Error code: 429 - Rate limit reached for gpt-4o: limit 30000 tokens a minute, used 2{b}11, asked {c}04"),
    "SearchTimeout": ("SearchTimeout", "index shard {b} of 'code' did not answer in 28 s (request req_{a}{b}{c})"),
    "JSONDecodeError": ("json.decoder.JSONDecodeError", "Expecting ',' delimiter: line {a} column {b} (char {c})"),
    "MergeConflict": ("MergeConflict", "CONFLICT (content): Merge conflict in till/bill_{a}.py"),
    "PaymentRefused": ("PaymentRefused", "the terminal refused transaction {c}{b} with code {a}"),
}
"""Name -> type and message, whose numbers differ from one to the next."""

STACK = """Traceback (most recent call last):
  File "till/agents.py", line 88, in work
    return tools[name](**arguments)
  File "till/tools.py", line 41, in {name}
    return client.ask(query, timeout=28)"""


def failure(name: str, rng: random.Random) -> dict[str, Any]:
    kind, text = FAILURES[name]
    return error(kind, text.format(a=rng.randrange(1, 9), b=rng.randrange(10, 64), c=rng.randrange(10, 40)))


# --- runs ---------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issue:
    title: str
    text: str
    file: str
    way: str
    """What the planner chooses."""
    others: tuple[tuple[str, str], tuple[str, str]]
    """Other ways, and what speaks against them."""


ISSUES = (
    Issue(
        "The bill does not add up",
        "split(1000, 3) gives three shares of 333, so one cent of every such bill is lost.",
        "till/split.py",
        "spread the rest over the first guests",
        (
            ("give the rest to the last guest", "adds up, but one guest may pay several cents more"),
            ("round with Decimal", "each share is rounded alone, so the sum can still be off"),
        ),
    ),
    Issue(
        "Tips are taxed twice",
        "A bill with a tip of 10 % shows the tax of the tip again in the total.",
        "till/tax.py",
        "take the tip out of what is taxed",
        (("subtract the tax of the tip", "is wrong once the rate changes"), ("show the tip apart", "the total stays wrong")),
    ),
    Issue(
        "Receipts lose umlauts",
        "Names such as Jürgen are printed as J?rgen on every second printer.",
        "till/receipt.py",
        "ask the printer for its code page",
        (("write two letters for each umlaut", "guests see another name"), ("print a picture", "takes three times as long")),
    ),
    Issue(
        "Refunds of gift cards fail",
        "A refund to a gift card that has expired ends with an error and no money back.",
        "till/refund.py",
        "pay the refund to the account",
        (("extend the card", "only its issuer can"), ("refuse with a reason", "the guest waits for the money")),
    ),
)
PLANNER = "You are the planner of a small team that mends a Python program. Weigh at least two ways and choose one."
CODER = "You are the coder of a small team. Change as little as you can, and say in one line what you changed."
REVIEWER = "You are the reviewer. Read the diff, and say whether it does what was asked."


def fix(run: Run, rng: random.Random, failed: str = "", *, issue: int = 0, red: bool = False) -> Run:
    """A director asks a planner, hands tasks to a coder and a tester, and has a reviewer look at it. The tests may be red at first."""
    of_it = ISSUES[issue]
    title, file, stem = of_it.title, of_it.file, Path(of_it.file).stem
    stops = failure(failed, rng) if failed else {}
    at_search, at_chat = (stops if failed == name else {} for name in ("SearchTimeout", "rate_limit"))
    at_tests, at_diff, at_merge = (stops if failed == name else {} for name in ("TestsFailed", "JSONDecodeError", "MergeConflict"))
    of = {"gen_ai.workflow.name": "fix-issue"}
    jitter = partial(rng.uniform, 0.8, 1.3)
    seconds = 9 if at_search else 23 if at_chat else 70 if at_tests else 92
    root = run.add(0, "workflow", run.name, 0, seconds, {**of, **stops, "clew.input": title})
    lead = run.add(root, "agent", "director", 0.1, seconds - 0.2, agent("director", **stops))
    ask = [message("system", PLANNER), message("user", f"{title}. {of_it.text}")]

    plan = run.add(lead, "agent", "planner", 0.4, 8.2, agent("planner", **at_search))
    run.chat(plan, 0.5, 2.1 * jitter(), "gpt-4o", ask, ("search_code", {"text": f"def {stem}"}), (1210, 62), **agent("planner"))
    found = f"{file}:4: def {stem}(total: int, people: int) -> list[int]:"
    asked = {"text": f"def {stem}", "index": "code"}
    region = {"deployment.region": "north" if at_search or rng.random() < 0.3 else "south"}
    search = run.tool(
        plan,
        3.2,
        5.2 if at_search else 0.7 * jitter(),
        "search_code",
        asked,
        "" if at_search else found,
        agent("planner", **region, **at_search),
    )
    run.log(search, 3.3, 9, "search in index 'code', 14 shards", index="code")
    if at_search:
        raised(run, search, at_search["error.type"], at_search["failed"], STACK.format(name="search_code"))
        run.log(search, 8.3, 17, at_search["failed"], index="code")
        return run
    heard = [*ask, message("assistant", "I look for where it is done."), message("tool", found)]
    plan_text = f"Choose to {of_it.way}. The other ways are worse: {of_it.others[0][0]} {of_it.others[0][1]}."
    run.chat(plan, 4.2, 3.2 * jitter(), "gpt-4o", heard, plan_text, (1840, 210), **agent("planner"))
    options = [{"name": of_it.way, "score": 0.9, "reason": "it holds for every test of the suite"}]
    options += [{"name": name, "score": score, "reason": why} for (name, why), score in zip(of_it.others, (0.35, 0.2), strict=True)]
    decided = {
        "clew.decision.question": "How to mend it?",
        "clew.decision.options": json.dumps(options),
        "clew.decision.choice": options[0]["name"],
        "clew.decision.reason": "Only this way holds for every test of the suite, and it changes one function.",
        "clew.decision.confidence": 0.86,
    }
    run.add(plan, "decision", "how to mend it", 8.3, 0.02, agent("planner", **decided))
    branch = f"mend-{issue + 1}"
    run.add(lead, "git", "checkout", 8.8, 0.3, {"clew.git.operation": "checkout", "vcs.ref.head.name": branch})

    def write(at: float, told: str, did: str, retries: int) -> None:
        task = {
            "clew.task.id": f"write-{run.number}",
            "clew.task.phase": "build",
            "clew.task.worker_profile": "coder",
            "clew.task.retries": retries,
        }
        work = run.add(lead, "task", "write the fix", at, 21, {**task, "clew.task.status": "failed" if at_chat else "success", **at_chat})
        code = run.add(work, "agent", "coder", at + 0.2, 20.5, agent("coder", **at_chat))
        order = [message("system", CODER), message("user", told)]
        if at_chat:
            call = run.chat(code, at + 0.5, 12, "gpt-4o", order, "", (0, 0), **agent("coder", **at_chat))
            run.log(call, at + 12, 13, "the provider asks to wait 20 s; giving up after 3 attempts", attempt=3)
            return
        run.chat(code, at + 0.5, 2.4 * jitter(), "claude-sonnet-4-5", order, ("read_file", {"path": file}), (2400, 80), **agent("coder"))
        run.tool(
            code,
            at + 3.8,
            0.2,
            "read_file",
            {"path": file},
            f"def {stem}(total, people):\n    return [total // people] * people",
            agent("coder"),
        )
        read_it = [*order, message("assistant", "I read it first."), message("tool", "return [total // people] * people")]
        run.chat(code, at + 4.4, 6.1 * jitter(), "claude-sonnet-4-5", read_it, ("edit_file", {"path": file}), (3100, 460), **agent("coder"))
        edit = run.tool(
            code,
            at + 12.8,
            0.3,
            "edit_file",
            {"path": file, "text": "share, rest = divmod(total, people)"},
            "1 file changed, +3 −1",
            agent("coder"),
        )
        run.log(edit, at + 13, 9, f"{file} changed, 3 lines in, 1 out", path=file)
        run.chat(
            code, at + 13.6, 3.4 * jitter(), "claude-sonnet-4-5", [*read_it, message("tool", "+3 −1")], did, (3900, 150), **agent("coder")
        )

    def check(at: float, fails: Attributes, retries: int) -> None:
        task = {
            "clew.task.id": f"test-{run.number}",
            "clew.task.phase": "test",
            "clew.task.worker_profile": "tester",
            "clew.task.retries": retries,
        }
        work = run.add(lead, "task", "test it", at, 12, {**task, "clew.task.status": "failed" if fails else "success", **fails})
        test = run.add(work, "agent", "tester", at + 0.2, 11.6, agent("tester", **fails))
        said = [message("system", "You are the tester."), message("user", "Run the suite and say what is red.")]
        run.chat(test, at + 0.4, 1.4 * jitter(), "gpt-4o-mini", said, ("run_tests", {"paths": ["tests"]}), (640, 40), **agent("tester"))
        report = fails["failed"] if fails else "44 passed in 7.8 s"
        tests = run.tool(test, at + 2.3, 7.8, "run_tests", {"paths": ["tests"]}, report, agent("tester", **fails))
        run.log(tests, at + 2.4, 9, "44 tests collected", runner="pytest")
        if fails:
            stack = 'Traceback (most recent call last):\n  File "tests/test_till.py", line 9\n    assert total == expected'
            raised(run, tests, "TestsFailed", report, stack)
            run.log(tests, at + 9.8, 17, f"test_{stem}: assert 999 == 1000; {report}", runner="pytest")
        run.chat(test, at + 10.3, 1.1 * jitter(), "gpt-4o-mini", [*said, message("tool", report)], report, (900, 30), **agent("tester"))

    write(9.4, f"{title}: {of_it.way}.", f"I changed {stem} in one place, as planned.", 0)
    if at_chat:
        return run
    first_red = error("TestsFailed", "1 failed, 43 passed in 7.8 s")
    again = red or bool(at_tests)
    check(31, at_tests or (first_red if red else {}), 0)
    if again:
        write(44, f"test_{stem} is red: 999 is not 1000.", "The last guest was left out; that is mended.", 1)
        check(66, at_tests, 1)
    if at_tests:
        return run
    at = 79 if again else 44
    review = run.add(lead, "agent", "reviewer", at, 9, agent("reviewer", **at_diff))
    diff = "-    return [total // people] * people\n+    share, rest = divmod(total, people)\n+    return [share + 1] * rest + [share] * (people - rest)"
    look = run.tool(review, at + 0.3, 0.4, "read_diff", {"branch": branch}, diff, agent("reviewer", **at_diff))
    if at_diff:
        raised(run, look, at_diff["error.type"], at_diff["failed"], STACK.format(name="read_diff"))
        return run
    asked_for = [message("system", REVIEWER), message("user", f"{title}\n\n{diff}")]
    run.chat(
        review, at + 0.9, 6.2 * jitter(), "gpt-4o", asked_for, "It does what was asked: no cent is lost.", (2200, 120), **agent("reviewer")
    )
    run.add(review, "message", "reviewer to coder", at + 8, 0.1, agent("reviewer", **{"messaging.destination.name": "coder"}))
    gate = {**of, "clew.stage": "test", "clew.gate.result": "failed" if rng.random() < 0.1 else "passed", "clew.gate.score": 0.97}
    run.add(lead, "gate", "tests are green", at + 9.2, 0.4, gate)
    commit = {"clew.git.operation": "commit", "vcs.ref.head.revision": hexadecimal(f"{title} {run.number}", 40), "clew.git.files": 1}
    run.add(lead, "git", "commit", at + 10, 0.3, commit)
    merged = {
        "clew.git.operation": "merge",
        "clew.git.result": "conflict" if at_merge else "success",
        "clew.git.conflicts": int(bool(at_merge)),
    }
    merge = run.add(lead, "git", "merge", at + 10.5, 1.2, {**merged, **at_merge})
    run.log(merge, at + 11, 17 if at_merge else 9, at_merge.get("failed", f"{branch} merged into main"), branch=branch)
    return run


STAGES = (
    ("plan", "planner", "architect", 14),
    ("build", "builder", "developer", 38),
    ("test", "tester", "test-engineer", 27),
    ("publish", "publisher", "release-manager", 11),
)


def release(run: Run, rng: random.Random, failed: str = "") -> Run:
    """Four stages, each by an agent in a persona, each with a gate."""
    stops = failure(failed, rng) if failed else {}
    of = {"gen_ai.workflow.name": "release"}
    lengths = [length * rng.uniform(0.5, 1.6) for *_, length in STAGES]
    root = run.add(0, "workflow", run.name, 0, sum(lengths) + 2, {**of, **stops})
    at, before = 0.5, "none"
    for (stage, name, persona, _), length in zip(STAGES, lengths, strict=True):
        worn = {**of, "clew.persona": persona, "clew.chatmode": "release", "clew.stage": stage}
        fails = stops if stage == "test" else {}
        node = run.add(root, "node", stage, at, length, {**worn, **fails})
        work = run.add(node, "agent", name, at + 0.1, length - 1, agent(name, **worn, **{"clew.persona.from": before}, **fails))
        model = "house-model" if stage == "publish" else "gpt-4o-mini" if stage == "test" else "claude-sonnet-4-5"
        said = [message("system", f"You are the {name}."), message("user", f"{stage.capitalize()} release 1.{run.number % 10}.")]
        cached = {"gen_ai.usage.cache_read.input_tokens": 512}
        run.chat(
            work,
            at + 0.3,
            length * 0.4,
            model,
            said,
            f"The stage {stage} is done.",
            (900 + rng.randrange(400), 60),
            **agent(name, **worn),
            **cached,
        )
        tool = {"plan": "read_changes", "build": "build_wheel", "test": "run_tests", "publish": "upload"}[stage]
        run.tool(work, at + 0.4 + length * 0.45, length * 0.35, tool, {"release": f"1.{run.number % 10}"}, "done", agent(name, **fails))
        run.log(
            node,
            at + length * 0.8,
            13 if fails else 9,
            f"stage {stage} {'stopped' if fails else 'passed'} after {length:.1f} s",
            stage=stage,
        )
        task = {"clew.task.id": f"{stage}-{run.number}", "clew.task.phase": stage, "clew.task.worker_profile": name}
        ended = {"clew.task.status": "failed" if fails else "success", "clew.task.retries": rng.choice((0, 0, 0, 1, 2))}
        run.add(node, "task", f"{stage} it", at + 0.1, length - 0.6, {**task, **ended})
        bad = bool(fails) or rng.random() < 0.06
        run.add(node, "gate", f"{stage} gate", at + length - 0.4, 0.2, {**worn, "clew.gate.result": "failed" if bad else "passed"})
        at, before = at + length, persona
        if fails:
            break
    return run


QUESTIONS = (
    ("Where is my receipt of last Tuesday?", "It was sent to the address of your account; I have sent it again."),
    ("I was charged twice for one coffee.", "The second charge was a reservation. It is released within two days."),
    ("Can I pay half with a gift card?", "Yes: choose Split, then Gift card, and type the amount."),
    ("How do I add a tip afterwards?", "Open the bill of the day and choose Add a tip; the guest confirms it."),
)


def ticket(run: Run, rng: random.Random, failed: str = "") -> Run:
    """One agent answers a guest, with what it finds and remembers."""
    stops = failure(failed, rng) if failed else {}
    asked, answer = rng.choice(QUESTIONS)
    said = [message("system", "You help guests of a shop. Be brief."), message("user", asked)]
    root = run.add(0, "agent", run.name, 0, 7.4, agent("helper", **{"gen_ai.workflow.name": "support"}, **stops))
    run.add(root, "memory", "recall", 0.1, 0.2, agent("helper", **{"clew.memory.type": "episodic"}))
    model = rng.choice(("gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "house-model"))
    run.chat(root, 0.4, 1.9, model, said, ("find_order", {"of": "guest"}), (820, 40), **agent("helper"))
    find = run.tool(root, 2.5, 0.9, "find_order", {"of": "guest"}, "1 order, 2 charges", agent("helper", **stops))
    run.log(find, 2.6, 17 if failed else 9, stops.get("failed", "1 order found"), user=run.common["user.id"])
    if not failed:
        run.chat(root, 3.6, 3.1, model, [*said, message("tool", "1 order, 2 charges")], answer, (1130, 180), **agent("helper"))
    return run


def crowd(run: Run) -> Run:
    """A lead and 199 workers, each below the one of a tenth of its number."""
    numbers = {0: run.add(run.add(0, "workflow", run.name, 0, 60), "agent", "lead", 0, 60, agent("lead"))}
    for worker in range(1, 200):
        name = agent(f"worker {worker:03}")
        for call in range(1 + 90 // (worker + 10)):
            above = numbers[worker // 10 if worker >= 10 else 0]
            number = run.add(above, "agent", "work", worker / 5 + call, 2, name)
        numbers[worker] = number
    return run


# --- a week -------------------------------------------------------------------------------------------------------------------------------


def week(rng: random.Random) -> list[Run]:
    """Runs of seven days, more of them by day than by night, more of them lately."""
    agos = [rng.uniform(4 * MINUTE, HOUR) for _ in range(12)] + [rng.triangular(HOUR, DAY, 5 * HOUR) for _ in range(100)]
    agos += [DAY * day + (rng.gauss(0.5, 0.17) % 1) * DAY for day in range(1, 7) for _ in range(24)]
    return [somebodys(rng, number, ago) for number, ago in enumerate(sorted(agos, reverse=True), 1)]


def somebodys(rng: random.Random, number: int, ago: float) -> Run:
    """A run of one of the workflows, for one of the users. What fails has its times: one error is new, one comes back, one is gone."""
    user = rng.choice(("ada", "ada", "ada", "grace", "grace", "linus"))
    of = {"user.id": user, "session.id": f"{user}-{1 + int(ago / DAY * 2)}"}
    sort = rng.choices((fix, release, ticket), (5, 2, 4))[0]
    can: dict[Any, list[str]] = {fix: ["TestsFailed", "TestsFailed", "rate_limit"], release: ["TestsFailed"], ticket: ["PaymentRefused"]}
    if ago < 9 * HOUR:
        can[fix] += ["SearchTimeout"] * 9
    if ago < 6 * HOUR or 3 * DAY < ago < 5 * DAY:
        can[fix] += ["JSONDecodeError"] * 2
    if DAY < ago < 2 * DAY:
        can[fix] += ["MergeConflict"] * 4
    failed = rng.choice(can[sort]) if rng.random() < 0.3 else ""
    pace = rng.lognormvariate(0, 0.25)
    if sort is ticket:
        return ticket(Run(f"answer ticket {4000 + number}", number, ago, pace, of, "helpdesk"), rng, failed)
    if sort is release:
        return release(Run("release", number, ago, pace, of, "packer"), rng, failed)
    issue = rng.randrange(len(ISSUES))
    return fix(Run(ISSUES[issue].title.lower(), number, ago, pace, of), rng, failed, issue=issue, red=rng.random() < 0.12)


def points(rng: random.Random) -> dict[str, Any]:
    """A day of queues, tasks by state, persona switches and what is left of their tokens: a point an hour."""
    series: dict[tuple[str, bool], list[Any]] = {}

    def point(name: str, hour: int, value: float, *, counted: bool = False, **labels: str) -> None:
        times = {
            "timeUnixNano": str(now_ns() - hour * HOUR * SECOND_NS),
            "startTimeUnixNano": str(now_ns() - (hour + 1) * HOUR * SECOND_NS),
        }
        series.setdefault((name, counted), []).append({"asDouble": value, "attributes": Otlp.attributes(labels), **times})

    for hour in range(23, -1, -1):
        for priority, usual in (("high", 6), ("normal", 18), ("low", 34)):
            point("task_queue_size", hour, max(0, round(rng.gauss(usual, 4))), priority=priority)
        for status, usual in (("ready", 7), ("active", 3), ("blocked", 2), ("done", 180 - hour * 6)):
            point("tasks_by_state", hour, max(1, round(rng.gauss(usual, 1))), status=status)
        for before, persona in (
            ("none", "architect"),
            ("architect", "developer"),
            ("developer", "test-engineer"),
            ("test-engineer", "release-manager"),
        ):
            point(
                "hypertool_persona_switches_total",
                hour,
                rng.randrange(1, 4),
                counted=True,
                from_persona=before,
                to_persona=persona,
                chatmode="release",
            )
        for persona, left in (("architect", 1900), ("developer", 1150), ("test-engineer", 420), ("release-manager", -60)):
            point("hypertool_persona_token_budget_remaining", hour, left + hour * 40, persona=persona)
        for phase in ("build", "test"):
            point("phoenix_retry_total", hour, rng.randrange(3), counted=True, phase=phase, attempt="2")
        point("hitl_escalation_total", hour, rng.randrange(2), counted=True, reason=rng.choice(("ambiguity", "budget", "conflict")))

    def metric(name: str, counted: bool, its: list[Any]) -> dict[str, Any]:
        summed = {"dataPoints": its, "aggregationTemporality": 1, "isMonotonic": True}
        return {"name": name, **({"sum": summed} if counted else {"gauge": {"dataPoints": its}})}

    resource = {"attributes": Otlp.attributes({"service.name": "packer", "service.instance.id": "packer-1"})}
    metrics = [metric(name, counted, its) for (name, counted), its in series.items()]
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {"name": "clew"}, "metrics": metrics}]}]}


BUDGETS = """
[[budget]]
name = "daily"
usd = 5.0
window = "24h"

[[budget]]
name = "month"
usd = 60.0
window = "month"

[[budget]]
name = "crew"
tokens = 400_000
calls = 300
per = "agent"
window = "day"
hard = false

[[budget]]
name = "shift"
tokens = 30_000
per = "persona"
window = "day"
thresholds = [50, 80, 100]

[[budget]]
name = "guest"
calls = 40
per = "session"
"""

SPENT: tuple[tuple[str, str, Amounts], ...] = (
    ("daily", "", {"usd": 4.31}),
    ("month", "", {"usd": 21.7}),
    ("crew", "coder", {"tokens": 432_100, "calls": 187}),
    ("crew", "planner", {"tokens": 148_400, "calls": 124}),
    ("crew", "tester", {"tokens": 61_200, "calls": 92}),
    ("shift", "developer", {"tokens": 24_900}),
    ("shift", "test-engineer", {"tokens": 9_800}),
    ("guest", "ada-1", {"calls": 31}),
)
HELD: tuple[tuple[str, str, Amounts], ...] = (("daily", "", {"usd": 0.22}), ("crew", "planner", {"tokens": 9_400, "calls": 2}))


def spend(data: Path) -> None:
    """Declares budgets, books what was spent of them and reserves for calls under way, for as long as this process lives."""
    file = data / "budgets.toml"
    file.write_text(BUDGETS)
    budgets = {budget.name: budget for budget in read(file).budgets}
    ledger = Ledger(data / "budgets.sqlite")
    before = Ledger(data / "budgets.sqlite", now=lambda: time.time() - 30 * HOUR)
    for name, key, amounts in SPENT:
        (ledger if budgets[name].window else before).settle(None, [Charge(budgets[name], key, amounts)])
    ledger.reserve(1, [Claim(budgets[name], key, amounts) for name, key, amounts in HELD])


PANEL = {
    "id": "slow-tools",
    "title": "Slow tools",
    "view": "table",
    "question": {"of": "spans", "filter": "kind:tool", "by": "tool", "figures": ["spans", "p95", "error_rate"]},
    "width": 6,
}
CALLS = {
    **PANEL,
    "id": "calls",
    "title": "Model calls by agent",
    "view": "line",
    "question": {"of": "spans", "filter": "kind:llm", "by": "agent", "figures": ["spans"]},
}


def fill(server: Server, data: Path) -> dict[str, str]:
    """Sends all of it; names -> what the addresses of the pictures need."""
    rng = random.Random(6360)
    mended, again, stopped = (
        fix(Run("fix the bill", number, ago, pace, {"user.id": "ada", "session.id": "ada-1"}), rng, failed, red=red)
        for number, ago, pace, failed, red in (
            (1, 25 * MINUTE, 1, "", True),
            (2, 14 * MINUTE, 0.8, "", False),
            (3, 42 * MINUTE, 1.1, "TestsFailed", True),
        )
    )
    many = crowd(Run("survey the market", 4, 8 * DAY, service="survey"))
    running = [
        fix(Run("tips are taxed twice", 5, 200, 3, {"user.id": "grace", "session.id": "grace-1"}), rng, issue=1, red=True),
        release(Run("release 1.4", 6, 150, 2.4, {"user.id": "ada", "session.id": "ada-1"}, "packer"), rng),
        ticket(Run("answer ticket 4312", 7, 31, 6, {"user.id": "linus", "session.id": "linus-1"}, "helpdesk"), rng),
    ]
    for run in (*week(rng), stopped, mended, again, many, *running):
        run.send(server)
    server.post("v1/metrics", points(rng))
    for _ in range(3):
        with suppress(urllib.error.HTTPError):  # what cannot be read is refused, and counted
            server.post("v1/traces", {"resourceSpans": "none"})
    server.post("api/v1/dashboards/my-team", {"title": "My team", "panels": [CALLS, PANEL]}, "PUT")
    spend(data)
    server.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])

    def of(run: Run, which: Callable[[Any], Any], at: int = 0) -> str:
        return str([made["spanId"] for made in run.spans if made and which(made)][at])

    errors = server.get("errors?filter=since:1d")["errors"]
    return {
        "mended": mended.id,
        "again": again.id,
        "stopped": stopped.id,
        "many": many.id,
        "red": of(mended, lambda made: made["name"] == "run_tests"),
        "decision": of(mended, lambda made: made["name"] == "how to mend it"),
        "red_tester": of(stopped, lambda made: made["name"] == "tester"),
        "edge": quote(json.dumps(["director", "delegated", "tester"], separators=(",", ":"))),
        "timeout": next(one["fingerprint"] for one in errors if one["type"] == "SearchTimeout"),
    }
