"""Rows B09 to B16: what git would do to content and names."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from launch_jobs.capture.tracked import run_tracked
from tests.torture.bench import Bench, Case, Row, noted

_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 123456789\n"


def _after(*changes: Callable[[Bench], object]) -> Case:
    def case(bench: Bench) -> None:
        for change in changes:
            change(bench)
        bench.exact()

    return case


def _wrote(path: str, data: bytes | str = "x\n") -> Case:
    return _after(lambda bench: bench.write(path, data))


def _dirty(bench: Bench) -> None:
    """Changes of many kinds at once: one that cannot be carried would lose the others too."""
    bench.write("package/deep/data.bin", bytes(range(255, -1, -1)) * 9)
    bench.write("train.py", b"print('one')\r\nprint('three')")
    bench.write("new dir/größe.py", "new\n")
    (bench.root / "run.sh").chmod(0o644)
    (bench.root / "latest").unlink()
    (bench.root / "latest").symlink_to("run.sh")
    bench.repo.git("mv", "dos.txt", "moved.txt")


def _configured(text: str) -> Case:
    def case(bench: Bench) -> None:
        (bench.home / ".gitconfig").write_text(text)
        with (bench.root / ".git" / "config").open("a") as own:
            own.write(text)
        _dirty(bench)
        bench.exact()

    return case


def _environment(bench: Bench) -> None:
    _dirty(bench)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_ASKPASS", "GIT_SSH_COMMAND"):
        bench.monkeypatch.setenv(name, "false")
    bench.monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")
    bench.exact()


def _untracked_module(bench: Bench) -> None:
    bench.write("train.py", "import mine.inner\n")
    bench.write("mine/inner.py", "x = 1\n")
    version = bench.exact()
    assert version.origin.patch


def _ignored_module(bench: Bench) -> None:
    """An ignored module is not carried; the run's record says that the program had it."""
    bench.write("train.py", "import generated.schema\nimport package\n")
    bench.write("generated/schema.py", "x = 1\n")
    bench.write(".gitignore", "generated/\n")
    run = run_tracked([sys.executable, "train.py"], store=bench.store, directory=bench.root)
    assert run.version and run.record, run.problem
    assert "generated/schema.py" not in bench.checkout(run.version)
    assert "imported 'generated.schema' from 'generated/schema.py', which is ignored" in " ".join(run.record.notes)
    assert run.record.verified is True


def _names(*names: bytes) -> Case:
    def case(bench: Bench) -> None:
        for name in names:
            Path(os.fsdecode(os.fsencode(bench.root) + b"/" + name)).write_text("committed")
        bench.repo.commit()
        for number, name in enumerate(names):
            Path(os.fsdecode(os.fsencode(bench.root) + b"/" + name)).write_text(f"changed {number}")
            Path(os.fsdecode(os.fsencode(bench.root) + b"/new" + name[:200])).write_text(f"new {number}")
        bench.exact()

    return case


def _names_without_git(bench: Bench) -> None:
    shutil.rmtree(bench.root / ".git")
    for name in (b"\xff\xfe", b"a\nb\tc", b"-rf", b" x ", b"n" * 255, "é".encode(), "e\u0301".encode()):
        Path(os.fsdecode(os.fsencode(bench.root) + b"/" + name)).write_text("x")
    bench.exact()


def _line_ends(attributes: str, config: str) -> Case:
    """Files that git converted when it checked them out, one of them changed since."""

    def case(bench: Bench) -> None:
        (bench.home / ".gitconfig").write_text(config)
        bench.write(".gitattributes", attributes)
        for name in ("a.py", "b.py"):
            bench.write(name, "# $Id$\none\ntwo\n")
        bench.write("wide.txt", "größe\n".encode("utf-16") if "UTF-16" in attributes else "x\n")
        bench.repo.commit()
        for name in ("a.py", "b.py", "wide.txt"):
            (bench.root / name).unlink()
        bench.repo.git("checkout", "--", ".")
        bench.write("b.py", b"mixed\r\nends\nand\r")
        bench.exact()

    return case


def _filters(bench: Bench) -> None:
    ran = bench.tmp / "ran"
    for driver in ("clean", "smudge", "process"):
        bench.repo.git("config", f"filter.nbstripout.{driver}", f"touch {ran}; cat")
    bench.write(".gitattributes", "*.ipynb filter=nbstripout\n*.key filter=git-crypt diff=git-crypt\n")
    bench.write("a.ipynb", '{"outputs": [1]}\n')
    noted(bench.exact(), "filters were not run: git-crypt, nbstripout")
    assert not ran.exists()


def _lfs(bench: Bench, *, content: str) -> None:
    """A repository whose commit holds pointers, as git-lfs leaves it; the work tree holds `content`."""
    bench.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    bench.write("big.bin", _POINTER)
    bench.repo.commit()
    bench.write("big.bin", content)


