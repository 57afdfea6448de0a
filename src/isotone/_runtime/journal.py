"""Record of the images that runs into a folder have finished, so that a run can resume and skip them.

An SQLite file, written by the main process alone, in small transactions: what a worker has renamed into place but the
journal does not have yet, after a kill, is done again. It uses a rollback journal, not a write-ahead log, which network
file systems cannot share (https://sqlite.org/wal.html), and waits for the disk at each transaction: one a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from isotone._runtime.files import MARKER, content, hold_folder, not_empty, replace_file
from isotone._runtime.journal_lines import LINES, Lines, read_lines
from isotone._runtime.journal_schema import APPLICATION, SCHEMA, has_schema
from isotone._runtime.packed_json import pack, unpack
from isotone.errors import IsotoneError, UsageError

JOURNAL = "journal.sqlite"
NAMES = (JOURNAL, f"{JOURNAL}-journal", f"{JOURNAL}-wal", f"{JOURNAL}-shm", LINES)
"""What SQLite or an older isotone may have beside the outputs: no image is delivered under such a name."""
SECONDS = 1.0
"""Between two transactions. Longer: fewer waits for the disk, and more to be done again after a kill."""
KEY = 12
"""Bytes of a hash in the file: among a million images two are alike with a chance of 1e-17."""

FROM = """FROM images LEFT JOIN texts f ON f.id = folder LEFT JOIN texts t ON t.id = target_folder
LEFT JOIN texts s ON s.id = shared"""
SELECT, PLACE = (f"SELECT key, f.text, name, t.text, target, {own} {FROM}" for own in ("s.text, body", "NULL, '{}'"))


class Entry(NamedTuple):
    """What the journal has of one input.

    Attributes
    ----------
    key : str or None
        Digest of what was done with which state of the input; None: done by another model.
    path : str
        The input as the user gave it.
    target : str or None
        The file that was written, relative to the output folder.
    body : dict
        The result.
    """

    key: str | None
    path: str
    target: str | None
    body: dict[str, Any]

    def has(self, key: str) -> bool:
        """Whether this is what `key` stands for."""
        return self.key == key[: 2 * KEY]


class Journal:
    """The journal of an output folder while a run holds it (`open_journal`).

    Sources and keys are hexadecimal digests, of which the first `KEY` bytes count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._committed = time.monotonic()
        with self._told():
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._db.execute("PRAGMA synchronous = FULL")
            if not has_schema(self._db):
                raise foreign(path)
        self._run = int(self._meta("run") or 0) + 1
        self._put_meta("run", str(self._run))

    def find(self, source: str, *, whole: bool = True) -> Entry | None:
        """The entry of an input; not `whole`: with an empty body, which is read in half of the time."""
        with self._told():
            row = self._db.execute(f"{SELECT if whole else PLACE} WHERE source = ?", (_short(source),)).fetchone()
            return None if row is None else _entry(row)

    def adopt(self, source: str, old: str, key: str) -> Entry | None:
        """The entry of a converted journal, which knew inputs by their keys (`old`) alone, under its present key."""
        values = (_short(source), _short(key), _short(old), _short(old))
        with self._told():
            self._db.execute("UPDATE images SET source = ?, key = ? WHERE source = ? AND key = ?", values)
        return self.find(source)

    def note(
        self,
        source: str,
        key: str,
        path: str | Path,
        body: Mapping[str, Any],
        *,
        target: str | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> None:
        """Put in the place of an input's entry what was done now; `shared` is the part that many inputs have alike."""
        folder, name = os.path.split(str(path))
        target_folder, target_name = (None, None) if target is None else os.path.split(target)
        with self._told():
            values = (
                _short(source),
                _short(key),
                self._text(folder),
                os.fsencode(name),
                self._text(target_folder),
                b"" if target_name in (None, name) else os.fsencode(str(target_name)),  # most are named alike
                None if target is None else _text_id(os.fsencode(target)),
                self._text(None if shared is None else _compact(shared)),
                pack(body),
                self._run,
            )
            self._db.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._commit_in_time()

    def see(self, source: str) -> None:
        """Note that an input is there in this run, and its entry holds."""
        with self._told():
            self._db.execute("UPDATE images SET run = ? WHERE source = ?", (self._run, _short(source)))
        self._commit_in_time()

    def gone(self) -> Iterator[Entry]:
        """The entries of inputs that this run did not have, by folder and name."""
        with self._told():
            for row in self._db.execute(f"{SELECT} WHERE run <> ? ORDER BY f.text, name", (self._run,)):
                yield _entry(row)

    def holder(self, target: str, *, but: str = "") -> bool:
        """Whether a file is that of an input, another one than `but`."""
        query = "SELECT 1 FROM images WHERE target_id = ? AND source <> ?"
        with self._told():
            values = (_text_id(os.fsencode(target)), _short(but))
            return self._db.execute(query, values).fetchone() is not None

    def absorb(self, path: Path) -> None:
        """Take over what the journal of a part of this run has; its images are still to be seen."""
        self.commit()
        with self._told():
            self._db.execute("ATTACH ? AS part", (str(path),))
            self._db.execute("INSERT OR IGNORE INTO texts SELECT * FROM part.texts")
            kept = "source, key, folder, name, target_folder, target, target_id, shared, body"
            self._db.execute(f"INSERT OR REPLACE INTO images SELECT {kept}, 0 FROM part.images")
            self._db.commit()
            self._db.execute("DETACH part")

    def take_model(self, model: str, *, force: bool) -> None:
        """Say which model this run has; results of another one are kept as such, and every input is done again.

        Raises
        ------
        UsageError
            The folder is another model's, and `force` is not given.
        """
        before = self._meta("model")
        if before not in (None, model):
            if not force:
                raise another_run(self._path.parent)
            with self._told():
                self._db.execute("UPDATE images SET key = NULL")
        self._put_meta("model", model)
        self.commit()

    def commit(self) -> None:
        """End the transaction."""
        with self._told():
            self._db.commit()
        self._committed = time.monotonic()

    def close(self) -> bool:
        """Commit what there is, and say whether any input was ever noted."""
        with closing(self._db), suppress(sqlite3.Error):  # a disk that is full has been told of
            self._db.commit()
            return self._db.execute("SELECT 1 FROM images").fetchone() is not None
        return True

    def _commit_in_time(self) -> None:
        if time.monotonic() - self._committed >= SECONDS:
            self.commit()

    def _text(self, text: str | None) -> int | None:
        if text is None:
            return None
        data = os.fsencode(text)
        number = _text_id(data)
        self._db.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (number, data))
        return number

    def _meta(self, name: str) -> str | None:
        with self._told():
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _put_meta(self, name: str, value: str) -> None:
        with self._told():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors as ours: a full disk, or a file that is no database or a damaged one."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise IsotoneError("E_WRITE", f"cannot keep the journal: {error}", file=self._path) from None
        except (sqlite3.Error, ValueError) as error:
            raise foreign(self._path) from error


