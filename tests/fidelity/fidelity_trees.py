"""`scripts/fidelity --trees`: which capture tool gives an ordinary repository back, file for file (workload W6)."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from fidelity_place import PreparationError
from peer_tools import call
from pydantic import BaseModel, ConfigDict
from tree_rows import ROWS, Row, new_repository
from tree_tools import RESTORERS, Restorer, files_wanted

STORED = Path(__file__).parent / "trees.json"
Tree = dict[str, str]


class Trees(BaseModel):
    """What was measured: kind of repository → tool → "same", or what is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str
    rows: dict[str, dict[str, str]]


def tree_of(root: Path, paths: list[str]) -> Tree:
    """Path → what is there: a link's target, or content and executable bit."""
    found: Tree = {}
    for path in paths:
        status = os.lstat(root / path)
        if stat.S_ISLNK(status.st_mode):
            found[path] = f"link {(root / path).readlink()}"
        else:
            bit = "x" if status.st_mode & 0o100 else "-"
            found[path] = f"{bit} {hashlib.sha256((root / path).read_bytes()).hexdigest()}"
    return found


def everything_in(root: Path) -> list[str]:
    """Every file of a tree but git's own."""
    return sorted(
        str(Path(folder, name).relative_to(root))
        for folder, folders, names in os.walk(root)
        for name in [*names, *(one for one in folders if Path(folder, one).is_symlink())]
        if ".git" not in Path(folder, name).relative_to(root).parts
    )


def verdict(wanted: Tree, found: Tree) -> str:
    """Same, or what is not."""
    told = [f"{path} is missing" for path in sorted(wanted.keys() - found.keys())]
    told += [f"{path} is too many" for path in sorted(found.keys() - wanted.keys())]
    told += [f"{path} differs" for path in sorted(wanted.keys() & found.keys()) if wanted[path] != found[path]]
    return "; ".join(told[:4]) or "same"


def restore(row: Row, name: str, restorer: Restorer, base: Path) -> str:
    """One tool on one kind of repository: it may look at it while the program runs; then the folder is gone."""
    own = base / name
    own.mkdir(parents=True)
    program = new_repository(row, base)
    root = Path(call("git", "rev-parse", "--show-toplevel", cwd=program).strip())
    wanted = tree_of(root, files_wanted(root))
    try:
        kept = restorer.keep(program, own)
        shutil.rmtree(root)
        restorer.bring(kept, own, own / "restored")
    except PreparationError as error:
        return f"not restored: {' '.join(str(error).split())[-160:]}"
    return verdict(wanted, tree_of(own / "restored", everything_in(own / "restored")))


def measure_trees(when: str) -> Trees:
    """Every tool on every row; kept as soon as a row is known."""
    rows: dict[str, dict[str, str]] = {}
    for row in ROWS:
        rows[row.name] = {}
        for name, restorer in RESTORERS.items():
            base = Path(tempfile.mkdtemp(prefix="lj-trees-"))
            try:
                rows[row.name][name] = restore(row, name, restorer, base)
            finally:
                shutil.rmtree(base, ignore_errors=True)
            print(f"{row.name:34} {name:8} {rows[row.name][name]}", flush=True)
        STORED.write_text(Trees(when=when, rows=rows).model_dump_json(indent=1) + "\n")
    return Trees(when=when, rows=rows)


def table(trees: Trees) -> str:
    """In Markdown."""
    names = list(RESTORERS)
    lines = ["| repository | " + " | ".join(RESTORERS[name].title for name in names) + " |"]
    lines.append("|---|" + "---|" * len(names))
    for row, told in trees.rows.items():
        marks = ["**same**" if told[name] == "same" else told[name].replace("|", "\\|") for name in names]
        lines.append(f"| {row} | " + " | ".join(marks) + " |")
    sums = [sum(told[name] == "same" for told in trees.rows.values()) for name in names]
    lines.append("| **restored** | " + " | ".join(f"**{one} of {len(trees.rows)}**" for one in sums) + " |")
    return "\n".join(lines)
