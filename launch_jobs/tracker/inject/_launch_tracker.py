"""Watches one Python process and journals what it sees. Standard library only, CPython 3.8 and later.

The journal is `<LAUNCH_TRACK_DIR>/<pid>-<start>.log`, one fact a line, each line a Python literal: `(kind, value, ...)`.
Every new fact is appended at once with its own open, write and close. So nothing is lost to `os._exit` or SIGKILL, and
no descriptor is held that the program could see, close, or reuse. (Only a program with an audit hook of its own would
see each of these opens, and could refuse it: from then on the journal stays open.) `ascii()` needs no import, where
json brings `re`.

It must not change the program: nothing is printed, no frame of ours is ever on the stack while the program's code
runs, and every fault of ours is dropped (but never an exception that a signal handler of the program raised meanwhile).
"""

import atexit
import os
import sys
import time

MOST_READ = 10000  # files read that are journalled, per process
MOST_WRITTEN = 100000
MOST_FOLDERS = 10000  # remembered as worth a word or not
SYSTEM = (
    "/usr/",
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/etc/",
    "/proc/",
    "/sys/",
    "/dev/",
    "/run/",
    "/var/lib/",
    "/snap/",
    "/nix/",
    "/bin/",
    "/sbin/",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STDLIB = frozenset(getattr(sys, "stdlib_module_names", ())) | frozenset(sys.builtin_module_names)
OURS = frozenset(
    function.__code__.co_filename for function in (lambda: None, os.path.join, os.path.realpath, os.fsdecode)
)
OTHER_PARSERS = ("click", "typer._click", "hydra", "absl.flags", "fire")
# Bound now: the program may replace them (pyfakefs does).
_open, _write, _close, _getcwd, _getpid = os.open, os.write, os.close, os.getcwd, os.getpid
_dup2, _fstat = os.dup2, os.fstat


def foreign(trace):
    """Whether an exception that passed through us was raised by code of the program, such as a signal handler."""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename not in OURS:
            return True
        trace = trace.tb_next
    return False


def plain(value):
    """The value as plain data, or ValueError. Exact types: an enum member is an int to isinstance."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float and value - value == 0:  # neither infinite nor NaN
        return value
    if kind in (list, tuple):
        return [plain(item) for item in value]
    if hasattr(kind, "__fspath__"):
        return plain(os.fspath(value))
    raise ValueError(kind.__name__)


class Tracker:
    def __init__(self, directory, root):
        self.directory = directory
        self.root = root.rstrip(os.sep) + os.sep
        own = (sys.prefix, sys.base_prefix, sys.exec_prefix, os.environ.get("HOME", "") + "/.cache", directory)
        self.others_files = SYSTEM + tuple(one + os.sep for one in own if one not in ("", os.sep, "/.cache"))
        self.pid = _getpid()
        self.held = None  # descriptor of the journal, device and inode; only beside audit hooks of the program
        self.others = None  # what watches parsers other than argparse, once one is imported
        self.objects = None  # what watches botocore, once it is imported
        self.names = set()
        self.seen = set()
        self.known = set()  # paths that it wrote, as it names them, in the present working directory
        self.passed = set()  # paths that it read
        self.folders = {}
        self.forget()
        self.handlers = {
            "open": self.opened,
            "import": self.imported,
            "os.chdir": self.entered,
            "os.rename": self.moved,
            "os.link": self.moved,
            "os.symlink": self.moved,
            "sqlite3.connect": self.connected,
            "sys.addaudithook": self.watched,
        }

    def forget(self):
        """Begin as a new process (at the start, and in the child of a fork, which writes a file only for a new fact)."""
        if self.held is None:
            self.file = os.path.join(self.directory, "%d-%d.log" % (_getpid(), time.time_ns()))
            self.begun = False
        for memory in (self.names, self.seen, self.known, self.passed, self.folders):
            memory.clear()  # not made anew: the hook has some of them
        self.written = 0
        self.read = 0

    def append(self, *fact):
        text = ""
        if not self.begun:
            self.begun = True
            text = ascii(("start", self.identity())) + "\n"
        data = (text + ascii(fact) + "\n").encode("utf-8")  # "ascii" is a module to load in development mode
        if self.held is not None:
            descriptor, place = self.held
            if place_of(descriptor) == place:  # else the program closed it, and the number may be a file of its own now
                _write(descriptor, data)
            return
        descriptor = self.open()
        try:
            _write(descriptor, data)
        finally:
            _close(descriptor)

    def open(self):
        return _open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)

    def watched(self):
        """The program is about to add an audit hook: open the journal for good, where no program looks."""
        if self.held is None:
            self.append("libraries", libraries())
            descriptor = self.open()
            try:
                number = 1023
                while place_of(number) is not None:
                    number -= 1
                self.held = _dup2(descriptor, number, False), place_of(descriptor)
            finally:
                _close(descriptor)

    def identity(self):
        return {
            "pid": _getpid(),
            "parent": os.getppid(),
            "python": "%d.%d.%d" % sys.version_info[:3],
            "implementation": sys.implementation.name,
            "executable": sys.executable or "",
            "prefix": sys.prefix,
            "system": sys.platform,
            "machine": os.uname().machine if hasattr(os, "uname") else "",
            "argv": [str(item) for item in getattr(sys, "argv", [])],
            "nested": nested(),
        }

    # --- audit events -------------------------------------------------------------------------------------------------

    def hook(self):
        """What Python calls at every event of the program, nearly all of which do not concern us.

        A function, for Python looks each time whether the hook has a `__cantrace__`, and that takes four times as long
        as all else for a bound method, which has none either but says so by an exception.
        """
        handlers, known, passed, writing = self.handlers, self.known, self.passed, WRITING

        def audit(event, args):
            if event in handlers:
                try:
                    # The same files are opened again and again; so this comes before anything that costs.
                    if event == "open" and type(args[0]) is str and args[0] in (known if args[2] & writing else passed):
                        return
                    handlers[event](*args)
                except Exception:
                    if foreign(sys.exc_info()[2]):
                        raise

        return audit

    def imported(self, name, *_):
        if name in self.names:
            return
        self.names.add(name)
        if name == "argparse":
            # The program is about to import it, and finds it loaded. Afterwards would be too late: there is no event.
            import argparse

            self.watch_parsers(argparse)
        if self.others is not None or name in OTHER_PARSERS:
            self.watch_others(name)
        if name == "botocore.handlers" and self.objects is None:
            self.objects = globals()["load"]("_launch_objects")["Objects"](self, globals())
        elif self.objects is not None and self.objects.waiting:
            self.objects.imported()
        # The distribution is what counts, so nothing deep in a package (a large one has a thousand modules; two levels,
        # for those that others add to). In a namespace package each name may be another distribution's.
        top = name.partition(".")[0]
        deep = name.count(".") > 1 and plain_package(top) and plain_package(name.rpartition(".")[0])
        if top not in STDLIB and not deep:
            self.append("import", name)

    def opened(self, path, _mode, flags):
        if type(path) not in (str, bytes) or path == self.file:
            return
        if flags & WRITING:
            self.wrote(path)
            known = self.known
        else:
            if self.read < MOST_READ:
                self.loaded(path)
            known = self.passed
        if len(known) < MOST_WRITTEN:
            known.add(path)

    def entered(self, _folder):
        self.known.clear()
        self.passed.clear()

    def moved(self, _source, target, *_):
        self.wrote(target)

    def connected(self, database):
        self.wrote(database)

    def wrote(self, path):
        folder, name = os.path.split(self.absolute(path))
        inside = self.folders.get(folder)
        if inside is None:
            if len(self.folders) >= MOST_FOLDERS:
                self.folders.clear()
            inside = os.path.realpath(folder) + os.sep
            inside = self.folders[folder] = inside if self.counts(inside) else ""
        if inside and ("write", inside + name) not in self.seen and self.written < MOST_WRITTEN:
            self.seen.add(("write", inside + name))
            self.written += 1
            self.append("write", inside + name)

    def loaded(self, path):
        # Most files that a program reads are the interpreter's and its packages'; and the same ones, again and again.
        path = os.fsdecode(path)
        if path in self.seen or (path[:1] == os.sep and not self.counts(path)):
            return
        self.seen.add(path)
        path = os.path.normpath(self.absolute(path))
        if self.counts(path) and not path.endswith((".py", ".pyc")):
            self.read += 1
            self.append("read", path)

    def counts(self, path):
        """Whether a file may be the program's data, or an output: in the source, or nobody else's."""
        return path.startswith(self.root) or not path.startswith(self.others_files)

    def absolute(self, path):
        path = os.fsdecode(path)
        return path if os.path.isabs(path) else os.path.join(_getcwd(), path)

    # --- argparse -----------------------------------------------------------------------------------------------------

    def watch_parsers(self, argparse):
        if "_parse_known_args" in argparse.ArgumentParser.__dict__:
            ParserHook(self, argparse)

    def watch_others(self, name):
        """Load what watches other parsers once a program imports one; `sitecustomize` gives us the loader."""
        if self.others is None:
            self.others = globals()["load"]("_launch_parsers")["Others"](self, globals())
        self.others.imported(name)

    def parsed(self, parser, frame):
        """Journal a parser that is about to parse the command's own arguments; whether it was one."""
        if self.others is not None and self.others.claims(frame):
            return False
        args = frame.f_locals["args"]
        if args != sys.argv[1:] or not (args or from_command(frame)):
            return False
        self.append("parser", describe(parser, args))
        return True

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self):
        self.handlers.clear()
        looks = [("modules", modules), ("path", search_path), ("open", self.still_open)]
        if self.held is None:
            looks.append(("libraries", libraries))
        elif self.pid != _getpid():
            return  # a fork that shares the journal of the program
        for kind, look in looks:
            try:
                self.append(kind, look())
            except Exception:
                if foreign(sys.exc_info()[2]):
                    raise
        self.append("end")

    def still_open(self):
        """Files that are open for reading in the end: also those that a library in C opened, unseen."""
        paths = []
        for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
            try:
                # Not those that are only written, as a log that the shell opened: the link's mode is the descriptor's.
                if os.lstat("/proc/self/fd/" + number).st_mode & 0o400:
                    paths.append(os.readlink("/proc/self/fd/" + number))
            except OSError:
                continue  # the listing's own
        return [path for path in paths if path[:1] == os.sep and self.counts(path)][:MOST_READ]


