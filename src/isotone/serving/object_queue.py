"""What is known of every object: an SQLite file with a write-ahead log, each change on the disk before it counts.

An object is known by the digest of its SOP Instance UID. It is ``received``, then ``done`` (its deliveries are listed),
``held`` (it waits for a person), or ``gone`` (its files were taken away). A delivery is ``pending``, ``sent``,
``dead`` or ``dismissed`` (a person deleted the dead letter).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from isotone.errors import IsotoneError, UsageError

LOG_PAGES = 256
"""Of 4 KiB, after which the write-ahead log is emptied; more: fewer waits for the disk, and more room that it takes."""
APPLICATION = 0x49534F4E
"""Tells the file from anybody else's (https://sqlite.org/fileformat2.html, offset 68)."""
SCHEMA_VERSION = 1
SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE objects (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, path TEXT NOT NULL,
  sop_class TEXT NOT NULL, bytes INTEGER NOT NULL, source TEXT NOT NULL,
  received REAL NOT NULL, state TEXT NOT NULL, code TEXT, rule TEXT, derived TEXT, failures INTEGER NOT NULL DEFAULT 0,
  due REAL NOT NULL, finished REAL);
CREATE INDEX objects_due ON objects (state, due);
CREATE TABLE deliveries (id INTEGER PRIMARY KEY, object INTEGER NOT NULL REFERENCES objects(id) ON DELETE CASCADE,
  destination TEXT NOT NULL, path TEXT NOT NULL, state TEXT NOT NULL, code TEXT, failures INTEGER NOT NULL DEFAULT 0,
  due REAL NOT NULL, UNIQUE (object, destination, path));
CREATE INDEX deliveries_due ON deliveries (state, destination, due);
CREATE TABLE images (id INTEGER PRIMARY KEY, day TEXT NOT NULL, at REAL NOT NULL, scanner TEXT NOT NULL,
  decision TEXT NOT NULL, code TEXT, software TEXT, model TEXT, brightness REAL,
  look BLOB);
CREATE INDEX images_scanner ON images (scanner, at);
CREATE TABLE tests (id INTEGER PRIMARY KEY, at REAL NOT NULL, scanner TEXT NOT NULL, model TEXT NOT NULL,
  images INTEGER NOT NULL, last INTEGER NOT NULL, chance REAL NOT NULL, level REAL NOT NULL, alarm INTEGER NOT NULL,
  cause TEXT NOT NULL);
