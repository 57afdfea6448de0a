"""Loaded by the process that starts workers (multiprocessing's forkserver), and by no other."""

from __future__ import annotations

import sys
from types import TracebackType


def _quiet(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of a worker that was being started while its caller ended: by Ctrl-C, SIGTERM or a kill.

    It finds the pipe closed, or a semaphore gone. A pool that goes on notices by itself that a worker died.
    """
    if not isinstance(error, EOFError | OSError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _quiet
