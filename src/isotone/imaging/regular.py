"""Opening what is a file, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from isotone.errors import RadiographError


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; the caller closes it.

    Raises
    ------
    RadiographError
        E_NOT_REGULAR: a link, folder, pipe or device; E_READ: it does not exist or cannot be read.
    """
    # Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
            raise RadiographError("E_NOT_REGULAR", "not a regular file", file=path) from None
        raise RadiographError("E_READ", error.strerror or "cannot be opened", file=path) from None
    except ValueError:  # a NUL in the path
        raise RadiographError("E_READ", "no such file", file=path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RadiographError("E_NOT_REGULAR", "not a regular file", file=path)
    return os.fdopen(descriptor, "rb")
