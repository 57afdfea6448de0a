"""What headers say of many files: scanner, patient, and whether each is an image; at bounded cost in this process.

A header of ordinary size is parsed here, or in workers where there are many files; one that is large or deflated, since
such ones can take minutes and gigabytes, is parsed alone in a worker with limits of time and memory
(`isotone._runtime.workers`). What breaks the limits has no facts, and is named, with its reason, when the image itself
is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from isotone._runtime.workers import map_isolated
from isotone.errors import IsotoneError
from isotone.imaging.no_image import is_no_image
from isotone.imaging.opening.bounded_file import small_headers
from isotone.imaging.radiograph import Header
from isotone.imaging.read import read_header

BATCH = 200
"""Files that a worker reads at a time: more would let one slow file delay many, fewer would cost a message each."""
SECONDS, SECONDS_PER_BYTE = 20.0, 2e-6
"""Time limit of one file, as of its image."""


class Facts(NamedTuple):
    """What a header says.

    Attributes
    ----------
    name, version : str or None
        The scanner as the header names it, and the software version in that name.
    patient : str or None
    harmonized : bool
        isotone made the image.
    parts : tuple of str
        Values of the attributes that were asked for.
    is_image : bool
        False: the file is no image at all (`isotone.imaging.no_image`), and nothing else is known.
    refusal : IsotoneError or None
        Why nothing is known.
    """

    name: str | None = None
    version: str | None = None
    patient: str | None = None
    harmonized: bool = False
    parts: tuple[str, ...] = ()
    is_image: bool = True
    refusal: IsotoneError | None = None


Part = Callable[[Header], tuple[str, ...]]


def header_facts(paths: Sequence[Path], parts: Part, *, workers: int = 1) -> list[Facts]:
    """What the headers of files say, in their order.

    Parameters
    ----------
    paths : sequence of Path
    parts : callable
        Picklable; header → `Facts.parts`.
    workers : int
        Processes, where the files are many or their headers large; 0: this one, without any limit.
    """
    read = _Read(parts)
    if workers == 0:
        return [read(_Path(path)) for path in paths]
    found: list[Facts | None] = []
    small = _Small(read)
    batches = [tuple(paths[i : i + BATCH]) for i in range(0, len(paths), BATCH)]
    if workers > 1 and len(batches) > workers:
        results = map_isolated(small, batches, workers=workers, seconds=_seconds_of_batch)
        for batch, result in results:
            found += [None] * len(batch) if isinstance(result, IsotoneError) else result
    else:
        found += [facts for batch in batches for facts in small(batch)]
    slow = [_Path(path) for path, facts in zip(paths, found, strict=True) if facts is None]
    alone: Iterator[Facts] = (
        Facts(refusal=result) if isinstance(result, IsotoneError) else result
        for _, result in map_isolated(read, slow, workers=min(workers, len(slow)), seconds=_seconds)
    )
    return [next(alone) if facts is None else facts for facts in found]


class _Path(NamedTuple):
    path: Path


@dataclass(frozen=True)
class _Read:
    """The facts of one file."""

    parts: Part

    def __call__(self, item: _Path) -> Facts:
        try:
            header = read_header(item.path)
        except IsotoneError as error:
            return Facts(is_image=not is_no_image(item.path, error), refusal=error)
        harmonized = "W_HARMONIZED" in header.codes
        return Facts(header.domain, header.version, header.patient_id, harmonized, self.parts(header))


@dataclass(frozen=True)
class _Small:
    """The facts of files whose headers are small; None for others."""

    read: _Read

    def __call__(self, batch: tuple[Path, ...]) -> list[Facts | None]:
        found: list[Facts | None] = []
        with small_headers():
            for path in batch:
                facts = self.read(_Path(path))
                beyond = facts.refusal is not None and facts.refusal.code in ("E_LENGTH", "E_BOMB")
                found.append(None if beyond and facts.is_image else facts)
        return found


def _seconds(item: _Path) -> float:
    try:
        return SECONDS + SECONDS_PER_BYTE * item.path.stat().st_size
    except OSError:
        return SECONDS


def _seconds_of_batch(batch: tuple[Path, ...]) -> float:
    return SECONDS * len(batch) / 10
