"""Programs that look around, or behave oddly, find everything as it is without the tracker."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracked_bench import Bench, interpreters

LOOK = """
import sys, os
modules, cached = sorted(set(sys.modules) - {"atexit"}), sorted(sys.path_importer_cache)
descriptors = {name: os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")
               if os.path.exists("/proc/self/fd/" + name) and not name.startswith("/proc")}
print(sys.argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions, len(sys.meta_path), len(sys.path_hooks))
print(cached, modules, sorted(vars(sys.modules["__main__"])), sorted(n for n in descriptors if int(n) > 2))
print(sys.excepthook is sys.__excepthook__, sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), os.getcwd())
import builtins, gc, locale, signal, site, threading
print(gc.isenabled(), gc.get_threshold(), len(gc.callbacks), threading.enumerate()[1:], sorted(vars(builtins)))
print([signal.getsignal(one) for one in sorted(signal.valid_signals())][1:2], os.umask(0), site.ENABLE_USER_SITE)
print(sys.stdin.encoding, sys.stdout.errors, sys.stdout.line_buffering, locale.getlocale(), threading.stack_size())
"""

PROGRAMS = {
    "looks around": LOOK,
    "argparse, then looks around": "import argparse\nargparse.ArgumentParser().parse_known_args()\n" + LOOK,
    "its own excepthooks": """
import sys, threading
sys.excepthook = lambda kind, error, trace: print("mine", kind.__name__, error, file=sys.stderr)
threading.excepthook = lambda args: print("thread", args.exc_type.__name__)
for target, args in ((lambda: 1 / 0, ()), (sys.exit, (3,))):
    thread = threading.Thread(target=target, args=args)
    thread.start()
    thread.join()
raise ValueError("end")
""",
    "an audit hook that refuses to write": """
import sys
def hook(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & 3 and "allowed" not in str(args[0]):
        raise PermissionError(event)
sys.addaudithook(hook)
import csv, mine
open("allowed", "w").close()
print("done")
""",
    "an audit hook that lists opened files": """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
import mine, os
open("made", "w").close()
if os.fork() == 0:
    open("made by child", "w").close()
    print(opened, flush=True)
    sys.exit()
os.wait()
print(opened)
""",
    "replaces itself": """
import os, sys
if sys.argv[1:] == ["again"]:
    sys.exit(4)
os.execv(sys.executable, [sys.executable, "program.py", "again"])
""",
    "daemon threads at the end": """
import threading
def loop():
    while True:
        open("/dev/null").close()
for _ in range(3):
    threading.Thread(target=loop, daemon=True).start()
print("end")
""",
    "closes all descriptors": "import os\nos.closerange(3, 2000)\nopen('one', 'w').close()\nimport mine\n"
    "os.closerange(0, 2000)\nopen('two', 'w').close()\n",
    "closes all descriptors under its audit hook": "import os, sys\nsys.addaudithook(lambda *_: None)\n"
    "os.closerange(3, 2000)\nfile = os.open('mine.txt', os.O_RDWR | os.O_CREAT)\nos.dup2(file, 1023)\n"
    "import mine\nopen('two', 'w').close()\nprint(os.fstat(file).st_size)\n",
    "in a deleted folder": "import os\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\n"
    "try:\n    open('x', 'w')\nexcept OSError as error:\n    print(error)\n",
    "processes of all kinds": """
import multiprocessing
def work(number):
    import mine
    return number * 2
if __name__ == "__main__":
    for kind in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(kind).Pool(2) as pool:
            print(pool.map(work, [1, 2]))
""",
    "forgets exit functions": "import atexit\natexit._clear()\nimport mine\nprint(atexit._ncallbacks())\n",
    # A shell's background processes, which CI's may be, ignore the signal.
    "interrupted": "import os, signal, threading\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "try:\n    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
    "    while True:\n        open('/dev/null').close()\nexcept KeyboardInterrupt:\n    print('caught')\n",
    "crashes": "import ctypes, faulthandler\nfaulthandler.enable(all_threads=False)\nctypes.string_at(0)\n",
    "traces itself": """
import sys
calls = []
sys.setprofile(lambda frame, event, arg: calls.append((event, frame.f_code.co_name)))
import mine
open("x", "w").close()
sys.setprofile(None)
print(calls)
""",
    "warns": "import warnings\nwarnings.warn('careful')\nopen('mine.py')\nassert False, 'asserted'\n",
    "counts its stack": "import inspect, traceback\nprint(len(inspect.stack()))\ntraceback.print_stack()\n"
    "import broken\n",
    "leaves an interpreter behind": """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
interpreters.run_string(interpreters.create(), "import csv; print('inside', flush=True)")
raise SystemExit(3)
""",
}


def prepare(bench: Bench, program: str) -> None:
    """Put a program and what it imports into the bench's folder, compiled files included."""
    bench.write("mine.py", "")
    bench.write("broken.py", "raise OSError('broken')\n")
    bench.write("program.py", PROGRAMS[program])
    for name in ("mine.py", "broken.py", "program.py"):
        bench.run("-m", "py_compile", name, tracked=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_notices_nothing(bench: Bench, program: str) -> None:
    """Exit code or signal, output and error output (tracebacks included) are the same."""
    prepare(bench, program)
    plain = bench.run("program.py", "--lr", "a b", tracked=False)

    assert bench.run("program.py", "--lr", "a b") == plain
    assert bench.seen()


@pytest.mark.parametrize("python", interpreters()[1:], ids=lambda python: Path(python).parts[-3])
def test_programs_notice_nothing_in_any_python(bench: Bench, python: str) -> None:
    """The programs that look closest find the same in each Python of this machine."""
    for program in ("looks around", "an audit hook that refuses to write", "leaves an interpreter behind"):
        prepare(bench, program)
        plain = bench.run("program.py", python=python, tracked=False)
        assert bench.run("program.py", python=python) == plain, program


@pytest.mark.parametrize(
    "options",
    [("-O",), ("-OO", "-B"), ("-X", "dev"), ("-W", "error"), ("-X", "utf8", "-u"), ("-s",), ("-bb",), ("-P",)],
)
def test_options_of_python_count_as_ever(bench: Bench, options: tuple[str, ...]) -> None:
    """With options of Python's own the program finds them, and nothing else."""
    prepare(bench, "looks around")

    assert bench.run(*options, "program.py") == bench.run(*options, "program.py", tracked=False)
    assert bench.seen()[0].complete


@pytest.mark.parametrize("before", ["", ":", ":lib", "lib:", "lib"])
def test_a_python_path_of_the_users_own_means_what_it_did(bench: Bench, before: str) -> None:
    """The rest of PYTHONPATH, with its empty entries, gives the same search path."""
    bench.write("lib/usercustomize.py", "print('custom')\n")
    plain = bench.run("-c", "import sys; print(sys.path)", tracked=False, path=before)

    tracked = bench.run("-c", "import sys; print(sys.path)", path=before)
    assert tracked == plain


def test_zipped_programs_run_as_ever(bench: Bench) -> None:
    """A zipapp and a folder with `__main__.py` are the same programs under the tracker."""
    bench.write("app/__main__.py", "import sys\nprint(sys.argv, sys.path, __spec__.name, __file__)\n1 / 0\n")
    bench.run("-m", "zipapp", "app", tracked=False)

    for program in ("app", "app.pyz"):
        assert bench.run(program, "x") == bench.run(program, "x", tracked=False)
