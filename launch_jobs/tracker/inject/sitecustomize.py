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
    loader = type(__loader__)("_launch_tracker", os.path.join(_folder, "_launch_tracker.py"))  # noqa: F821
    tracker = {"__name__": "_launch_tracker"}
    exec(loader.get_code("_launch_tracker"), tracker)
    tracker["start"]()


try:
    _start_tracker()
except Exception:  # the tracker must never fail the run, nor print
    pass

sys.path[:] = [_entry for _entry in sys.path if os.path.abspath(_entry) != _folder]
sys.path_importer_cache.pop(_folder, None)
sys.modules.pop("sitecustomize", None)
# The next one on the path takes this module's place; none: the ImportError is what site.py expects then.
import sitecustomize  # noqa: E402, F401
