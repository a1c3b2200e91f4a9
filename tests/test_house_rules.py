"""What must never be committed: addresses of package registries, paths of one developer's machine, files of the shared test data."""

from __future__ import annotations

import re
import subprocess
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
