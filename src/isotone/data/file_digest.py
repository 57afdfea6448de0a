"""By which content a file is known: SHA-256 of its bytes and of what the user says of them.

To read a mammogram's 20 MB takes a tenth of the time of a fit. So a digest is kept on disk by the file's path, inode,
size and times. No program can set the time of change (ctime): whatever is written into a file, or put in its place with
the old date, changes it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from isotone._runtime.disk_cache import DiskCache, digest
from isotone.data.manifests.manifest import Row
from isotone.errors import RadiographError
from isotone.imaging.opening.regular_file import open_regular

SETTLED = 2.0
"""Seconds since a file's change from which on its times tell a later one: those of file systems are this coarse."""


def content_digest(row: Row) -> str:
    """The digest of a row's file and of what the manifest says of the image apart from label, patient and split.

    Raises
    ------
    RadiographError
        As `open_regular`; E_READ: the file cannot be read.
    """
    with open_regular(row.path) as file:
        try:
            found = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise RadiographError("E_READ", error.strerror or "cannot be read", file=row.path) from None
    # What else a reader goes by: the suffix, and what the manifest says of the image but for these.
    said = replace(row, path=Path(row.path.suffix.lower()), label=None, patient_id=None, split=None)
    found.update(repr(said).encode("utf-8", "surrogateescape"))
    return found.hexdigest()


class State(NamedTuple):
    """A file as it is at one time.

    Attributes
    ----------
    key : str
        The cache's key of it.
    changed : float
        Seconds since 1970.
    """

    key: str
    changed: float


def state_of(row: Row) -> State | None:
    """The state of a file now; None where its times do not tell."""
    try:
        told = os.stat(row.path)
    except (OSError, ValueError):
        return None
    if os.name != "posix":  # Windows gives the time of creation as ctime
        return None
    said = replace(row, path=Path(os.path.abspath(row.path)), label=None, patient_id=None, split=None)
    times = told.st_mtime_ns, told.st_ctime_ns
    return State(digest("file", repr(said), told.st_dev, told.st_ino, told.st_size, *times), told.st_ctime)


def known_digest(state: State | None, cache: DiskCache) -> str | None:
    """The `content_digest` that was noted of a file in this state; None: it has to be read."""
    found = None if state is None else cache.get(state.key)
    return None if found is None else found.decode()


def note_digest(state: State | None, found: str, cache: DiskCache, before: float) -> None:
    """Note a `content_digest` of a file that was in one state before a time and after it was read.

    Nothing is noted of a file that had just changed.
    """
    if state is not None and state.changed <= before - SETTLED:
        cache.put(state.key, found.encode())