class ParserHook:
    """Stands in for `ArgumentParser._parse_known_args`; tells the tracker of the look-up, and gives the method itself.

    A wrapper around the method would be a frame in every traceback that a `type=` function of the program causes.
    """

    def __init__(self, tracker, argparse):
        self.tracker = tracker
        self.parser_class = argparse.ArgumentParser
        self.original = self.parser_class.__dict__["_parse_known_args"]
        self.parser_class._parse_known_args = self

    def __get__(self, parser, owner=None):
        if parser is not None:
            try:
                if self.tracker.parsed(parser, sys._getframe(1)):
                    self.parser_class._parse_known_args = self.original
            except Exception:
                if foreign(sys.exc_info()[2]):
                    raise
        return self.original.__get__(parser, owner)


def from_command(frame):
    """Whether an empty argument list is the command's: `parse_args()`, or an argument made from `sys.argv`."""
    library = frame.f_code.co_filename
    while frame.f_back is not None and frame.f_code.co_filename == library:
        # The first one has overwritten its argument; the others still have what they were called with.
        if frame.f_code.co_name in ("parse_args", "parse_known_args") and frame.f_locals.get("args", ()) is None:
            return True
        frame = frame.f_back
    code, at = frame.f_code.co_code, frame.f_lasti
    while at > 0 and code[at] == 0:  # since 3.11 a call instruction has inline cache entries behind it
        at -= 2
    if code[at + 1] == 0:  # the call's number of arguments
        return True
    while frame is not None:
        if "argv" in frame.f_code.co_names:
            return True
        frame = frame.f_back
    return False


