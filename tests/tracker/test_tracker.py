"""The tracker in real Python processes: it sees, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracked_bench import Bench, interpreters

from launch_jobs.capture.parser import SeenParser

STATE = """
import sys, os
print(sys.argv, sys.path, sys.flags, sys.meta_path, sys.path_hooks, sorted(sys.path_importer_cache), __name__)
print(sorted(vars(sys.modules["__main__"])), sorted(set(sys.modules) - {"atexit"}), os.dup(0), sys.stdin.read())
"""

PROGRAMS = {
    "state": STATE.replace("sys.meta_path, sys.path_hooks", "len(sys.meta_path), len(sys.path_hooks)"),
    "argparse state": "import argparse\nargparse.ArgumentParser().parse_args([])\n"
    + STATE.replace("sys.meta_path, sys.path_hooks", "len(sys.meta_path), len(sys.path_hooks)"),
    "type that raises": "import argparse\np = argparse.ArgumentParser()\np.add_argument('x', type=lambda t: {}[t])\n"
    "p.parse_args()\n",
    "wrong argument": "import argparse\np = argparse.ArgumentParser()\np.add_argument('x', type=int)\np.parse_args()\n",
    "exception": "import json\njson.loads('{')\n",
    "missing module": "import nowhere_to_be_found\n",
    "broken module": "import broken\n",
    "exit text": "import sys\nsys.exit('bye')\n",
    "os._exit": "import os\nos._exit(7)\n",
    "signal": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "interrupt": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n",
    "atexit order": "import atexit\natexit.register(print, 'one')\natexit.register(print, 'two')\n",
    "no file": "open('nothing/there', 'w')\n",
    "fork": "import os\npid = os.fork()\nprint('parent' if pid and os.waitpid(pid, 0) else 'child', flush=True)\n",
    "threads": "import threading\nt = threading.Thread(target=lambda: __import__('csv'))\nt.start()\nt.join()\n"
    "print('ok')\n",
    "recursion": "def f():\n    open('/dev/null').close()\n    f()\n"
    "try:\n    f()\nexcept RecursionError:\n    print('deep')\n",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_behaves_as_without_the_tracker(bench: Bench, program: str) -> None:
    """Exit code, output and error output are the same, byte for byte."""
    bench.write("broken.py", "1 +\n")
    bench.write("program.py", PROGRAMS[program])

    assert bench.run("program.py", "word") == bench.run("program.py", "word", tracked=False)


@pytest.mark.parametrize("python", interpreters(), ids=lambda python: Path(python).parts[-3])
def test_every_supported_python_is_watched_unchanged(bench: Bench, python: str) -> None:
    """Each CPython from 3.8 behaves as without the tracker, and is seen to its end with its parser."""
    code = PROGRAMS["argparse state"].replace("parse_args([])", "parse_known_args()")
    bench.write("program.py", code)

    assert bench.run("program.py", python=python) == bench.run("program.py", python=python, tracked=False)
    (seen,) = bench.seen()
    assert seen.complete
    assert seen.parser is not None
    assert Path(seen.executable).samefile(python)


def test_imports_and_files_are_seen(bench: Bench) -> None:
    """Loaded modules with their files, and files written and read inside the source root, are journalled."""
    bench.write("helper.py", "")
    bench.write("data.txt", "x")
    bench.write(
        "program.py", "import helper, os\nopen('data.txt').close()\nopen('a', 'w').close()\nos.replace('a', 'b')\n"
    )
    bench.run("program.py")

    (seen,) = bench.seen()
    assert seen.modules["helper"] == str(bench.root / "helper.py")
    assert seen.written == (str(bench.root / "a"), str(bench.root / "b"))
    assert seen.read == (str(bench.root / "data.txt"),)
    assert any("libc" in path for path in seen.libraries)


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_hard_end_loses_nothing_seen_before(bench: Bench, end: str) -> None:
    """After os._exit or SIGKILL the journal still has every import and written file."""
    bench.write("helper.py", "")
    bench.write("program.py", f"import helper, os\nopen('out', 'w').close()\n{end}\n")
    bench.run("program.py")

    (seen,) = bench.seen()
    assert not seen.complete
    assert "helper" in seen.loaded
    assert seen.written == (str(bench.root / "out"),)


def test_a_killed_run_has_names_that_may_be_another_distributions(bench: Bench) -> None:
    """The third level is seen below a namespace package, also one inside an ordinary package; else two levels are."""
    for name in ("space/part/one.py", "plain/__init__.py", "plain/plugins/two.py", "plain/sub/__init__.py"):
        bench.write(name, "")
    bench.write("plain/sub/deep.py", "")
    bench.write(
        "program.py",
        "import os, space.part, plain.plugins, plain.sub\nfrom space.part import one\n"
        "from plain.plugins import two\nfrom plain.sub import deep\nos._exit(0)\n",
    )
    bench.run("program.py")

    (seen,) = bench.seen()
    assert {"space.part.one", "plain.plugins.two", "plain.sub"} <= set(seen.loaded)
    assert "plain.sub.deep" not in seen.loaded


def test_a_name_written_again_in_another_folder_is_another_file(bench: Bench) -> None:
    """A relative path is remembered for the working directory it was used in."""
    bench.write("sub/there.txt", "")
    bench.write(
        "program.py", "import os\nfor folder in ('.', 'sub'):\n    os.chdir(folder)\n    open('out', 'w').close()\n"
    )
    bench.run("program.py")

    (seen,) = bench.seen()
    assert seen.written == (str(bench.root / "out"), str(bench.root / "sub" / "out"))


def test_child_processes_are_watched(bench: Bench) -> None:
    """A Python started by the program, and the child of a fork, have journals of their own."""
    bench.write("child.py", "open('from child', 'w').close()\n")
    bench.write(
        "program.py",
        "import os, subprocess, sys\nsubprocess.run([sys.executable, 'child.py'])\n"
        "if os.fork() == 0:\n    open('from fork', 'w').close()\n    os._exit(0)\nos.wait()\n",
    )
    bench.run("program.py")

    written = {path for seen in bench.seen() for path in seen.written}
    assert written == {str(bench.root / "from child"), str(bench.root / "from fork")}
    assert len({seen.pid for seen in bench.seen()}) == 3


def test_child_of_a_fork_has_a_memory_of_its_own(bench: Bench) -> None:
    """What a program wrote before it forked is news when its child writes it."""
    bench.write(
        "program.py",
        "import os\nopen('both', 'w').close()\n"
        "if os.fork() == 0:\n    open('both', 'w').close()\n    os._exit(0)\nos.wait()\n",
    )
    bench.run("program.py")

    assert [seen.written for seen in bench.seen()] == [(str(bench.root / "both"),)] * 2


def test_isolated_python_runs_unseen(bench: Bench) -> None:
    """With -I the program runs, and nothing is journalled."""
    assert bench.run("-I", "-c", "print('here')") == (0, b"here\n", b"")
    assert bench.seen() == []


@pytest.mark.parametrize("code", ["print('mine')\n", "raise RuntimeError('mine')\n", "import nowhere\n"])
def test_the_users_sitecustomize_still_runs(bench: Bench, code: str) -> None:
    """The next sitecustomize on the path runs, is the one in sys.modules, and fails as it would."""
    bench.write("site/sitecustomize.py", code)
    bench.write("program.py", "import sys\nprint(sys.path, sys.modules.get('sitecustomize'))\n")
    path = str(bench.root / "site")

    assert bench.run("program.py", path=path) == bench.run("program.py", path=path, tracked=False)
    assert bench.seen()[0].complete


def test_exceptions_of_signal_handlers_pass_through(bench: Bench) -> None:
    """What a signal handler raises while the tracker looks at an event reaches the program."""
    bench.write(
        "program.py",
        "import signal\n"
        "raised = caught = 0\n"
        "class Tick(Exception): pass\n"
        "def tick(*_):\n    global raised\n    raised += 1\n    raise Tick\n"
        "signal.signal(signal.SIGALRM, tick)\n"
        "while raised < 300:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.0002)\n"
        "        while True:\n            open('made', 'w').close(); open('seen').close()\n"
        "    except Tick:\n        caught += 1\n"
        "    except FileNotFoundError:\n        open('seen', 'w').close()\n"
        "print(raised == caught)\n",
    )
    bench.write("seen", "")

    assert bench.run("program.py") == (0, b"True\n", b"")


@pytest.mark.parametrize(
    ("call", "words", "is_the_commands"),
    [
        ("p.parse_args()", [], True),
        ("p.parse_known_args()", [], True),
        ("p.parse_args(sys.argv[1:])", [], True),
        ("p.parse_args([])", [], False),
        ("p.parse_args(['--lr', '1'])", ["--lr", "2"], False),
        ("p.parse_args(sys.argv[1:])", ["--lr", "2"], True),
        ("p.parse_args(args=None)", ["--lr", "2"], True),
    ],
)
def test_only_the_commands_own_parser_is_described(
    bench: Bench, call: str, words: list[str], is_the_commands: bool
) -> None:
    """A parser of other arguments than the command's says nothing of the job's parameters, in any Python."""
    imports = "import argparse, sys\n" if "sys." in call else "import argparse\n"
    code = f"{imports}p = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.1)\n{call}\n"
    bench.write("program.py", code)
    for python in interpreters():
        bench.run("program.py", *words, python=python)

    parsers = [seen.parser for seen in bench.seen()]
    assert [parser is not None for parser in parsers] == [is_the_commands] * len(interpreters())
    for parser in (one for one in parsers if isinstance(one, SeenParser)):
        action = parser.actions[-1]
        assert (parser.args, action.dest, action.type, action.default) == (tuple(words), "lr", "float", 0.1)


def test_old_pythons_are_left_alone(bench: Bench) -> None:
    """A Python older than 3.8, which a child process may be, runs as without the tracker."""
    old = [
        *Path.home().glob(".pyenv/versions/2.*/bin/python"),
        *Path.home().glob(".pyenv/versions/3.[67].*/bin/python"),
    ]
    for python in map(str, old):
        plain = bench.run("-c", "import sys; print(sys.path)", python=python, tracked=False)
        assert bench.run("-c", "import sys; print(sys.path)", python=python) == plain
    assert bench.seen() == []
