"""One run at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isotone.errors import IsotoneError, UsageError

LOCK = ".isotone-lock"
"""File that is locked; it is there while a run lasts, and after a kill, when it hinders nobody."""
TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""What a lock held by another process is called: by flock, by NFS, by Windows."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder that exists, until the context is left or the process dies.

    Warns W_NO_LOCK where the file system has no locks.

    Raises
    ------
    UsageError
        Another run holds it, or what stands in the place of the lock is no file of ours.
    IsotoneError
        E_WRITE: the folder cannot be written to.
    """
    path = folder / LOCK
    handle = _take(path, folder)
    try:
        yield
    finally:
        with suppress(OSError):  # while it is still held: who opened it meanwhile sees that it is gone, and tries again
            path.unlink()
        os.close(handle)


def _take(path: Path, folder: Path) -> int:
    while True:
        handle = _open(path)
        if os.fstat(handle).st_size:  # ours is empty
            os.close(handle)
            raise UsageError(
                "somebody's file stands where isotone keeps its lock", file=path, next_step="Move it away."
            )
        try:
            _lock(handle)
            if _is_still(path, handle):
                return handle
        except OSError as error:
            if error.errno in TAKEN:
                os.close(handle)
                raise UsageError(
                    "another run is writing into this folder",
                    file=folder,
                    next_step="Wait for it, or name another output=.",
                ) from None
            warnings.warn(
                f"W_NO_LOCK: {folder} is on a file system without locks; let no second run write into it", stacklevel=4
            )
            return handle
        os.close(handle)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError("a link stands where isotone keeps its lock", file=path, next_step="Remove it.") from None
        raise IsotoneError("E_WRITE", f"cannot write: {error.strerror}", file=path) from None


def _is_still(path: Path, handle: int) -> bool:
    """Whether nobody has taken the file away since it was opened."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
