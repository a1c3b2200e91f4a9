"""``make demo`` and its example workflow, run as a user runs them: well, with a test that fails, and without a model."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "openai", "pocketflow", "pydantic_ai")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "package_release"
BIN = Path(sys.executable).parent
CLEW = BIN / "clew"
STAND_IN = (sys.executable, EXAMPLE / "stand_in.py")

Ended = subprocess.CompletedProcess[str]


# One owner of the store serves several commands, as it does for a user; `python` in the workflow is the one that runs the tests.
def run(*command: str | Path, cwd: Path = ROOT, code: int = 0, **environment: str) -> Ended:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | {"CLEW_OWNER_LINGER_S": "2", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, f"{shlex.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def git(repository: Path, *arguments: str) -> str:
    return run("git", *arguments, cwd=repository).stdout


class Place:
    """The example's repository, and a data directory with its runs."""

    def __init__(self, directory: Path) -> None:
        self.repository = directory / "lapse"
        self.data_dir = directory / "clew"
        self.make()

    def make(self, *flags: str) -> str:
        return run(sys.executable, EXAMPLE / "repository.py", self.repository, *flags).stdout

    def clew(self, *arguments: str | Path, **more: Any) -> Ended:
        return run(CLEW, *arguments, cwd=self.repository, CLEW_DATA_DIR=str(self.data_dir), **more)

    def release(self, *flags: str, code: int = 0) -> Ended:
        return run(*STAND_IN, CLEW, "run", "release.yaml", *flags, cwd=self.repository, code=code, CLEW_DATA_DIR=str(self.data_dir))

    def rows(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.clew("sql", "--json", query).stdout)
        return found


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The package, released once."""
    place = Place(tmp_path_factory.mktemp("released"))
    done = place.release("--trace")
    assert done.stdout.splitlines()[0] == "version: 0.2.0"
    assert "clew: done in" in done.stderr
    return place


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Ended]:
    """The package with a commit that breaks a test, and what its release said."""
    place = Place(tmp_path_factory.mktemp("failed"))
    place.make("--later")
    return place, place.release("--trace", "--output-format", "json", code=1)


def test_the_release_is_a_commit_a_tag_and_a_wheel(released: Place) -> None:
    assert git(released.repository, "describe", "--tags").strip() == "v0.2.0"
    assert git(released.repository, "status", "--porcelain") == ""
    assert git(released.repository, "show", "--format=%s", "--name-only").split("\n")[:4] == [
        "Release 0.2.0",
        "",
        "CHANGELOG.md",
        "lapse/version.py",
    ]
    (wheel,) = (released.repository / "dist").iterdir()
    with zipfile.ZipFile(wheel) as files:
        assert files.read("lapse/version.py") == b'__version__ = "0.2.0"\n'
        assert b"\nVersion: 0.2.0\n" in files.read("lapse-0.2.0.dist-info/METADATA")
    headings = [line for line in (released.repository / "CHANGELOG.md").read_text().splitlines() if line.startswith("#")]
    assert headings == ["# Changelog", "## 0.2.0", "## 0.1.0"]


def test_its_record_has_the_batch_the_gate_the_decision_and_the_calls(released: Place) -> None:
    kinds = released.rows("SELECT kind, count() AS n FROM spans GROUP BY kind ORDER BY kind")
    assert {row["kind"]: row["n"] for row in kinds} == {
        "decision": 1,
        "execution": 3,
        "gate": 1,
        "git": 5,
        "llm": 2,
        "node": 16,
        "tool": 7,
        "workflow": 1,
    }
    (decision,) = released.rows("SELECT options, choice, reason FROM decisions")
    assert [option["name"] for option in json.loads(decision["options"])] == ["0.1.1", "0.2.0", "1.0.0"]
    assert (decision["choice"], decision["reason"][:4]) == ("0.2.0", "Days")
    calls = released.rows("SELECT model, usage_source, cost_source FROM model_calls ORDER BY start_time")
    assert [tuple(call.values()) for call in calls] == [
        ("gpt-4.1-2025-04-14", "provider", "computed"),
        ("gpt-4.1-mini-2025-04-14", "provider", "computed"),
    ]
    first_chunk = (
        "SELECT attributes['gen_ai.response.time_to_first_chunk'] != '' AS streamed FROM spans WHERE kind = 'llm' ORDER BY start_time"
    )
    assert [bool(row["streamed"]) for row in released.rows(first_chunk)] == [False, True]


def test_its_trace_has_every_node_and_what_its_templates_became(released: Place) -> None:
    (file,) = (released.data_dir / "traces").iterdir()
    trace = json.loads(file.read_text())
    assert (trace["final_status"], trace["nodes_executed"]) == ("success", 16)
    (keep,) = [node for node in trace["nodes"] if node["node_id"] == "keep_version"]
    assert [found["resolved"] for found in keep["template_resolutions"]] == ["0.2.0"]


def test_a_plan_knows_what_the_release_took(released: Place) -> None:
    plan = json.loads(released.clew("run", "release.yaml", "--dry-run", "--output-format", "json").stdout)
    summary = plan["summary"]
    assert (summary["runs"], summary["nodes_without_history"], summary["on_error_count"]) == (1, [], 3)
    assert summary["estimated_cost_usd"] == pytest.approx(released.rows("SELECT sum(cost_usd) AS usd FROM model_calls")[0]["usd"], abs=2e-6)


def test_there_is_nothing_to_release_twice(released: Place, tmp_path: Path) -> None:
    done = run(CLEW, "run", "release.yaml", cwd=released.repository, code=1, CLEW_DATA_DIR=str(tmp_path / "clew"))
    assert done.stderr.startswith("clew: node ready failed: nothing was committed since v0.2.0\n")


def test_a_failing_test_ends_the_run_over_its_error_edge(failed: tuple[Place, Ended]) -> None:
    place, done = failed
    found = json.loads(done.stdout)
    schema = json.loads((ROOT / "docs" / "run-output.schema.json").read_text("utf-8"))
    pytest.importorskip("jsonschema").validate(found, schema)
    assert (found["is_error"], found["failed_node"], found["result"]) == (True, "stop", None)
    assert "the tests fail, likely since 'Write durations to the nearest ten seconds'" in found["error"]
    assert found["metrics"]["total"]["total_calls"] == 1
    assert git(place.repository, "status", "--porcelain") == ""
    assert git(place.repository, "describe", "--tags", "--abbrev=0").strip() == "v0.1.0"
    nodes = place.rows("SELECT name, status FROM spans WHERE kind = 'node' ORDER BY start_time")
    assert [node["name"] for node in nodes][-4:] == ["tests", "changes", "blame", "stop"]
    assert [node["name"] for node in nodes if node["status"] == "error"] == ["tests", "stop"]


def test_the_report_says_which_test_and_since_when(failed: tuple[Place, Ended]) -> None:
    report = failed[0].clew("report", "last").stdout
    assert report.startswith("# `release`: failed after ")
    assert "FAIL: test_what_is_written_reads_the_same" in report
    assert report.index("**It ended the run.**") < report.index("likely since") < report.index("AssertionError: 0 != 1")


def test_without_a_model_nothing_is_released(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = place.clew("run", "release.yaml", code=1, OPENAI_API_KEY="", OPENAI_BASE_URL="")
    assert "clew: node choose failed: " in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert git(place.repository, "tag").split() == ["v0.1.0"]


def test_the_repository_is_made_only_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("do not touch")
    done = run(sys.executable, EXAMPLE / "repository.py", tmp_path, code=1)
    assert done.stderr == f"{tmp_path} is something else; name a directory that is not there\n"
    assert (tmp_path / "mine.txt").exists()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A checkout with the example alone, and what ``demo.sh`` writes there."""
    checkout = tmp_path_factory.mktemp("demo")
    shutil.copytree(EXAMPLE, checkout / "examples" / EXAMPLE.name)
    done = run(*STAND_IN, "sh", f"examples/{EXAMPLE.name}/demo.sh", cwd=checkout)
    return checkout, done.stdout


