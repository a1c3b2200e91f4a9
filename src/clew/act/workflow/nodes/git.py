"""The node type ``git``: one git operation, as a real git command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, model_validator

from clew.act.workflow import running
from clew.act.workflow.nodes import node, process
from clew.act.workflow.nodes.limit import within
from clew.errors import WorkflowError
from clew.model import attributes as names
from clew.record.instruments.functions import git

Operation = Literal["init", "status", "log", "diff", "show", "add", "commit", "tag", "branch", "checkout", "merge", "fetch", "pull", "push"]

_SEPARATOR: Final = "\x1f"
_RECORD: Final = "\x1e"
_LOG: Final = "--format=" + "%x1f".join(("%H", "%an", "%ae", "%aI", "%s", "%b")) + "%x1e"
_COMMIT_KEYS: Final = ("commit", "author", "email", "date", "subject", "body")
_MOST_OUTPUT: Final = 10 << 20


class GitFailed(WorkflowError):
    """A git operation that did not succeed."""


class GitNode(node.NodeType):
    """Does one git operation in a repository. What git says when it fails is the message."""

    type = "git"
    kind = "git"

    class Params(node.Params):
        operation: Operation
        """One of the operations below."""
        repository: str = "."
        """Directory; relative to the document's own."""
        paths: list[str] = Field(default_factory=list)
        """Of ``add``, ``commit``, ``diff``, ``log``: only these files. ``add`` without any adds everything."""
        message: str | None = Field(default=None, min_length=1)
        """Of ``commit``, ``merge`` and an annotated ``tag``."""
        name: str | None = Field(default=None, pattern=r"^[^-\s~^:?*\[\\][^\s~^:?*\[\\]*$")
        """Of the ``tag`` or ``branch`` to make, the branch to ``checkout``; without it ``tag`` and ``branch`` list."""
        ref: str | None = Field(default=None, pattern=r"^[^-\s]\S*$")
        """A commit, branch, tag or range: what to ``show``, ``diff``, ``log``, ``merge``; what a new tag or branch points at; what to ``push``."""
        create: bool = False
        """Of ``checkout``: make the branch."""
        all: bool = False
        """Of ``commit``: with every change of known files."""
        allow_empty: bool = False
        """Of ``commit``: also when nothing is changed."""
        staged: bool = False
        """Of ``diff``: what is added and not committed."""
        count: Annotated[int, Field(ge=1)] | None = None
        """Of ``log``: how many commits, 20 without it."""
        fast_forward: Literal["allow", "never", "only"] | None = None
        """Of ``merge`` and ``pull``."""
        remote: str | None = Field(default=None, pattern=r"^[^-\s]\S*$")
        """Of ``fetch``, ``pull``, ``push``."""
        tags: bool = False
        """Of ``push``: with the tags."""
        author: str | None = None
        """Of what makes a commit or an annotated tag: ``Name <address>`` instead of git's own settings, also as the committer."""
        timeout_s: Annotated[float, Field(gt=0)] = 300.0
        """Longest time of a git command."""

        @model_validator(mode="after")
        def _fit_the_operation(self) -> GitNode.Params:
            operation = OPERATIONS[self.operation]
            given = self.model_fields_set - {"operation", "repository", "timeout_s"}
            if surplus := sorted(given - set(operation.takes)):
                raise ValueError(
                    f"git {self.operation} does not take {', '.join(surplus)}; it takes {', '.join(operation.takes) or 'nothing else'}"
                )
            if missing := sorted(name for name in operation.needs if getattr(self, name) is None):
                raise ValueError(f"git {self.operation} needs {', '.join(missing)}")
            return self

    def execute(self, params: Params) -> dict[str, Any]:
        operation = OPERATIONS[params.operation]
        repository = running.base() / params.repository
        with git(params.operation) as span:
            if params.operation == "init":
                repository.mkdir(parents=True, exist_ok=True)
            elif not repository.is_dir():
                raise GitFailed(f"git {params.operation}: there is no directory {repository}")
            command = Command(repository, params)
            try:
                output = command(*operation.arguments(params))
                results = {"output": output, **operation.read(output, params, command)}
            finally:
                head, branch = command.head()
                span.set(names.GIT_COMMIT, head)
                span.set(names.GIT_BRANCH, branch)
            span.output(output)
        return {"commit": head, "branch": branch, **results}


