"""Opening what is a file, also through a link, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from isotone.errors import RadiographError


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; the caller closes it.

    A link is followed to a regular file: datasets under git-annex, and caches of datasets, consist of them.

    Raises
    ------
    RadiographError
        E_NOT_REGULAR: a folder, pipe or device, also at the end of a link, or a link that leads to itself; E_READ: it
        does not exist or cannot be read.
    """
    # Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Looked at before it is opened: opening some devices does something.
        descriptor = os.open(path, flags) if stat.S_ISREG(os.stat(path).st_mode) else None
    except FileNotFoundError:
        what = "a link whose target does not exist" if path.is_symlink() else "no such file"
        raise RadiographError("E_READ", what, file=path) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link to itself, a socket
            raise RadiographError("E_NOT_REGULAR", "not a regular file", file=path) from None
        raise RadiographError("E_READ", error.strerror or "cannot be opened", file=path) from None
    except ValueError:  # a NUL in the path
        raise RadiographError("E_READ", "no such file", file=path) from None
    if descriptor is None:
        raise RadiographError("E_NOT_REGULAR", "not a regular file", file=path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # replaced in between
        os.close(descriptor)
        raise RadiographError("E_NOT_REGULAR", "not a regular file", file=path)
    return os.fdopen(descriptor, "rb")