"""
RECEIVED, DONE, HELD, GONE = "received", "done", "held", "gone"
PENDING, SENT, DEAD, DISMISSED = "pending", "sent", "dead", "dismissed"


class Arrived(NamedTuple):
    """What is noted of an object when it comes."""

    key: str
    digest: str
    path: str
    sop_class: str
    bytes: int
    source: str


class Queued(NamedTuple):
    """An object."""

    id: int
    key: str
    digest: str
    path: str
    sop_class: str
    source: str
    state: str
    failures: int


class Due(NamedTuple):
    """A delivery, with what an association or a request must know of its object."""

    id: int
    object: int
    key: str
    destination: str
    path: str
    failures: int


OBJECT = "SELECT id, key, digest, path, sop_class, source, state, failures FROM objects"
DELIVERY = """SELECT d.id, d.object, o.key, d.destination, d.path, d.failures
FROM deliveries d JOIN objects o ON o.id = d.object"""


class ObjectQueue:
    """The queue of a spool that this process holds; its methods may be called from any thread.

    Raises
    ------
    UsageError
        The file is not a node's, or that of another version.
    IsotoneError
        E_WRITE, from every method: the disk is full, or the file cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        fresh = not path.exists()
        with self._told():
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            self._db.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * 4096}")
            self._db.execute("PRAGMA foreign_keys = ON")
            if fresh or (self._pragma("application_id") == 0 and not self._all("SELECT name FROM sqlite_master")):
                self._db.executescript(f"BEGIN; {SCHEMA} COMMIT;")
            if (self._pragma("application_id"), self._pragma("user_version")) != (APPLICATION, SCHEMA_VERSION):
                raise UsageError(
                    "this is no queue of this version of isotone", file=path, next_step="Name another spool."
                )
        path.chmod(0o600)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Several changes as one; on the disk when the context is left."""
        with self._lock, self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def find(self, key: str) -> Queued | None:
        """The object of a UID's digest."""
        rows = self._all(f"{OBJECT} WHERE key = ?", key)
        return Queued(*rows[0]) if rows else None

    def add(self, arrived: Arrived, archive: Sequence[str], *, state: str = RECEIVED, code: str | None = None) -> None:
        """Note an object, and that its original goes to the archive."""
        now = time.time()
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO objects (key, digest, path, sop_class, bytes, source, received, state, code, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*arrived, now, state, code, now),
            )
            self._deliver(db, int(cursor.lastrowid or 0), archive, arrived.path, now)

    def received(self, limit: int, longest: float, but: Iterable[int] = ()) -> list[Queued]:
        """Objects to be harmonized now, the oldest first, without those that are under way.

        `longest` is the longest wait in seconds: what is due later than that waits for a clock that was set back.
        """
        busy = ",".join(map(str, but))
        query = f"{OBJECT} WHERE state = ? AND NOT (due > ? AND due <= ?) AND id NOT IN ({busy}) ORDER BY id LIMIT ?"
        now = time.time()
        return [Queued(*row) for row in self._all(query, RECEIVED, now, now + longest, limit)]

    def finish(
        self,
        queued: Queued,
        *,
        state: str = DONE,
        code: str | None = None,
        rule: str | None = None,
        derived: str | None = None,
        deliveries: Sequence[tuple[str, str]] = (),
        image: Sequence[Any] | None = None,
    ) -> None:
        """Note what became of an object, its deliveries (destination, path) and its line of the history, as one."""
        now = time.time()
        with self.transaction() as db:
            db.execute(
                "UPDATE objects SET state = ?, code = ?, rule = ?, derived = ?, due = ? WHERE id = ?",
                (state, code, rule, derived, now, queued.id),
            )
            for destination, path in deliveries:
                self._deliver(db, queued.id, [destination], path, now)
            if image is not None:
                db.execute(
                    "INSERT INTO images (day, at, scanner, decision, code, software, model, brightness, look) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    tuple(image),
                )
            self._settle(db, queued.id, now)

    def postpone(self, queued: Queued, seconds: float, code: str) -> None:
        """Try an object again later."""
        with self.transaction() as db:
            db.execute(
                "UPDATE objects SET failures = failures + 1, code = ?, due = ? WHERE id = ?",
                (code, time.time() + seconds, queued.id),
            )

    def due(self, destination: str, limit: int, longest: float) -> list[Due]:
        """Deliveries to be tried now; `longest` as for `received`."""
        query = f"{DELIVERY} WHERE d.state = ? AND d.destination = ? AND NOT (d.due > ? AND d.due <= ?)"
        now = time.time()
        rows = self._all(f"{query} ORDER BY d.due, d.id LIMIT ?", PENDING, destination, now, now + longest, limit)
        return [Due(*row) for row in rows]

    def sent(self, due: Due) -> None:
        """Note that a destination has an object."""
        self._delivered(due, SENT, None, due.path)

    def dead(self, due: Due, code: str, path: str) -> None:
        """Note that a destination will not get an object; its file now lies among the dead letters."""
        self._delivered(due, DEAD, code, path)

    def failed(self, due: Due, seconds: float, code: str) -> None:
        """Note that a destination did not take an object this time."""
        with self.transaction() as db:
            db.execute(
                "UPDATE deliveries SET failures = failures + 1, code = ?, due = ? WHERE id = ?",
                (code, time.time() + seconds, due.id),
            )

    def retry(self) -> int:
        """Take up dead letters and held objects again, those apart that share a UID with another; how many."""
        now = time.time()
        with self.transaction() as db:
            letters = db.execute(
                "UPDATE deliveries SET state = ?, failures = 0, due = ? WHERE state = ?", (PENDING, now, DEAD)
            ).rowcount
            held = db.execute(
                "UPDATE objects SET state = ?, failures = 0, due = ?, finished = NULL "
                "WHERE state = ? AND code <> 'E_DUPLICATE'",
                (RECEIVED, now, HELD),
            ).rowcount
            db.execute(
                "UPDATE objects SET finished = NULL WHERE state = ? AND id IN "
                "(SELECT object FROM deliveries WHERE state = ?)",
                (DONE, PENDING),
            )
        return int(letters + held)

    def dismiss_object(self, identity: int) -> None:
        """Note that a person has deleted an object that was held."""
        with self.transaction() as db:
            db.execute("UPDATE objects SET state = ? WHERE id = ?", (DONE, identity))
            self._settle(db, identity, time.time())

    def dismiss_delivery(self, identity: int) -> None:
        """Note that a person has deleted a dead letter."""
        with self.transaction() as db:
            db.execute("UPDATE deliveries SET state = ? WHERE id = ?", (DISMISSED, identity))

    def counts(self) -> dict[tuple[str, ...], int]:
        """How many objects and deliveries there are in each state."""
        objects = self._all("SELECT 'objects', state, COUNT(*) FROM objects GROUP BY state")
        letters = self._all(
            "SELECT 'deliveries', destination, state, COUNT(*) FROM deliveries GROUP BY destination, state"
        )
        return {tuple(map(str, row[:-1])): int(row[-1]) for row in [*objects, *letters]}

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a question of another module gives."""
        return self._all(query, *values)

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._db.close()

    def _deliver(
        self, db: sqlite3.Connection, identity: int, destinations: Iterable[str], path: str, now: float
    ) -> None:
        for destination in destinations:
            db.execute(
                "INSERT OR IGNORE INTO deliveries (object, destination, path, state, due) VALUES (?, ?, ?, ?, ?)",
                (identity, destination, path, PENDING, now),
            )

    def _delivered(self, due: Due, state: str, code: str | None, path: str) -> None:
        with self.transaction() as db:
            db.execute("UPDATE deliveries SET state = ?, code = ?, path = ? WHERE id = ?", (state, code, path, due.id))
            self._settle(db, due.object, time.time())

    def _settle(self, db: sqlite3.Connection, identity: int, now: float) -> None:
        """Note when all of an object was done; a dead letter has a file of its own."""
        db.execute(
            "UPDATE objects SET finished = ? WHERE id = ? AND state = ? AND NOT EXISTS "
            "(SELECT 1 FROM deliveries WHERE object = objects.id AND state = ?)",
            (now, identity, DONE, PENDING),
        )

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._told():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise IsotoneError(
                "E_WRITE",
                f"cannot keep the queue: {error}",
                file=self._path,
                next_step="Make room on the spool's disk.",
            ) from None
