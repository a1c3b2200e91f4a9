"""Makes the git repository that release.yaml releases, from the commits in history/: ``python repository.py DIR``.

It ends three commits after the tag v0.1.0. ``--later`` adds what was committed after the next release: the last of it breaks a test.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PATCHES = sorted((HERE / "history").glob("*.patch"))
TAGGED, RELEASED = 3, 6
"""So many of the commits make v0.1.0, and so many the next release."""
WORKFLOW = ("release.yaml", "release.py")
COMMITTER = {"user.name": "Ada Kerr", "user.email": "ada@example.org", "commit.gpgsign": "false", "tag.gpgsign": "false"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, help="where it is; what is there is deleted")
    parser.add_argument("--later", action="store_true", help="add the later commits to one that is there")
    options = parser.parse_args()
    if options.later:
        apply(options.directory, PATCHES[RELEASED:])
    else:
        make(options.directory)
    print(git(options.directory, "log", "--oneline", "--decorate"), end="")


def make(directory: Path) -> None:
    if directory.exists():
        if any(directory.iterdir()) and not (directory / WORKFLOW[0]).exists():
            raise SystemExit(f"{directory} is something else; name a directory that is not there")
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    git(directory, "init", "--quiet", "--initial-branch=main")
    for name, value in COMMITTER.items():
        git(directory, "config", name, value)
    for name in WORKFLOW:
        shutil.copy(HERE / name, directory)
    git(directory, "add", "--", *WORKFLOW)
    git(directory, "commit", "--quiet", "--message=Release by a workflow")
    apply(directory, PATCHES[:TAGGED])
    git(directory, "tag", "v0.1.0")
    apply(directory, PATCHES[TAGGED:RELEASED])


def apply(directory: Path, patches: list[Path]) -> None:
    git(directory, "am", "--quiet", "--committer-date-is-author-date", *map(str, patches))


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", directory, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