def _lfs_content(bench: Bench) -> None:
    _lfs(bench, content="the real content\n" * 100)
    noted(bench.exact(), "lfs")


def _no_pointer(bench: Bench) -> None:
    """Text that only looks like a pointer, in files that LFS has nothing to do with."""
    bench.write(".gitattributes", "*.bin filter=lfs\n")
    bench.write("example.txt", _POINTER)
    bench.exact()


def _pointers(bench: Bench) -> None:
    _lfs(bench, content=_POINTER)
    bench.write("second.bin", _POINTER)
    with bench.refused(r"3 files .* Git LFS pointers.*'big\.bin' \(sha256:abab.*123,456,789 bytes\).*git lfs pull"):
        bench.write("package/third.bin", _POINTER)
        bench.capture()


def _kept_mode(bench: Bench) -> None:
    bench.repo.git("config", "core.fileMode", "false")
    (bench.root / "train.py").chmod(0o755)


def _folder_for_file(bench: Bench) -> None:
    (bench.root / "train.py").unlink()
    bench.write("train.py/inside.py")
    shutil.rmtree(bench.root / "package")
    bench.write("package", "a file now")


def _relinked(bench: Bench) -> None:
    (bench.root / "latest").unlink()
    (bench.root / "latest").symlink_to("./package//deep/")
    (bench.root / "train.py").unlink()
    (bench.root / "train.py").symlink_to("run.sh")


CONFIGURATIONS = {
    "diff": "[diff]\n noprefix = true\n mnemonicPrefix = true\n renames = copies\n context = 0\n external = false\n"
    " orderFile = /nowhere\n[color]\n ui = always\n diff = always\n",
    "apply": "[apply]\n whitespace = error-all\n ignoreWhitespace = change\n[core]\n whitespace = trailing-space\n",
    "core": "[core]\n autocrlf = true\n safecrlf = true\n fileMode = false\n symlinks = false\n ignoreCase = true\n"
    " quotePath = false\n pager = false\n",
}

ROWS = {
    "B09": Row(
        "binary file changed",
        {
            "binary": _wrote("package/deep/data.bin", bytes(range(255, -1, -1)) * 9),
            "text becomes binary": _wrote("train.py", b"\0\1\2"),
            "binary among others": _after(_dirty),
            "new binary": _wrote("weights.npy", os.urandom(70_000)),
        },
        {},
    ),
    "B10": Row(
        "user's git settings change diff output",
        {**{name: _configured(text) for name, text in CONFIGURATIONS.items()}, "environment": _environment},
        {},
    ),
    "B11": Row(
        "untracked file that the program imports", {"carried": _untracked_module, "ignored: named": _ignored_module}, {}
    ),
    "B12": Row(
        "deleted, renamed, mode-only, symbolic link changes",
        {
            "deleted": _after(lambda bench: (bench.root / "train.py").unlink()),
            "deleted in the index only": _after(lambda bench: bench.repo.git("rm", "-q", "--cached", "train.py")),
            "renamed": _after(lambda bench: bench.repo.git("mv", "train.py", "other.py")),
            "mode": _after(lambda bench: (bench.root / "train.py").chmod(0o755)),
            "mode that git does not see": _after(_kept_mode),
            "links": _after(_relinked),
            "folder for file": _after(_folder_for_file),
            "emptied": _wrote("train.py", b""),
        },
        {},
    ),
    "B13": Row(
        "odd file names",
        {
            "not UTF-8": _names(b"\xff\xfe", b"latin-\xfc.py"),
            "line breaks": _names(b"a\nb", b"tab\there", b"cr\r"),
            "like options": _names(b"-rf", b"--help", b":(glob)*", b"@"),
            "quotes and spaces": _names(b" x ", b"trailing ", b"\"'", b"back\\slash", b"$(x)`y`"),
            "255 bytes": _names(b"n" * 255),
            "case only": _names(b"Case.py", b"case.py"),
            "NFC and NFD": _names("é.py".encode(), "e\u0301.py".encode()),
            "without git": _names_without_git,
        },
        {},
    ),
    "B14": Row(
        "line ends and encodings that git converts",
        {
            "autocrlf": _line_ends("", "[core]\n autocrlf = true\n"),
            "eol=crlf": _line_ends("* text eol=crlf\n", ""),
            "text=auto": _line_ends("* text=auto\n", "[core]\n eol = crlf\n"),
            "ident": _line_ends("*.py ident\n", ""),
            "UTF-16": _line_ends("wide.txt working-tree-encoding=UTF-16\n", ""),
        },
        {},
    ),
    "B15": Row("clean and smudge filters", {"not run, but named": _filters}, {}),
    "B16": Row(
        "Git LFS",
        {"content is here": _lfs_content, "only looks like a pointer": _no_pointer},
        {"pointers without content": _pointers},
    ),
}
