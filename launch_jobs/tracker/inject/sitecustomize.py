"""Starts the tracker in a Python process, takes every trace of itself away, then runs the user's own sitecustomize.

Any Python since 2.7 may meet this file, because PYTHONPATH reaches all child processes: keep the syntax that old.
"""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))


def _start_tracker():
    if sys.version_info < (3, 8) or "LAUNCH_TRACK_DIR" not in os.environ:
        return
    # Through the loader of this very file: compiled code is cached, and sys.modules stays as the program expects it.
    make = type(__loader__)  # noqa: F821

    def load(name):
        loader = make(name, os.path.join(_folder, name + ".py"))
        module = {"__name__": name, "load": load}
        exec(loader.get_code(name), module)
        return module

    tracker = load("_launch_tracker")
    tracker["start"]()


try:
    _start_tracker()
except Exception:  # the tracker must never fail the run, nor print
    pass

# Where PYTHONPATH was not set, a script's `PYTHONPATH=$PYTHONPATH:src` has an empty entry in place of our folder: that
# means the working directory.
_instead = []
if "LAUNCH_TRACK_PATH_UNSET" in os.environ and os.environ.get("PYTHONPATH") != _folder:
    try:
        _instead = [os.getcwd()]
    except OSError:  # it was deleted
        pass
_path = [_entry for _entry in sys.path if os.path.abspath(_entry) != _folder]
for _entry in _instead:
    if _entry not in _path:
        _before = [_each for _each in sys.path if os.path.abspath(_each) == _folder]
        _path.insert(sys.path.index(_before[0]), _entry)
sys.path[:] = _path
sys.path_importer_cache.pop(_folder, None)
sys.modules.pop("sitecustomize", None)
# The next one on the path takes this module's place; none: the ImportError is what site.py expects then.
import sitecustomize  # noqa: E402, F401
