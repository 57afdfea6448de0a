"""isotone in processes of its own, for tests that stop it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

COMMAND = [sys.executable, "-c", "from isotone.cli import main; main()"]


def start(command: Iterable[object], **options: object) -> subprocess.Popen[str]:
    """Start a command in a session of its own.

    Ctrl-C reaches it even where the tests run in the background of a script, which has SIGINT ignored.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [str(part) for part in command], start_new_session=True, preexec_fn=_default_signals, **{**pipes, **options}
    )


def wait_for_workers(process: subprocess.Popen[str]) -> None:
    """Until a process that it started has started one itself: a worker, which has not begun to read yet."""
    while process.poll() is None:
        parents = _parents()
        if any(parents.get(parent) == process.pid for parent in parents.values()):
            return
        time.sleep(0.01)


def _parents() -> dict[int, int]:
    """The parent of every process; Linux alone tells."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return found


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def left_by_runs(folder: Path) -> list[str]:
    """Files that a run keeps only while it lasts."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".isotone-*"))


def environment(**extra: str) -> dict[str, str]:
    """That of the tests, with more in it."""
    return {**os.environ, **extra}
