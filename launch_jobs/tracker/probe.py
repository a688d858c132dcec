"""Lists what is installed in the interpreter that runs it, as JSON in the file named by its argument.

Standard library only, CPython 3.8 and later. Standard input: a JSON list, the `sys.path` to look at, or null for the
interpreter's own. Nothing is imported from what is found.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import sys
import sysconfig
from collections import Counter
from importlib import metadata

SUFFIXES = (".py", ".so", ".pyd")


def marker_environment() -> dict[str, str]:
    """The variables of PEP 508 environment markers."""
    version = sys.implementation.version
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": "%d.%d.%d" % (version.major, version.minor, version.micro),  # noqa: UP031
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def implementation() -> str:
    """The interpreter's kind; one without the GIL takes other wheels."""
    free = sysconfig.get_config_var("Py_GIL_DISABLED")
    return sys.implementation.name + ("+freethreaded" if free else "")


def recorded_files(distribution: metadata.Distribution) -> list[str]:
    """Paths in the distribution's RECORD, or [] where there is none (Debian, legacy installs)."""
    text = distribution.read_text("RECORD") or ""
    return [row[0] for row in csv.reader(text.splitlines()) if row]


def module_of(path: str) -> str:
    """Dotted name of the module that a file is, or "" if it is none."""
    if not path.endswith(SUFFIXES) or path.startswith(("..", "/")):
        return ""
    parts = path.split("/")
    parts[-1] = parts[-1].split(".")[0]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else ""


def linked_modules(distribution: metadata.Distribution, files: list[str]) -> set[str]:
    """Top-level modules in the folders that the distribution's own `.pth` files put on the path (editable installs)."""
    found: set[str] = set()
    for path in files:
        if not path.endswith(".pth") or "/" in path:
            continue
        for line in (distribution.read_text("../" + path) or "").splitlines():
            if os.path.isdir(line):  # noqa: PTH112
                found.update(local_modules(line))
    return found


def local_modules(folder: str) -> set[str]:
    """Modules and packages directly in a folder."""
    found: set[str] = set()
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            found.add(module_of(entry.name))
        elif os.path.exists(os.path.join(entry.path, "__init__.py")):  # noqa: PTH110, PTH118
            found.add(module_of(entry.name + "/__init__.py"))
    return found - {""}


def direct_reference(distribution: metadata.Distribution) -> object:
    """What the installer wrote of a direct reference (PEP 610), if it did."""
    return json.loads(distribution.read_text("direct_url.json") or "null")


def describe(distribution: metadata.Distribution) -> dict[str, object]:
    """One installed distribution as plain data."""
    return {
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "location": os.path.realpath(str(distribution.locate_file(""))),
        "metadata": folder_of(distribution),
        "installer": (distribution.read_text("INSTALLER") or "").strip(),
        "direct_url": direct_reference(distribution),
        "requires": distribution.requires or [],
    }


def folder_of(distribution: metadata.Distribution) -> str:
    """Name of the folder or file that says what the distribution is."""
    return os.path.basename(str(getattr(distribution, "_path", "")))  # noqa: PTH119


def readable(path: list[str], problems: list[str]) -> list[tuple[dict[str, object], set[str]]]:
    """The distributions on a path and their modules; `problems` names those that cannot be understood."""
    found: list[tuple[dict[str, object], set[str]]] = []
    for each in metadata.distributions(path=path):
        name = folder_of(each)
        try:
            described = describe(each)
            # pip renames what it removes; what a broken removal left is named so for ever.
            if described["name"] and described["version"] and not name.startswith("~"):
                found.append((described, modules_of(each)))
            else:
                problems.append(name + " is the rest of a broken installation")
        except Exception as error:  # noqa: BLE001 - whatever a broken package holds, the others count
            problems.append("%s cannot be read (%s)" % (name, type(error).__name__))  # noqa: UP031
    return found


def modules_of(distribution: metadata.Distribution) -> set[str]:
    """Dotted names of all modules that a distribution brings."""
    files = recorded_files(distribution)
    tops = set((distribution.read_text("top_level.txt") or "").split())
    return {module_of(path) for path in files} - {""} | tops | linked_modules(distribution, files)


def slim(modules: list[set[str]]) -> list[set[str]]:
    """Keep only top-level modules, except under names that several distributions share (namespace packages)."""
    tops = [{name.partition(".")[0] for name in names} for names in modules]
    owners = Counter(top for names in tops for top in names)
    shared = {top for top, count in owners.items() if count > 1}
    return [
        (own - shared) | {name for name in names if name.partition(".")[0] in shared}
        for own, names in zip(tops, modules)  # noqa: B905 - Python 3.8 knows no strict
    ]


def main() -> None:
    """Write the list."""
    path = json.load(sys.stdin) or sys.path[1:]
    problems: list[str] = []
    found = readable(path, problems)
    modules = slim([names for _, names in found])
    for (each, _), names in zip(found, modules):  # noqa: B905
        each["modules"] = sorted(names)
    answer = {
        "python": platform.python_version(),
        "implementation": implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "prefix": sys.prefix,
        "executable": sys.executable,
        "markers": marker_environment(),
        "distributions": [each for each, _ in found],
        "problems": problems,
    }
    with open(sys.argv[1], "w") as file:  # noqa: PTH123
        json.dump(answer, file)


if __name__ == "__main__":
    main()
