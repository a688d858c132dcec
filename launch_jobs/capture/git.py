"""The one door to git: every git command runs here, as an argument vector, never through a shell.

Whose configuration counts: questions about the user's repository (which files are ignored, what a remote is called)
and fetching (proxies, certificates, credential helpers, ssh) use the user's own, minus everything that runs a program
of the repository. All that makes or writes content happens in a scratch repository, which knows no configuration,
attribute, filter or hook, so that nobody's settings can change a byte.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from launch_jobs.capture.tree import ObjectFormat
from launch_jobs.errors import CaptureError

# What a user or operator may say about the way to remotes; any other GIT_* variable (GIT_DIR and GIT_INDEX_FILE inside
# a hook, GIT_EXTERNAL_DIFF …) is dropped.
_TRANSPORT = re.compile(r"GIT_(EXEC_PATH|SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|SSL_.*|PROXY_SSL_.*|HTTP_.*|CURL_.*)")
_CONFIGURATION = re.compile(r"GIT_CONFIG(_.*)?")

_HARMLESS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false")
# We write scratch repositories only: none outlives a crash, so that nothing need be synced or packed tightly.
_FAST = ("core.fsync=none", "core.compression=1")
TRANSPORTS = ("https", "http", "ssh", "git", "file")
_NETWORK = (
    "protocol.allow=never",
    "protocol.ext.allow=never",
    *(f"protocol.{name}.allow=always" for name in TRANSPORTS),
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)

_NO_CONFIGURATION = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
}
_QUIET = {
    "LC_ALL": "C",  # we read what git says
    "LANGUAGE": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
}
# ssh asks on the terminal by itself; sent to a program that says no, a missing key fails instead of waiting for ever.
_NO_QUESTIONS = {"SSH_ASKPASS_REQUIRE": "force"}

# info/attributes outranks every .gitattributes: content is written and compared as it is.
_NEUTRAL_ATTRIBUTES = "* -text -filter -ident !eol !crlf !working-tree-encoding !diff !merge !whitespace !delta\n"


class GitFailedError(Exception):
    """A git command failed; its text is what git said, in one line."""


@dataclass(frozen=True, slots=True)
class Git:
    """git on one repository.

    Attributes:
        folder: where commands run.
        git_dir: the repository; empty: the one that `folder` is in.
        index: a throw-away index file.
        work_tree: where files are written.
        user: the user's configuration counts (see the module).
        secrets: environment variables that nobody shall read.
        timeout_s: after which a command is killed.
        largest_bytes: of a file that it may write, where the system has `prlimit`.
    """

    folder: Path
    git_dir: Path | None = None
    index: Path | None = None
    work_tree: Path | None = None
    user: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout_s: float | None = None
    largest_bytes: int | None = None

    def run(self, *arguments: str, stdin: bytes | BinaryIO = b"") -> bytes:
        """Run one command, give it bytes or an open file to read, and return what it prints.

        Raises:
            GitFailedError: it ended with another code than 0, or not in time.
            CaptureError: git is not installed.
        """
        if not shutil.which("git"):
            raise CaptureError("git is not on PATH", do="Install git")
        if self.timeout_s and stdin:
            raise ValueError("A command with a time limit is given nothing to read")
        ended = self._run_limited(arguments, self.timeout_s) if self.timeout_s else self._run(arguments, stdin)
        if ended.returncode:
            said = _one_line(ended.stderr.decode(errors="replace"))
            raise GitFailedError(said or f"git {arguments[0]} ended with code {ended.returncode}")
        return ended.stdout

    def _run(self, arguments: tuple[str, ...], stdin: bytes | BinaryIO) -> subprocess.CompletedProcess[bytes]:
        given, file = (stdin, None) if isinstance(stdin, bytes) else (None, stdin)
        return subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            input=given,
            stdin=file,
            check=False,
        )

    def _run_limited(self, arguments: tuple[str, ...], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        """Run a command that talks to a remote: gitpython kills with it, in time, what git started to talk for it.

        Not the others: importing gitpython takes as long as ten of them, and most come before the user's program.
        """
        import git as gitpython

        dropped = os.environ.keys() - self._environment().keys()  # gitpython sets variables, and drops none
        begun = time.monotonic()
        status, output, said = gitpython.Git(self.folder).execute(
            ["env", *(word for name in sorted(dropped) for word in ("-u", name)), *self._command(arguments)],
            env=self._environment(),
            kill_after_timeout=timeout_s,
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
        )
        if status and time.monotonic() - begun >= timeout_s:
            raise GitFailedError(f"no answer in {timeout_s:g} s")
        return subprocess.CompletedProcess(arguments, int(status), output, said.encode())

    def text(self, *arguments: str) -> str:
        """Run one command and return what it prints, without the last newline."""
        output = self.run(*arguments).removesuffix(b"\n")
        try:
            return output.decode()
        except UnicodeDecodeError as error:
            raise CaptureError(f"git said {output!r}, which is not UTF-8", do="Rename what it names") from error

    def paths(self, *arguments: str) -> list[str]:
        """Run one command with `-z` output and return its records; as paths, whatever bytes these have."""
        return [os.fsdecode(record) for record in self.run(*arguments).split(b"\0") if record]

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        settings = [word for setting in (*_HARMLESS, *_FAST, *_NETWORK) for word in ("-c", setting)]
        where = [f"--git-dir={self.git_dir}"] if self.git_dir else []
        where += [f"--work-tree={self.work_tree}"] if self.work_tree else []
        limited = self.largest_bytes is not None and shutil.which("prlimit")
        before = ["prlimit", f"--fsize={self.largest_bytes}"] if limited else []
        return [*before, "git", *where, *settings, *arguments]

    def _environment(self) -> dict[str, str]:
        index = {"GIT_INDEX_FILE": str(self.index)} if self.index else {}
        answers = _NO_QUESTIONS | {"SSH_ASKPASS": os.environ.get("SSH_ASKPASS", "false")}
        inherited = {name: value for name, value in os.environ.items() if self._keeps(name)}
        return inherited | _QUIET | index | (answers if self.user else _NO_CONFIGURATION) | dict(self.secrets)

    def _keeps(self, name: str) -> bool:
        if not name.startswith("GIT_") or _TRANSPORT.fullmatch(name):
            return True
        return self.user and bool(_CONFIGURATION.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Repository:
    """A user's repository with a work tree; we only read it.

    Attributes:
        root: top of the work tree, absolute, links resolved.
        git: commands on it, with the user's configuration.
        objects: its object folder.
        object_format: how it names content.
        shallow: the file that lists where its history was cut off, if it was.
        commit: what is checked out; None before the first commit.
    """

    root: Path
    git: Git
    objects: Path
    object_format: ObjectFormat
    shallow: Path | None
    commit: str | None

    def ignores(self, folder: Path) -> bool:
        """Whether a folder of the work tree holds nothing that git tracks, and git ignores it."""
        if folder == self.root or self.git.run("ls-files", "-z", "--", f":(literal){folder}"):
            return False
        try:
            self.git.run("check-ignore", "--quiet", "--", str(folder))
        except GitFailedError:
            return False
        return True


def find_repository(directory: Path) -> Repository | None:
    """The repository whose work tree holds a folder, or None.

    Raises:
        CaptureError: git will not read the repository, or it has no work tree; says why.
    """
    here = Git(directory, user=True)
    try:
        answers = here.text(
            *("rev-parse", "--path-format=absolute", "--is-inside-work-tree", "--show-object-format", "--git-dir"),
            *("--git-path", "objects", "--git-path", "shallow"),
        ).split("\n")
        if answers[0] != "true":
            raise CaptureError(
                f"{directory} is inside a git repository's own folder or a bare one", do="Name a checkout"
            )
        root = Path(here.text("rev-parse", "--path-format=absolute", "--show-toplevel"))
    except GitFailedError as error:
        if "not a git repository (or any" in str(error):
            return None
        raise CaptureError(f"git cannot read the repository of {directory}: {error}") from error
    if len(answers) != 5 or "\n" in str(root):
        raise CaptureError(f"the path of the repository of {directory} holds a line break", do="Move it")
    _, object_format, git_dir, objects, shallow = answers
    inside = Git(root, git_dir=Path(git_dir), work_tree=root, user=True)
    return Repository(
        root,
        inside,
        Path(objects),
        "sha256" if object_format == "sha256" else "sha1",
        Path(shallow) if Path(shallow).exists() else None,
        _commit(inside),
    )


def scratch(folder: Path, object_format: ObjectFormat, objects: Path | None = None, shallow: Path | None = None) -> Git:
    """A new, empty, private repository below `folder`, without any configuration; it can read another's objects.

    Args:
        folder: an existing folder that the caller removes.
        object_format: how it names content.
        objects: another repository's object folder, read only.
        shallow: the other repository's list of cut-off commits.
    """
    git_dir = folder / "scratch.git"
    Git(folder).run("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", str(git_dir))
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info" / "attributes").write_text(_NEUTRAL_ATTRIBUTES)
    if objects:
        (git_dir / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    if shallow:
        (git_dir / "shallow").write_bytes(shallow.read_bytes())
    return Git(folder, git_dir=git_dir, index=git_dir / "index")


def write_tree(repository: Git, commit: str, patch: Path | None) -> str:
    """Put a commit, with a patch on top, into the scratch repository's index; return git's name of the tree.

    Raises:
        GitFailedError: the commit is not there, or the patch does not fit it.
    """
    repository.run("read-tree", commit)
    if patch:
        repository.run("apply", "--cached", "--binary", "--whitespace=nowarn", str(patch))
    return repository.text("write-tree")


def write_files(repository: Git, into: Path) -> None:
    """Write every file of the scratch repository's index into an empty folder, byte for byte."""
    replace(repository, work_tree=into, folder=into).run("checkout-index", "--all", "--force", "--quiet")


def _commit(inside: Git) -> str | None:
    try:
        return inside.text("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitFailedError:
        return None


def _one_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    return "; ".join(telling[-3:]).rstrip(".")
