"""The folder of a node: where each object lies, under names of ours alone.

``objects/`` holds what was received, ``derived/`` what was made of it, ``held/`` what waits for a person, ``dead/``
what a destination would not take, ``node.sqlite`` what is known of all of these, ``audit/`` a line for each thing done.
A name is a digest: nothing that a peer sends becomes part of a path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isotone._runtime.files import PART, sweep
from isotone._runtime.lock import locked
from isotone.errors import IsotoneError

OBJECTS, DERIVED, HELD, DEAD, AUDIT = "objects", "derived", "held", "dead", "audit"
DATABASE = "node.sqlite"
PRIVATE = 0o700
"""Mode of the folders: the images are of patients."""


def hashed(uid: str) -> str:
    """SHA-256 of an identifier, 128 bits of it: the name of an object, and what the audit trail has in its place."""
    return hashlib.sha256(uid.encode(errors="surrogateescape")).hexdigest()[:32]


class Spool:
    """The folders of one node.

    Parameters
    ----------
    root : Path
        Made where it is missing, with mode 700.

    Raises
    ------
    IsotoneError
        E_WRITE: it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with told(root):
            root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            for name in (OBJECTS, DERIVED, HELD, DEAD, AUDIT):
                (root / name).mkdir(mode=PRIVATE, exist_ok=True)

    @property
    def database(self) -> Path:
        """The file of what is known."""
        return self.root / DATABASE

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the spool for this process; what a killed one was writing is swept.

        Raises
        ------
        UsageError
            Another node holds it.
        """
        with locked(self.root):
            sweep(self.root)
            yield

    def path(self, relative: str) -> Path:
        """The file of a relative path that the database holds."""
        return self.root / relative

    def place(self, kind: str, name: str) -> str:
        """The relative path of a file; folders of two digits keep each short."""
        return f"{kind}/{name[:2]}/{name}.dcm"

    def free(self) -> int:
        """Bytes that are free on its disk."""
        return shutil.disk_usage(self.root).free

    def write_part(self, pieces: Collection[bytes | memoryview]) -> Path:
        """Write bytes to a temporary file, down to the disk.

        Raises
        ------
        IsotoneError
            E_WRITE: the disk is full; nothing is left.
        """
        part = self.root / OBJECTS / f"{PART}{os.urandom(4).hex()}"
        with told(self.root):
            try:
                with part.open("xb") as file:
                    for piece in pieces:
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                part.unlink(missing_ok=True)
                raise
        return part

    def settle(self, part: Path, relative: str) -> None:
        """Put a temporary file in its place, for good: a power cut does not undo it.

        Raises
        ------
        IsotoneError
            E_WRITE.
        """
        target = self.path(relative)
        with told(self.root):
            target.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            os.replace(part, target)
            self._sync(target.parent)
            self._sync(target.parent.parent)

    def link(self, relative: str, other: str) -> None:
        """Give a file a second name, which stays when the first is taken away.

        Raises
        ------
        IsotoneError
            E_WRITE.
        """
        target = self.path(other)
        with told(self.root):
            target.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(self.path(relative), target)
            self._sync(target.parent)

    def sync(self, relative: str) -> None:
        """Bring the name of a file that is in its place to the disk.

        Raises
        ------
        IsotoneError
            E_WRITE.
        """
        with told(self.root):
            self._sync(self.path(relative).parent)

    def remove(self, relative: str) -> None:
        """Take a file away, if it is there."""
        with suppress(OSError):
            self.path(relative).unlink(missing_ok=True)

    def files(self, kind: str) -> Iterator[str]:
        """The relative paths of all files of a kind."""
        for path in (self.root / kind).glob("*/*.dcm"):
            yield str(path.relative_to(self.root))

    def _sync(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def told(place: Path) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        raise IsotoneError("E_WRITE", f"cannot write: {error.strerror or type(error).__name__}", file=place) from error
