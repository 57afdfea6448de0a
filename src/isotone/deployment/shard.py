"""A run in parts: several machines write into one output folder, and a run of the whole puts the parts together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from isotone._runtime.files import TEMPORARY, content, hold_folder, not_empty
from isotone._runtime.journal import JOURNAL, NAMES, Journal, another_run, is_of, open_journal
from isotone.deployment.curves_table import CURVES
from isotone.errors import UsageError

PREFIX = f"{TEMPORARY}shard-"
"""Of the folder that keeps the journal and the table of a part, in the output folder; no output is called so."""
_FOLDER = re.compile(rf"{re.escape(PREFIX)}\d+-of-\d+")


@dataclass(frozen=True)
class Shard:
    """One of so many parts of a run: images are dealt out by a hash of their paths.

    Attributes
    ----------
    number, of : int
        From 1 to `of`.

    Examples
    --------
    >>> Shard.parse("2/8")
    Shard(number=2, of=8)
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``K/N`` names.

        Raises
        ------
        UsageError
            It is something else.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"{text!r} is no shard", next_step="Write K/N, with K from 1 to N.")
        return cls(int(found[1]), int(found[2]))

    def has(self, source: str) -> bool:
        """Whether an input (`isotone.deployment.deliver.Job.source`) is one of its images."""
        return int(source[:15], 16) % self.of == self.number - 1

    def folder(self, output: Path) -> Path:
        """Where its journal and its table lie."""
        return output / f"{PREFIX}{self.number}-of-{self.of}"


@contextmanager
def open_part(output: Path, shard: Shard, model: Mapping[str, str], *, force: bool = False) -> Iterator[Journal]:
    """The journal of one part of a run; other parts may write into the output folder meanwhile.

    Raises
    ------
    UsageError, IsotoneError
        The output folder has a whole run, or something else; or as `open_journal`.
    """
    if output.is_dir() and not force:
        if (output / JOURNAL).exists():
            raise UsageError(
                "the output folder holds a whole run",
                file=output,
                next_step="Leave shard= out, or name another output=.",
            )
        if content(output) and not _parts_in(output):
            raise not_empty(output)
    with open_journal(shard.folder(output), model, force=force) as journal:
        yield journal


@contextmanager
def open_whole(
    output: Path, model: Mapping[str, str], *, force: bool = False, named: Callable[[], Mapping[str, str]] = dict
) -> Iterator[Journal]:
    """`open_journal`, with what the parts of the run noted, whose own journals then go.

    Raises
    ------
    UsageError
        A part is being written, or is another model's; or as `open_journal`.
    IsotoneError
        As `open_journal`.
    """
    parts = _parts_in(output)
    with ExitStack() as held:
        for part in parts:  # before the output folder is swept, in which a part would have files half written
            held.enter_context(hold_folder(part))
        ours = [part for part in parts if (part / JOURNAL).exists() and is_of(part / JOURNAL, model)]
        if not force and any((part / JOURNAL).exists() for part in parts if part not in ours):
            raise another_run(output)
        fresh = not (output / JOURNAL).exists()
        with open_journal(output, model, force=force or bool(fresh and parts), named=named) as journal:
            for part in ours:
                journal.absorb(part / JOURNAL)
            for part in parts:
                for name in (*NAMES, CURVES):
                    (part / name).unlink(missing_ok=True)
            held.close()
            for part in parts:
                with suppress(OSError):  # there is something else in it
                    part.rmdir()
            yield journal


def _parts_in(output: Path) -> list[Path]:
    if not output.is_dir():
        return []
    with os.scandir(output) as found:
        return sorted(Path(e.path) for e in found if _FOLDER.fullmatch(e.name) and e.is_dir(follow_symlinks=False))