def shown(text: str) -> Iterator[str]:
    """The commands that the demo ran."""
    return (line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))


def test_the_demo_runs_what_it_shows(demo: tuple[Path, str]) -> None:
    _, text = demo
    assert [command for command in shown(text) if command.startswith("clew")] == [
        "clew run release.yaml --trace",
        "clew show last",
        "clew cost --by model",
        "clew run release.yaml --dry-run",
        "clew show last",
        "clew budgets list",
        "clew run release.yaml",
        "clew report last | head -n 18",
    ]
    assert "release done in " in text
    assert "(exit code 1)" in text
    assert "# `release`: failed after " in text
    assert len(text.splitlines()) < 200, "more than is read in a minute"


def test_the_demo_shows_personas_with_their_gates_and_budgets(demo: tuple[Path, str]) -> None:
    _, text = demo
    assert (
        "   Total tokens: 2050\n   Backend budget remaining: 1150\n   Testing budget remaining: 850\n   DevOps budget remaining: 1250\n"
        in text
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("agent testing-specialist =", "node version_bump · backend-engineer =", "gate coverage · failed ="):
        assert any(shown.startswith(line) for shown in lines), line
    assert sum(line.startswith("persona ") and line.endswith(("42", "43", "31")) for line in lines) == 3


def test_what_the_demo_suggests_can_be_typed(demo: tuple[Path, str]) -> None:
    checkout, text = demo
    commands = [line.split("  #")[0].strip() for line in text.partition("Type next:")[2].splitlines() if line.strip()]
    assert len(commands) >= 6
    setting, *rest = commands
    assert setting.startswith("export ")
    for command in rest:
        assert run("sh", "-c", f"{setting}; {command} | cat", cwd=checkout, PAGER="cat").stdout.strip()
    runs = run("sh", "-c", f"{setting}; clew runs --json").stdout
    assert [found["status"] for found in json.loads(runs)] == ["error", "ok", "ok"]


def shape(line: str) -> str:
    """A line of output without what differs between two runs: times, ids, and the lengths of bars and gaps."""
    for pattern, word in (
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "AT"),
        (r"\b[\d.]+ (s|ms|µs)\b", "TOOK"),
        (r"\b(?=[a-f]*\d)[0-9a-f]{8}\b|\b[a-f]{8}\b", "ID"),
        (r" =+ ", " "),
        (r"\s+", " "),
    ):
        line = re.sub(pattern, word, line)
    return line.strip()


def test_what_the_readme_shows_is_what_the_demo_writes(demo: tuple[Path, str]) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (block,) = [block for block in re.findall(r"^```console\n(.*?)^```", readme, re.MULTILINE | re.DOTALL) if "$ clew show last" in block]
    lines = [shape(line) for line in block.splitlines() if line]
    assert len(lines) > 20
    written = {shape(line) for line in demo[1].splitlines()}
    assert [line for line in lines if line not in written] == []


def test_the_workflow_of_the_readme_is_without_mistakes(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "news.yaml").write_text(text)
    assert run(CLEW, "validate", "news.yaml", cwd=tmp_path).stdout == "news.yaml is fine: 3 nodes\n"


def test_no_library_advertises_itself_in_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "PYTEST_VERSION"):  # pydantic-ai's banner is never shown with these
        monkeypatch.delenv(name, raising=False)
    place = Place(tmp_path)
    monkeypatch.setenv("AI_AGENT", "one that reads this")  # to a pipe it is shown only then
    said = place.release().stderr
    assert [line for line in said.splitlines() if not line.startswith("clew: ")] == []
