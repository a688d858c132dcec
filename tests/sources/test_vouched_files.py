"""Files that git vouches for are read after the program ran; the job has them as they were before, whatever it did."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import Repo, checked_out, tree_of

from launch_jobs.capture.source import hold_source
from launch_jobs.store.jobs import JobStore
