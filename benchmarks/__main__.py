"""`make bench`: run every benchmark, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run each package beside this file; the first failure's exit code, else 0."""
    names = sorted(path.parent.name for path in Path(__file__).parent.glob("*/__main__.py"))
    codes = [subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode for name in names]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