class Command:
    """Runs git in a repository."""

    def __init__(self, repository: Any, params: GitNode.Params) -> None:
        self.repository = repository
        self.params = params
        self.author = _identity(params.author)

    def __call__(self, *arguments: str) -> str:
        """What git printed.

        :raises GitFailed: with what it said
        """
        done = self._run(*arguments)
        if done.exit_code:
            said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.exit_code}"
            raise GitFailed(f"git {arguments[0]} in {self.repository}: {said}")
        return done.stdout

    def head(self) -> tuple[str | None, str | None]:
        """Commit and branch; None before the first commit, and on no branch."""
        commit = self._run("rev-parse", "--verify", "--quiet", "HEAD")
        branch = self._run("symbolic-ref", "--short", "--quiet", "HEAD")
        return commit.stdout.strip() or None, branch.stdout.strip() or None

    def _run(self, *arguments: str) -> process.Finished:
        try:
            # Nobody is there to answer: no editor, no pager, no question for a password.
            return process.run(
                ["git", "--no-pager", "-c", "core.quotepath=off", *arguments],
                cwd=self.repository,
                env={"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C", **self.author},
                timeout_s=within(self.params.timeout_s),
                most_output=_MOST_OUTPUT,
            )
        except FileNotFoundError as error:
            raise GitFailed("git is not installed, or not in PATH; install it") from error


def _identity(author: str | None) -> dict[str, str]:
    if author is None:
        return {}
    name, _, rest = author.partition("<")
    values = {"NAME": name.strip(), "EMAIL": rest.rstrip(">").strip()}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class GitOperation:
    """How an operation is done.

    :ivar arguments: parameters -> git's arguments
    :ivar publishes: key -> what it holds, beside ``output``, ``commit`` and ``branch``
    :ivar read: what git printed -> these keys
    :ivar takes: parameters that have a meaning for it
    :ivar needs: those it cannot do without
    """

    arguments: Callable[[GitNode.Params], list[str]]
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    publishes: tuple[tuple[str, str], ...] = ()
    read: Callable[[str, GitNode.Params, Command], dict[str, Any]] = lambda output, params, command: {}


def _given(flag: str, value: str | None) -> list[str]:
    return [] if value is None else [flag, value]


def _some(value: str | None) -> list[str]:
    return [] if value is None else [value]


def _files(params: GitNode.Params) -> list[str]:
    return ["--", *params.paths] if params.paths else []


def _fast_forward(params: GitNode.Params) -> list[str]:
    return {"allow": ["--ff"], "never": ["--no-ff"], "only": ["--ff-only"], None: []}[params.fast_forward]


def _status(output: str, *_: Any) -> dict[str, Any]:
    files = []
    entries = iter(output.split("\0"))
    for entry in entries:
        if entry:
            files.append({"path": entry[3:], "status": entry[:2].strip()})
            if entry[0] in "RC":
                next(entries, None)  # the old name
    return {"files": files, "clean": not files}


def _commits(output: str, *_: Any) -> dict[str, Any]:
    records = [record.strip("\n").split(_SEPARATOR) for record in output.split(_RECORD) if record.strip()]
    return {"commits": [{key: value.strip() for key, value in zip(_COMMIT_KEYS, record, strict=True)} for record in records]}


def _diff(output: str, params: GitNode.Params, command: Command) -> dict[str, Any]:
    changed = command(*_diff_arguments(params, "--name-only", "-z"))
    return {"diff": output, "files": [path for path in changed.split("\0") if path], "empty": not output}


