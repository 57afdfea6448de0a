"""What a long run into a folder has finished, so that the same run goes on where it was stopped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from isotone.errors import IsotoneError, UsageError
from isotone.files import TEMPORARY

JOURNAL = "journal.jsonl"
"""First line: what is being run. Then one line for each finished piece, by a key of hashes, and its file if any."""


class Entries(dict[str, dict[str, Any]]):
    """What earlier runs noted, by key.

    Of several pieces that were written to one file only the last counts: the file holds no other.

    Attributes
    ----------
    written : set of str
        Files of earlier runs with these very inputs, relative to the folder.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        self.written: set[str] = set()
        last: dict[str, str] = {}
        for line in lines:
            body = dict(line)
            key, target, other = body.pop("key"), body.pop("target", None), body.pop("other_inputs", False)
            if target is not None:
                if last.get(target, key) != key:
                    self.pop(last[target], None)
                last[target] = key
                if not other:
                    self.written.add(target)
            self[key] = body


@contextmanager
def open_journal(folder: Path, model: Mapping[str, str], inputs: str, *, force: bool = False) -> Iterator[Entries]:
    """Take an output folder for one run, and give what earlier runs of the same kind finished in it.

    The folder is locked while the context lasts; temporary files that a killed run left are swept at its start and
    its end.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    model : mapping
        What the pieces depend on; other pieces than of this model are forgotten.
    inputs : str
        Digest of which inputs there are, whatever is in them: a broken one may be mended before the run goes on.
    force : bool
        Use the folder whatever is in it.

    Raises
    ------
    UsageError
        The folder is a file, is in use by another run, or holds something else.
    IsotoneError
        E_WRITE: it cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError("the output is a file, not a folder", file=folder, next_step="Name another -o.")
    fresh = not folder.exists()
    if not fresh and not force and not (folder / JOURNAL).exists() and _others(folder):
        raise UsageError("the output folder is not empty", file=folder, next_step="Name another -o, or give --force.")
    head = {"isotone": 1, **model, "inputs": inputs}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        journal = (folder / JOURNAL).open("a+", encoding="utf-8")
    except OSError as error:
        raise IsotoneError("E_WRITE", f"cannot write: {error.strerror}", file=folder) from None
    with journal:
        _lock(journal, folder)
        try:
            entries = _resume(journal, folder, head, force)
            _sweep(folder)
            yield entries
        finally:
            _sweep(folder)
            if [*folder.iterdir()] == [folder / JOURNAL] and len((folder / JOURNAL).read_bytes().splitlines()) < 2:
                (folder / JOURNAL).unlink()
                if fresh:
                    folder.rmdir()


def note(folder: Path, key: str, body: Mapping[str, Any], target: str | None = None) -> None:
    """Add a line, from whichever process finished the piece; short lines are appended whole.

    `target` is the file that the piece was written to, relative to the folder.
    """
    line = json.dumps({"key": key, **({} if target is None else {"target": target}), **body}) + "\n"
    try:
        handle = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise IsotoneError("E_WRITE", f"cannot write: {error.strerror}", file=folder / JOURNAL) from None


def _lock(journal: IO[str], folder: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UsageError(
            "another run is writing into this folder", file=folder, next_step="Wait for it, or name another -o."
        ) from None


def _resume(journal: IO[str], folder: Path, head: Mapping[str, Any], force: bool) -> Entries:
    journal.seek(0)
    lines = list(_lines(journal))
    before = lines[0] if lines and "isotone" in lines[0] else {}
    if before != head and (before or _others(folder)) and not force:
        raise UsageError(
            "the output folder holds another run",
            file=folder,
            next_step="Give the same inputs and model, name another -o, or give --force.",
        )
    same = {**before, "inputs": ""} == {**head, "inputs": ""}
    kept = [line for line in lines[1:] if "key" in line] if same else []
    if before != head:
        journal.truncate(0)
        kept = [{**line, "other_inputs": True} for line in kept]
        journal.writelines(json.dumps(line) + "\n" for line in (head, *kept))
    else:
        journal.write("\n")  # ends a line that was cut short
    journal.flush()
    return Entries(kept)


def _others(folder: Path) -> bool:
    return any(p.name != JOURNAL and not p.name.startswith(TEMPORARY) for p in folder.iterdir())


def _lines(journal: IO[str]) -> Iterator[dict[str, Any]]:
    for text in journal:
        with suppress(ValueError):  # a line that a kill or a full disk cut short
            line = json.loads(text)
            if isinstance(line, dict):
                yield line


def _sweep(folder: Path) -> None:
    for leftover in folder.rglob(f"{TEMPORARY}*"):
        with suppress(OSError):
            leftover.unlink()
