"""What must never be committed: addresses of package registries, paths of one developer's machine, files of the shared test data."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Written in pieces, so that this file does not match itself.
HOSTS = (
    "files.python" + "hosted.org",
    "py" + "pi.org/simple",
    "registry.np" + "mjs.org",
    "registry.yarn" + "pkg.com",
    "deb.deb" + "ian.org",
)
PLACES = ("wo" + "rk", "ro" + "ot", "fa" + "rm", "ho" + "me", "Us" + "ers")
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), rf"(?<![\w.~}}-])/(?:{'|'.join(PLACES)})/\w"]))
DATA_FILES = (".otlp.jsonl.xz", "provider_responses.tar.xz", "usage_bodies.json.gz", "openrouter_charged.json")


def tracked() -> list[Path]:
    try:
        listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not applicable: this is not a git checkout")
    return [path for name in listing.decode().split("\0") if name and (path := ROOT / name).is_file()]


def breaches(text: str) -> list[str]:
    return [match.group() for match in FORBIDDEN.finditer(text)]


def test_no_tracked_file_names_a_registry_or_a_path_of_this_machine() -> None:
    found = {f"{file.relative_to(ROOT)}: {breach}" for file in tracked() for breach in breaches(file.read_text("utf-8", errors="replace"))}
    assert found == set()


def test_no_tracked_file_is_shared_test_data() -> None:
    assert [file for file in tracked() if file.name.endswith(DATA_FILES)] == []


@pytest.mark.parametrize("text", [f"see https://{HOSTS[0]}/packages", f"cd /{PLACES[0]}/clew", f"open('/{PLACES[3]}/ada/x')"])
def test_a_breach_is_found(text: str) -> None:
    assert breaches(text) != []


@pytest.mark.parametrize("text", ["https://example.org/users/7", f"src/{PLACES[0]}/a.py", "../shared/data", "~/.clew"])
def test_ordinary_text_is_no_breach(text: str) -> None:
    assert breaches(text) == []


def test_a_skip_is_a_failure_where_everything_must_run(tmp_path: Path) -> None:
    """CLEW_REQUIRE_ALL=1: only absent test data and tests that cannot apply may skip."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    (tmp_path / "test_skips.py").write_text(SKIPPING)
    (tmp_path / "test_module.py").write_text("import pytest\n\npytest.importorskip('no_such_module')\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", "--rootdir", str(tmp_path)]
    counts = {}
    for require_all in ("", "1"):
        done = subprocess.run(command, env=os.environ | {"CLEW_REQUIRE_ALL": require_all}, cwd=tmp_path, capture_output=True, text=True)
        counts[require_all] = done.stdout.splitlines()[-1].rpartition(" in ")[0].strip("= ")
    assert counts == {"": "5 skipped", "1": "1 failed, 2 skipped, 2 errors"}


SKIPPING = """
import pytest

@pytest.mark.needs("no_such_module")
def test_needs(): ...

def test_lazy():
    pytest.skip("no time")

def test_data(shared_data):
    shared_data("no/such/file")

def test_elsewhere():
    pytest.skip("not applicable: another platform")
"""