@contextmanager
def open_journal(
    folder: Path, model: Mapping[str, str], *, force: bool = False, named: Callable[[], Mapping[str, str]] = dict
) -> Iterator[Journal]:
    """Take an output folder for one run, and give the journal of the runs into it.

    Inputs may come and go between runs; the model may not. The folder is held while the context lasts
    (`isotone._runtime.files.hold_folder`).

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    model : mapping
        What the results depend on, the inputs apart.
    force : bool
        Use the folder whatever is in it.
    named : callable
        Gives, for the conversion of an older journal, the input of each file that was written.

    Raises
    ------
    UsageError
        The folder is a file, is in use by another run, holds something else or another model's results; or its
        journal is a link, or not isotone's.
    IsotoneError
        E_WRITE: it cannot be made or written to.
    """
    with hold_folder(folder):
        path, lines = folder / JOURNAL, folder / LINES
        for name in NAMES:
            _refuse_link(folder / name)
        before = _lines_in(lines)
        fresh = not path.exists()
        if fresh:
            if before is None and not force and content(folder) - {MARKER}:
                raise not_empty(folder)
            _refuse_any(folder / name for name in NAMES[1:4])
            if before is not None and before[0] != model and not force:
                raise another_run(folder)
            _create(path, before, named)
        elif not _is_ours(path):
            raise foreign(path)
        _refuse_any(folder / name for name in NAMES[2:4])  # SQLite would take a write-ahead log for its own
        lines.unlink(missing_ok=True)
        journal = Journal(path)
        noted = True
        try:
            journal.take_model(_compact(model), force=force)
            yield journal
        finally:
            noted = journal.close()
            if fresh and not noted and content(folder) == {JOURNAL}:
                path.unlink()


