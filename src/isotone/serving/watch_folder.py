"""A folder whose files are taken in as if they had been sent, and are then taken away."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.opening.first_bytes import PREAMBLE, PREFIX
from isotone.imaging.opening.regular_file import open_regular
from isotone.serving.intake import Incoming, Intake
from isotone.serving.node_settings import Folder, Limits
from isotone.serving.spool import Spool

REFUSED = "refused"
"""Folder within it for what is not taken: files that are no DICOM objects, or too large."""
EVERY = 1.0
"""Seconds between two looks."""


class WatchFolder:
    """Takes what lies in a folder and has settled; `run` is its thread.

    Names that begin with a dot, links, and what is no regular file stay where they are.
    """

    def __init__(
        self, folder: Folder, intake: Intake, limits: Limits, spool: Spool, complain: Callable[[str], None]
    ) -> None:
        self._folder, self._intake, self._limits, self._spool = folder, intake, limits, spool
        self._complain = complain
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}

    def run(self, stop: threading.Event) -> None:
        """Until it is told to stop."""
        failures = 0
        while not stop.is_set():
            try:
                for path in self._settled():
                    self._take(path)
                failures = 0
            except (IsotoneError, OSError) as error:
                failures += 1
                why = str(error) if isinstance(error, IsotoneError) else error.strerror
                self._complain(f"folder {self._folder.path}: {why}")
            stop.wait(EVERY * min(2**failures, 60))

    def _settled(self) -> Iterator[Path]:
        """The files that have not changed for a while, in depth; by this process's own clock, which nobody sets."""
        before, self._seen = self._seen, {}
        now = time.monotonic()
        for path, state in self._states():
            known, since = before.get(path, (state, now))
            since = since if known == state else now
            self._seen[path] = state, since
            if now - since >= self._folder.settled_seconds:
                yield path

    def _states(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Each file with its length and time of change."""
        os.scandir(self._folder.path).close()  # which says so where there is no such folder; a walk says nothing
        for above, folders, names in os.walk(self._folder.path):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != REFUSED)
            for name in sorted(names):
                path = Path(above, name)
                status = path.lstat()
                if not name.startswith(".") and stat.S_ISREG(status.st_mode):
                    yield path, (status.st_size, status.st_mtime_ns)

    def _take(self, path: Path) -> None:
        """Take a file in, and away when it is safe."""
        try:
            incoming = self._read(path)
            if self._spool.free() < self._limits.free_bytes + len(incoming.body):
                raise IsotoneError("E_WRITE", "the spool's disk is full", file=self._spool.root)
            self._intake.take(incoming)
        except RadiographError as error:
            refused = self._folder.path / REFUSED
            refused.mkdir(exist_ok=True)
            place = refused / path.name
            if os.path.lexists(place):  # of another folder, as a rule: neither is lost
                place = place.with_stem(f"{path.stem}-{os.urandom(4).hex()}")
            os.replace(path, place)
            self._complain(f"{path}: moved to {REFUSED}: {error.what} [{error.code}]")
            return
        path.unlink()
        with suppress(OSError):
            path.parent.rmdir() if path.parent != self._folder.path else None

    def _read(self, path: Path) -> Incoming:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > self._limits.object_bytes:
                raise RadiographError("E_BOMB", "the file is larger than an object may be")
            data = file.read()
        try:
            meta = read_file_meta_info(path)
            length = PREAMBLE + len(PREFIX) + 12 + int(meta.FileMetaInformationGroupLength)  # PS3.10 7.1
            uids = [str(meta[name].value) for name in WANTED]
        except (InvalidDicomError, AttributeError, KeyError, ValueError, TypeError, OSError):
            raise RadiographError("E_NOT_DICOM", "not a DICOM file with file meta information") from None
        name = f"folder {self._folder.path.name}"
        return Incoming(data[:length], memoryview(data)[length:], uids[0], uids[1], uids[2], name)


WANTED = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
