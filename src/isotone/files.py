"""Writing without halves: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from isotone.errors import IsotoneError, UsageError

TEMPORARY = ".isotone-"
"""Prefix of temporary files; what a killed run leaves behind is recognised by it."""
MARKER = f"{TEMPORARY}run"
"""File that says what is being run in a folder, while it is."""


@contextmanager
def replace_file(target: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; on leaving, it takes the place of `target`, whole or not at all.

    Raises
    ------
    IsotoneError
        E_WRITE: the disk is full, or the folder cannot be written to; nothing is left behind.
    """
    target = Path(target)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
        temporary = None
    except OSError as error:
        raise IsotoneError("E_WRITE", f"cannot write: {error.strerror or type(error).__name__}", file=target) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def write_text(target: str | Path, text: str) -> None:
    """Write a small text file, whole or not at all."""
    with replace_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def claim_folder(folder: str | Path, *, force: bool = False) -> Path:
    """Make an output folder where it is missing.

    Raises
    ------
    UsageError
        It is a file, or it has content and `force` is not given.
    IsotoneError
        E_WRITE: it cannot be made.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError("the output is a file, not a folder", file=folder, next_step="Name another -o.")
    try:
        if folder.is_dir() and not force and any(folder.iterdir()):
            raise UsageError(
                "the output folder is not empty", file=folder, next_step="Name another -o, or give --force."
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IsotoneError("E_WRITE", f"cannot use the folder: {error.strerror}", file=folder) from error
    return folder


@contextmanager
def run_folder(folder: str | Path, run: Mapping[str, object], *, force: bool = False) -> Iterator[Path]:
    """The output folder of one run: made at its start, gone again if it fails with nothing in it.

    While the run lasts the folder holds a marker of what is being run. An interrupted run leaves it there, so that
    the same run, and no other, may go on in the folder.

    Parameters
    ----------
    folder : path
    run : mapping
        Command, inputs and settings; compared by their JSON.
    force : bool
        Use the folder whatever is in it.

    Raises
    ------
    UsageError
        The folder is a file, or holds something else than an interrupted run of the same kind.
    """
    folder = Path(folder)
    marker = folder / MARKER
    text = json.dumps(run, sort_keys=True, default=str)
    claim_folder(folder, force=force or _same_run(marker, text))
    write_text(marker, text)
    try:
        yield folder
        marker.unlink(missing_ok=True)
    except BaseException:
        if [*folder.iterdir()] == [marker]:
            marker.unlink()
            with suppress(OSError):
                folder.rmdir()
        raise


def _same_run(marker: Path, text: str) -> bool:
    try:
        return marker.read_text(encoding="utf-8") == text
    except OSError:
        return False