def _diff_arguments(params: GitNode.Params, *flags: str) -> list[str]:
    return ["diff", *flags, *(["--staged"] if params.staged else []), *_some(params.ref), *(_files(params) or ["--"])]


def _lines(key: str) -> Callable[..., dict[str, Any]]:
    return lambda output, *_: {key: [line for line in output.splitlines() if line]}


def _tag(params: GitNode.Params) -> list[str]:
    if params.name is None:
        return ["tag", "--list"]
    return ["tag", *(["--annotate", "--message", params.message] if params.message else []), params.name, *_some(params.ref)]


def _branch(params: GitNode.Params) -> list[str]:
    return ["branch", "--format=%(refname:short)"] if params.name is None else ["branch", params.name, *_some(params.ref)]


OPERATIONS: Final[dict[str, GitOperation]] = {
    "init": GitOperation(lambda p: ["init", "--quiet", *_given("--initial-branch", p.name)], takes=("name",)),
    "status": GitOperation(
        lambda _: ["status", "--porcelain=v1", "-z", "--untracked-files=all"],
        publishes=(("files", "`[{path, status}]`, status as git's two letters"), ("clean", "Whether there are none")),
        read=_status,
    ),
    "log": GitOperation(
        lambda p: ["log", _LOG, f"--max-count={p.count or 20}", *_some(p.ref), *(_files(p) or ["--"])],
        takes=("ref", "count", "paths"),
        publishes=(("commits", "`[{commit, author, email, date, subject, body}]`, newest first"),),
        read=_commits,
    ),
    "diff": GitOperation(
        _diff_arguments,
        takes=("ref", "staged", "paths"),
        publishes=(("diff", "The differences"), ("files", "Paths that differ"), ("empty", "Whether nothing differs")),
        read=_diff,
    ),
    "show": GitOperation(lambda p: ["show", *_some(p.ref), "--"], takes=("ref",)),
    "add": GitOperation(lambda p: ["add", *(_files(p) or ["--all"])], takes=("paths",)),
    "commit": GitOperation(
        lambda p: [
            *("commit", "--quiet", "--message", p.message or ""),
            *(["--all"] if p.all else []),
            *(["--allow-empty"] if p.allow_empty else []),
            *_files(p),
        ],
        takes=("message", "all", "allow_empty", "paths", "author"),
        needs=("message",),
    ),
    "tag": GitOperation(
        _tag,
        takes=("name", "message", "ref", "author"),
        publishes=(("tags", "The tags, when none is made"),),
        read=lambda output, params, _: _lines("tags")(output) if params.name is None else {},
    ),
    "branch": GitOperation(
        _branch,
        takes=("name", "ref"),
        publishes=(("branches", "The branches, when none is made"),),
        read=lambda output, params, _: _lines("branches")(output) if params.name is None else {},
    ),
    "checkout": GitOperation(
        lambda p: ["checkout", "--quiet", *(["-b"] if p.create else []), p.name or "", *_some(p.ref), "--"],
        takes=("name", "create", "ref"),
        needs=("name",),
    ),
    "merge": GitOperation(
        lambda p: ["merge", "--quiet", "--no-edit", *_fast_forward(p), *_given("--message", p.message), p.ref or ""],
        takes=("ref", "message", "fast_forward", "author"),
        needs=("ref",),
    ),
    "fetch": GitOperation(lambda p: ["fetch", "--quiet", *_some(p.remote)], takes=("remote",)),
    "pull": GitOperation(
        lambda p: ["pull", "--quiet", "--no-edit", *_fast_forward(p), *_some(p.remote)], takes=("remote", "fast_forward", "author")
    ),
    "push": GitOperation(
        lambda p: ["push", "--quiet", *(["--tags"] if p.tags else []), p.remote or "origin", *_some(p.ref)],
        takes=("remote", "ref", "tags"),
    ),
}
"""Operation -> how it is done."""
assert set(OPERATIONS) == set(get_args(Operation))
