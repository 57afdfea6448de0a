"""Writing without halves: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from isotone._runtime.lock import LOCK, locked
from isotone.errors import IsotoneError, UsageError

TEMPORARY = ".isotone-"
"""Prefix of what a run keeps in its folder while it lasts; no output is called so (`isotone.deployment.plan`)."""
PART = f"{TEMPORARY}part-"
"""Prefix of files that are being written."""
_PART = re.compile(rf"{re.escape(PART)}[a-z0-9_]{{8}}(\.[^.]*)?")
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
        handle, name = tempfile.mkstemp(prefix=PART, suffix=target.suffix, dir=target.parent)
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


def sweep(folder: Path) -> None:
    """Take away, in depth, the files that a killed run was writing: by the whole shape of their names, links never."""
    for above, _, names in os.walk(folder):
        for name in filter(_PART.fullmatch, names):
            with suppress(OSError):
                os.unlink(os.path.join(above, name))


def content(folder: Path) -> set[str]:
    """Names of what is in a folder, apart from what the present run keeps there."""
    return {name for name in os.listdir(folder) if name != LOCK and not _PART.fullmatch(name)}


@contextmanager
def hold_folder(folder: str | Path) -> Iterator[Path]:
    """An output folder for one run alone: made where it is missing, gone again if it is left empty.

    What a killed run was writing is swept at the start and at the end.

    Raises
    ------
    UsageError
        It is a file, or another run is writing into it.
    IsotoneError
        E_WRITE: it cannot be made or written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError("the output is a file, not a folder", file=folder, next_step="Name another output=.")
    fresh = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IsotoneError("E_WRITE", f"cannot write: {error.strerror}", file=folder) from error
    try:
        with locked(folder):
            sweep(folder)
            try:
                yield folder
            finally:
                sweep(folder)
    finally:
        if fresh:
            with suppress(OSError):  # there is something in it
                folder.rmdir()


def not_empty(folder: Path) -> UsageError:
    """The refusal of an output folder that holds something."""
    return UsageError(
        "the output folder is not empty", file=folder, next_step="Name another output=, or give force=True."
    )


@contextmanager
def claim_folder(folder: str | Path, *, force: bool = False) -> Iterator[Path]:
    """`hold_folder`, of a folder that is empty.

    Raises
    ------
    UsageError
        It has content and `force` is not given; or as `hold_folder`.
    IsotoneError
        E_WRITE.
    """
    with hold_folder(folder) as held:
        if not force and content(held):
            raise not_empty(held)
        yield held


@contextmanager
def run_folder(folder: str | Path, run: Mapping[str, object], *, force: bool = False) -> Iterator[Path]:
    """The output folder of one run, and of no other meanwhile: gone again if it fails with nothing in it.

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
        The folder is a file, another run is writing into it, or it holds something else than an interrupted run of
        the same kind.
    """
    marker = Path(folder) / MARKER
    text = json.dumps(run, sort_keys=True, default=str)
    with claim_folder(folder, force=force or _same_run(marker, text)) as held:
        write_text(marker, text)
        try:
            yield held
            marker.unlink(missing_ok=True)
        except BaseException:
            if content(held) == {MARKER}:
                marker.unlink()
            raise


def _same_run(marker: Path, text: str) -> bool:
    try:
        return marker.read_text(encoding="utf-8") == text
    except OSError:
        return False
