"""What was worked out once and may be needed again: bytes by their key, one file each, in a folder of bounded size.

Any file of it, or all, may be deleted at any time. Several processes, also of several machines, may use it at once: a
file gets its name when it is whole, and one that is damaged all the same fails its checksum and is passed over.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from isotone._version import __version__

VARIABLE = "ISOTONE_CACHE"
"""Environment variable that names the folder."""
LIMIT = 2**30
"""Bytes that all files take of the disk, at most, after a run: about 65,000 images of a fit, or 260,000 scores. Raised,
more of the disk is taken."""
BLOCK = 4096
"""Bytes of which a file takes a whole number, as on the usual file systems; a score alone has 150."""
KEPT = 0.8
"""Share of the limit to which the oldest files are deleted where it is exceeded: not with every run again."""
STALE = 86400.0
"""Seconds after which a file that was being written counts as left over, and a use is noted again."""
PART = ".part-"
SUM = 16
"""Bytes of the checksum before each content."""
LIBRARIES = ("numpy", "scipy", "scikit-learn", "pydicom", "imagecodecs", "pillow", "torch")
"""Those whose versions may change the last bit of a result."""


def user_folder() -> Path | None:
    """``$ISOTONE_CACHE``, else ``$XDG_CACHE_HOME/isotone/images``, which is ``~/.cache/isotone/images`` by default.

    None where none of them is said: a user whom only a container knows, by number, may have no home.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    try:
        above = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return above / "isotone" / "images"


class DiskCache:
    """A mapping of keys to bytes on disk.

    Parameters
    ----------
    folder : Path
        Made with the first entry, for its owner alone.
    limit : int
        Bytes.

    Examples
    --------
    >>> import tempfile
    >>> cache = DiskCache(Path(tempfile.mkdtemp()))
    >>> key = digest("an image", "its size")
    >>> cache.get(key), cache.put(key, b"256"), cache.get(key)
    (None, None, b'256')
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def get(self, key: str) -> bytes | None:
        """What was put under a key (`digest`); None where nothing whole is there."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                data = file.read()
                used = os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        if _checksum(data[SUM:]) != data[:SUM]:
            return None
        if time.time() - used > STALE:
            with suppress(OSError):
                os.utime(path)
        return data[SUM:]

    def put(self, key: str, content: bytes) -> None:
        """Keep bytes under a key; nothing happens where the disk is full or the folder cannot be written to."""
        path = self._path(key)
        name = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=PART, dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(_checksum(content) + content)
            os.replace(name, path)
        except OSError:
            if name is not None:
                with suppress(OSError):
                    os.unlink(name)

    def trim(self) -> None:
        """Delete what was used longest ago where all files take more than the limit, and what was never finished."""
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("??/*"):
            with suppress(OSError):
                told = path.stat()
                if not path.name.startswith(PART):
                    found.append((told.st_mtime, -(-told.st_size // BLOCK) * BLOCK, path))
                elif time.time() - told.st_mtime > STALE:
                    path.unlink()
        excess = sum(size for _, size, _ in found)
        if excess <= self.limit:
            return
        excess -= int(KEPT * self.limit)
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            with suppress(OSError):
                path.unlink()
                excess -= size

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:SUM]


def digest(*parts: object) -> str:
    """A key: SHA-256 of the representations of its parts and of this build (`build`), hexadecimal.

    Parameters
    ----------
    *parts
        Texts, numbers, None, and tuples or lists of them; their `repr` must say all that they are.
    """
    return hashlib.sha256(repr((build(), parts)).encode("utf-8", "surrogateescape")).hexdigest()


@cache
def build() -> str:
    """What results may depend on besides their inputs: isotone's version and code, and versions of libraries."""
    found = hashlib.sha256(__version__.encode())
    above = Path(__file__).parent.parent
    for path in sorted(above.rglob("*.py")):
        found.update(path.relative_to(above).as_posix().encode() + b"\0" + path.read_bytes())
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found.update(f"{library} {version(library)}\0".encode())
    return found.hexdigest()
