"""The images of a manifest, read one by one in crash-isolated processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from isotone._runtime.workers import map_isolated
from isotone.data.manifests.manifest import Row
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph

T = TypeVar("T")

SECONDS = 20.0
"""Time limit of one image, for a loaded machine; the largest ones take a few seconds."""
SECONDS_PER_BYTE = 2e-6


def map_images(
    rows: Sequence[Row],
    function: Callable[[Radiograph], T],
    *,
    workers: int = 1,
    label: str = "reading",
    quiet: bool = False,
) -> Iterator[tuple[Row, T | IsotoneError]]:
    """Read each row's image and call a function on it; yield in the order of the rows.

    Parameters
    ----------
    rows : sequence of Row
        Their `domain` goes before what the header says.
    function : callable
        Picklable; gets the `Radiograph`. What it returns crosses a process boundary, so it should be small.
    workers : int
        Number of processes; 0: in this process, where a codec that crashes takes everything with it.
    label : str
        What the progress bar says.
    quiet : bool
        No progress bar; there is none either where standard error is no terminal.

    Yields
    ------
    row, result or IsotoneError
        Refusals are yielded, never raised.
    """
    results = map_isolated(Reading(function), rows, workers=workers, seconds=time_limit)
    return progress(results, len(rows), label=label, quiet=quiet)


@dataclass(frozen=True)
class Reading(Generic[T]):
    """Reads the image of a row and calls a function on it."""

    function: Callable[[Radiograph], T]

    def __call__(self, row: Row) -> T:
        radiograph = read_radiograph(row.path, domain=row.domain, inverted=row.inverted)
        if row.domain is not None:
            radiograph = radiograph.with_domain(row.domain)
        return self.function(radiograph)


class HasPath(Protocol):
    """A row, or another piece of work on one file."""

    @property
    def path(self) -> Path:
        """The file."""
        ...


def time_limit(item: HasPath) -> float:
    """Seconds that an image may take, from the size of its file."""
    try:
        return SECONDS + SECONDS_PER_BYTE * item.path.stat().st_size
    except OSError:
        return SECONDS  # reading it will say what is wrong


def progress(items: Iterable[T], total: int, *, label: str, quiet: bool) -> Generator[T, None, None]:
    """Pass items on, and show on a terminal how many of them have come."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        try:
            yield from bar.track(items, total=total, description=label)
        finally:
            if isinstance(items, Generator):  # which `track` leaves open, and its processes at work
                items.close()