def is_of(path: Path, model: Mapping[str, str]) -> bool:
    """Whether a journal is that of a model.

    Raises
    ------
    UsageError
        It is not isotone's.
    """
    _refuse_link(path)
    if not _is_ours(path):
        raise foreign(path)
    journal = Journal(path)
    try:
        return journal._meta("model") == _compact(model)
    finally:
        journal.close()


def another_run(folder: Path) -> UsageError:
    """The refusal of a folder that holds the results of another model."""
    return UsageError(
        "the output folder holds another run",
        file=folder,
        next_step="Give the same model, delivery and allow=, name another output=, or give force=True.",
    )


def foreign(path: Path) -> UsageError:
    """The refusal of a file that isotone did not write, or that is damaged."""
    return UsageError(
        "this is no journal of isotone, or it is damaged",
        file=path,
        next_step="Name another output=; or move the file away and give force=True, and every image is done again.",
    )


def _refuse_any(paths: Iterable[Path]) -> None:
    """Refuse what SQLite would delete, or write into."""
    for path in paths:
        if path.exists():
            raise foreign(path)


def _refuse_link(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise foreign(path)


def _is_ours(path: Path) -> bool:
    """By the first bytes: SQLite itself would write into an empty file, and roll another one back."""
    with path.open("rb") as file:
        start = file.read(72)
    signed = start.startswith(b"SQLite format 3\0") and start[68:72] == APPLICATION.to_bytes(4, "big")
    return signed and start[18:20] == b"\1\1"  # no write-ahead log


def _lines_in(path: Path) -> Lines | None:
    try:
        return read_lines(path) if path.exists() else None
    except ValueError:
        raise foreign(path) from None


def _create(path: Path, before: Lines | None, named: Callable[[], Mapping[str, str]]) -> None:
    """Make a journal whole or not at all, with what an older build noted."""
    with replace_file(path) as temporary:
        try:
            with closing(sqlite3.connect(temporary)) as db:
                db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise IsotoneError("E_WRITE", f"cannot keep the journal: {error}", file=path) from None
        if before is not None:
            journal = Journal(temporary)
            journal.take_model(_compact(before[0]), force=True)
            names = named()
            for line in before[1]:
                key, target = line.pop("key"), line.pop("target", None)
                journal.note(key, key, names.get(target, target or ""), line, target=target)
            journal.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    key, folder, name, target_folder, target, shared, body = row
    path = os.path.join(os.fsdecode(folder or b""), os.fsdecode(name))
    written = None if target_folder is None else os.path.join(os.fsdecode(target_folder), os.fsdecode(target or name))
    result = _read_shared(shared or "{}") | unpack(body)
    return Entry(None if key is None else key.hex(), path, written, result)


@lru_cache(maxsize=64)
def _read_shared(text: str | bytes) -> dict[str, Any]:
    """Read once what many inputs have alike; nobody changes it."""
    found: dict[str, Any] = json.loads(text)
    return found


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _short(digest: str) -> bytes:
    return bytes.fromhex(digest)[:KEY]


def _text_id(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big", signed=True)