def describe(parser, args):
    return {
        "args": [str(item) for item in args],
        "prog": str(parser.prog),
        "prefix_chars": parser.prefix_chars,
        "fromfile": parser.fromfile_prefix_chars is not None,
        "abbreviations": bool(getattr(parser, "allow_abbrev", True)),
        "actions": [describe_action(action, sys.argv) for action in parser._actions],
    }


def describe_action(action, args):
    kind = type(action)
    described = {
        "kind": kind.__name__ if kind.__module__ == "argparse" else kind.__module__ + "." + kind.__qualname__,
        "dest": str(action.dest),
        "flags": [str(flag) for flag in action.option_strings],
        "nargs": action.nargs,
        "type": type_name(action.type),
        "required": bool(action.required),
        "help": action.help if isinstance(action.help, str) else None,
        "restricted": action.choices is not None,
    }
    for name, value in (("const", action.const), ("default", action.default), ("choices", choices(action.choices))):
        try:
            described[name] = plain(value)
        except ValueError:
            pass  # left out: not plain data
    if described["kind"] == "_SubParsersAction":
        # Only those that the arguments may name: a large program has hundreds.
        named = [(name, action.choices[name]) for name in action.choices if name in args]
        described["parsers"] = {str(name): describe(parser, []) for name, parser in named}
    return described


