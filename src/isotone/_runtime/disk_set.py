"""A set of texts on the disk: what a run of a million images has met, in the memory of a few thousand."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable


class DiskSet:
    """A set that grows, in a temporary file of SQLite's that goes with it (https://sqlite.org/inmemorydb.html).

    Up to some ten thousand short texts nothing is written: SQLite keeps 2 MB in memory.

    Parameters
    ----------
    texts : iterable of str
        What it holds from the start; any file name may be among them.

    Examples
    --------
    >>> met = DiskSet(["a"])
    >>> met.add("b")
    >>> "a" in met, "b" in met, "c" in met
    (True, True, False)
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE texts (text BLOB PRIMARY KEY) WITHOUT ROWID")
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Put a text in."""
        self._db.execute("INSERT OR IGNORE INTO texts VALUES (?)", (os.fsencode(text),))

    def __contains__(self, text: object) -> bool:
        found = self._db.execute("SELECT 1 FROM texts WHERE text = ?", (os.fsencode(str(text)),))
        return found.fetchone() is not None
