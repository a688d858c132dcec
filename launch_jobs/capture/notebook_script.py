"""From a notebook's cells to the plain Python script that runs in their place. Pure."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from launch_jobs.capture.notebook import CodeCell
from launch_jobs.capture.notebook_magics import Magic, PlainCell, plain_cell
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import JsonObject

_FUTURE = re.compile(r"^from __future__ import [\w, ]+$", re.MULTILINE)
_LISTED = 10

_FOLDER = '__import__("sys").path.insert(0, __import__("os").getcwd())  # modules beside the notebook'
_BACKEND = '__import__("os").environ.setdefault("MPLBACKEND", "agg")  # pictures without a screen'
_DISPLAY = """
def display(*objects, **_options):  # in a notebook always there; without one it prints
    print(*objects)

"""
_NO_KERNEL = """
def get_ipython():  # as IPython's own says where there is no kernel
    return None

"""
_SHELL = """
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance(user_module=__import__("sys").modules["__main__"])

def get_ipython():
    return InteractiveShell.instance()

"""
_LAUNCHED = '_launched = __import__("json").loads(__import__("os").environ.get("LAUNCH_PARAMETERS") or "{}")'


@dataclass(frozen=True, slots=True)
class Script:
    """A notebook as a script.

    Attributes:
        text: Python.
        parameters: what the cell tagged `parameters` sets; a launch may set others.
        notes: what is different from running it in Jupyter, in plain words.
    """

    text: str
    parameters: JsonObject
    notes: tuple[str, ...]


def script_of(name: str, cells: Sequence[CodeCell], *, magics: bool = False) -> Script:
    """Write the script of a notebook.

    Args:
        name: of the notebook's file.
        cells: its code.
        magics: cells with magics run under IPython.

    Raises:
        Refused: a magic needs IPython, and that is not wanted; names cell and line.
        BadInput: it awaits outside of a function, which a script cannot.
    """
    plain = [(cell, plain_cell(cell.text)) for cell in cells]
    foreign = [(cell, magic) for cell, found in plain for magic in found.magics]
    if foreign and not magics:
        raise _refusal(name, foreign)
    parameters = _parameters(cells)
    body = "\n".join(_written(cell, found, parameters) for cell, found in plain)
    future = "\n".join(dict.fromkeys(_FUTURE.findall(body)))
    body = _FUTURE.sub("pass  # from __future__: above", body)
    if _awaits(body):
        raise BadInput(
            f"the notebook {name!r} awaits outside of a function, which a script cannot",
            do="Put it into an async function, and call that with asyncio.run",
        )
    head = f"# Made by Launch Jobs from {name}: its code, cell by cell, in the order of the file."
    text = "\n".join(part for part in (head, future, *_preamble(body, shell=bool(foreign)), body) if part) + "\n"
    return Script(text, parameters, tuple(_notes(plain, shell=bool(foreign))))


def _written(cell: CodeCell, found: PlainCell, parameters: JsonObject) -> str:
    text = f"get_ipython().run_cell({cell.text!r}).raise_error()" if found.magics else found.text
    return "\n".join((f"\n# %% cell {cell.number}", text.rstrip(), *_launched(cell, parameters)))


def _launched(cell: CodeCell, parameters: JsonObject) -> Iterator[str]:
    """Behind the cell of parameters: the launched ones in their place, a float still a float."""
    if "parameters" not in cell.tags or not parameters:
        return
    yield f"\n# The parameters of the launch, in the place of these.\n{_LAUNCHED}"
    for name, value in parameters.items():
        given = f"_launched.get({name!r}, {name})"
        yield f"{name} = float({given})" if isinstance(value, float) else f"{name} = {given}"
    yield "del _launched"


def _parameters(cells: Sequence[CodeCell]) -> JsonObject:
    """Names that the cell tagged `parameters` sets to plain values (papermill's way to say it)."""
    found: JsonObject = {}
    for cell in cells:
        if "parameters" not in cell.tags:
            continue
        try:
            statements = ast.parse(plain_cell(cell.text).text).body
        except SyntaxError:
            continue
        for statement in statements:
            found |= _assigned(statement)
    return found


def _assigned(statement: ast.stmt) -> JsonObject:
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
        ):
            try:
                literal: JsonValue = ast.literal_eval(value)
                return {name: literal} if json.loads(json.dumps(literal, allow_nan=False)) == literal else {}
            except (ValueError, TypeError):
                return {}
        case _:
            return {}


def _preamble(body: str, *, shell: bool) -> Iterator[str]:
    """What a notebook finds there, and a script does not."""
    yield _FOLDER
    if "matplotlib" in body:
        yield _BACKEND
    if re.search(r"\bdisplay\(", body) and not re.search(r"(import|def|,) *display\b", body):
        yield _DISPLAY
    if shell:
        yield _SHELL
    elif "get_ipython(" in body and not re.search(r"(import|def|,) *get_ipython\b", body):
        yield _NO_KERNEL


def _awaits(body: str) -> bool:
    try:
        code = compile(body, "<notebook>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return False  # that of another Python, or wrong: the program's own interpreter says so
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _refusal(name: str, foreign: list[tuple[CodeCell, Magic]]) -> Refused:
    shown = [f"cell {cell.number}, line {magic.line}: {magic.text.strip()[:60]}" for cell, magic in foreign[:_LISTED]]
    more = f" and {len(foreign) - _LISTED} more" if len(foreign) > _LISTED else ""
    return Refused(
        f"the notebook {name!r} has magics that only IPython runs: {'; '.join(shown)}{more}",
        do="Write them in Python (what %pip installs is captured if it is installed before), or add "
        "--allow-notebook-magics to run these cells under IPython",
    )


def _notes(plain: list[tuple[CodeCell, PlainCell]], *, shell: bool) -> Iterator[str]:
    dropped = sorted({magic for _, found in plain for magic in found.dropped})
    if dropped:
        yield f"Magics that only time, show or look were left out of the notebook's script: {', '.join(dropped)}."
    if shell:
        numbers = ", ".join(str(cell.number) for cell, found in plain if found.magics)
        yield f"Cells {numbers} run under IPython, for their magics; what these change outside is not captured."