def type_name(kind):
    if kind is None or kind in (int, float, str, bool):
        return None if kind is None else kind.__name__
    return "other"


def choices(value):
    if type(value) in (set, frozenset):
        return sorted(value, key=str)  # the order of a set changes from run to run
    if isinstance(value, (list, tuple, range, dict)) or type(value).__name__ == "dict_keys":
        return list(value) if len(value) <= 1000 else None
    return value


# --- what is looked at once, at the end ----------------------------------------------------------------------------------


def modules():
    """Files of all modules but the standard library's. Never through getattr: lazy modules would load."""
    module_type, found = type(sys), {}
    for name, module in list(sys.modules.items()):
        if type(name) is not str or name.partition(".")[0] in STDLIB or not issubclass(type(module), module_type):
            continue
        file = object.__getattribute__(module, "__dict__").get("__file__")
        found[name] = os.path.abspath(file) if type(file) is str else None
    return found


def search_path():
    return [os.path.abspath(entry) for entry in sys.path if type(entry) is str]


def libraries():
    """Shared objects mapped into the process (Linux)."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            lines = maps.read().splitlines()
    except OSError:
        return []
    paths = {line.split(None, 5)[5] for line in lines if b".so" in line}
    return sorted(os.fsdecode(path) for path in paths if path.startswith(b"/"))


def plain_package(name):
    """Whether a package is loaded that has an `__init__.py`, and one folder."""
    package = sys.modules.get(name)
    if not issubclass(type(package), type(sys)):
        return False
    inside = object.__getattribute__(package, "__dict__")
    path = inside.get("__path__")
    return type(inside.get("__file__")) is str and type(path) is list and len(path) == 1


def place_of(descriptor):
    """Device and inode of an open descriptor; None if there is none of that number."""
    try:
        found = _fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def nested():
    """Whether this is a sub-interpreter."""
    if "_signal" in sys.modules:
        return False
    import _signal  # Python's own start has loaded it into the main interpreter

    del sys.modules["_signal"]
    try:
        _signal.signal(0, 0)  # refused always, and says why
    except ValueError as error:
        return "main" in str(error)
    return False


def start():
    if not hasattr(sys, "addaudithook"):
        return
    tracker = Tracker(os.environ["LAUNCH_TRACK_DIR"], os.environ.get("LAUNCH_TRACK_ROOT", ""))
    tracker.append("begin")
    if "launch_jobs" in sys.modules:  # `launch_jobs.track` starts us late: what is loaded by now counts as well
        tracker.append("modules", modules())
    if "argparse" in sys.modules:
        tracker.watch_parsers(sys.modules["argparse"])
    if not nested():  # what a sub-interpreter registers may run when Python is gone, and ends the process at once
        atexit.register(tracker.finish)  # registered first: it runs last
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=tracker.forget)
    sys.addaudithook(tracker.hook())
