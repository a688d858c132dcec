"""Read a Jupyter notebook: its cells, what runs it, and the notebook without anything that running it left behind.

Format 4 is a small, stable JSON document, so it is read here. nbconvert's Python exporter would need twenty packages,
and writes shell magics as calls that only a kernel understands, where we refuse them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject

_LEFT_IN_NOTEBOOK = frozenset({"widgets", "papermill", "signature"})
_LEFT_IN_CELL = frozenset({"ExecuteTime", "collapsed", "execution", "jupyter", "papermill", "scrolled"})
"""What running, and looking at results, writes into metadata; `widgets` is output in disguise."""


class _Language(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    language: str = ""
    display_name: str = ""


class _Metadata(BaseModel):
    model_config = ConfigDict(extra="ignore")

    kernelspec: _Language = _Language()
    language_info: _Language = _Language()


class _CellMetadata(BaseModel):
    model_config = ConfigDict(extra="ignore")

    tags: tuple[str, ...] = ()


class _Cell(BaseModel):
    model_config = ConfigDict(extra="ignore")

    cell_type: str
    source: str | list[str] = ""
    execution_count: int | None = None
    metadata: _CellMetadata = _CellMetadata()


class _Notebook(BaseModel):
    model_config = ConfigDict(extra="ignore")

    nbformat: int
    cells: list[_Cell] = Field(default_factory=list[_Cell])
    metadata: _Metadata = _Metadata()


@dataclass(frozen=True, slots=True)
class CodeCell:
    """One code cell that is not empty.

    Attributes:
        number: its place among all cells of the notebook, from 1.
        text: its code.
        tags: what the user marked it with.
        executed: when it last ran in the kernel that saved it, as a count; None: never.
    """

    number: int
    text: str
    tags: tuple[str, ...] = ()
    executed: int | None = None


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook as it was saved.

    Attributes:
        cells: the code.
        stripped: its file without outputs and execution counts; None if that is how it was saved.
    """

    cells: tuple[CodeCell, ...]
    stripped: bytes | None

    @property
    def order_note(self) -> str | None:
        """What running the cells in the order of the file changes; None when that was their order."""
        counts = [cell.executed for cell in self.cells]
        if counts == list(range(1, len(counts) + 1)) or not any(counts):
            return None
        shown = ", ".join(str(count) if count else "never" for count in counts[:20])
        more = ", …" if len(counts) > 20 else ""
        return f"Cells run in the order of the file, not in that in which they ran in the notebook ({shown}{more})."


def read_notebook(file: Path) -> Notebook:
    """Read a saved notebook.

    Raises:
        BadInput: it is no notebook of format 4, of no Python kernel, or has no code; says which.
    """
    document = _document(file)
    try:
        found = _Notebook.model_validate(document)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise BadInput(
            f"{file.name!r} is no notebook: {place}: {wrong['msg']}", do="Save it again in Jupyter"
        ) from error
    _check(file, found)
    numbered = ((number, cell, _text(cell)) for number, cell in enumerate(found.cells, 1))
    cells = tuple(
        CodeCell(number, text, cell.metadata.tags, cell.execution_count)
        for number, cell, text in numbered
        if cell.cell_type == "code" and text.strip()
    )
    if not cells:
        raise BadInput(f"the notebook {file.name!r} has no code", do="Save it: is its code only in the browser?")
    return Notebook(cells, _stripped(document))


def _document(file: Path) -> JsonObject:
    try:
        found: object = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise BadInput(f"there is no notebook {str(file)!r}", do="Check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{file.name!r} is no notebook, but broken JSON: {error}", do="Save it again in Jupyter"
        ) from error
    if not isinstance(found, dict):
        raise BadInput(f"{file.name!r} is no notebook: it is JSON of something else", do="Save it again in Jupyter")
    return cast("JsonObject", found)


def _check(file: Path, found: _Notebook) -> None:
    if found.nbformat != 4:
        raise BadInput(
            f"the notebook {file.name!r} is of format {found.nbformat}, and only format 4 is read",
            do=f"Open and save it in Jupyter, or: jupyter nbconvert --to notebook --inplace {file.name}",
        )
    kernel = found.metadata.kernelspec
    language = (found.metadata.language_info.name or kernel.language or "python").lower()
    if language not in ("python", "ipython"):
        called = f", {kernel.display_name}" if kernel.display_name else ""
        raise BadInput(
            f"the kernel of the notebook {file.name!r} is not Python but {language!r}{called}",
            do="Export it as a program of its language (jupyter nbconvert --to script), and run that",
        )


def _text(cell: _Cell) -> str:
    return cell.source if isinstance(cell.source, str) else "".join(cell.source)


def _stripped(document: JsonObject) -> bytes | None:
    """The file as Jupyter would write it, without what running left; None when there is nothing to take away."""
    stripped = _without(document, _LEFT_IN_NOTEBOOK)
    stripped["cells"] = [_stripped_cell(cell) for cell in cast("list[JsonObject]", document["cells"])]
    if stripped == document:
        return None
    text = json.dumps(stripped, ensure_ascii=False, indent=1, sort_keys=True)
    return (text + "\n").encode("utf-8", "surrogatepass")


def _stripped_cell(cell: JsonObject) -> JsonObject:
    found = _without(cell, _LEFT_IN_CELL)
    return {**found, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else found


def _without(part: JsonObject, left: frozenset[str]) -> JsonObject:
    """A copy whose metadata has none of these names."""
    metadata = cast("JsonObject", part.get("metadata") or {})
    return {**part, "metadata": {name: value for name, value in metadata.items() if name not in left}}
