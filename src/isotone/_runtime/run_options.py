"""How a run is done, whatever it does: the options that fits, trainings and evaluations share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from isotone._runtime.disk_cache import DiskCache
from isotone.errors import IsotoneError


@dataclass(frozen=True)
class RunOptions:
    """How a run is done.

    Attributes
    ----------
    seed : int
        Of everything random.
    workers : int
        Processes that read images; 0: this one.
    quiet : bool
        No progress bar.
    on_refusal : callable, optional
        Gets the error of each image that could not be read; results have its code alone.
    device : str
        Where networks are trained, e.g. "cuda".
    executor : concurrent.futures.Executor, optional
        Does the work of `isotone.apply` in the place of processes here; it needs the same file system.
    shard : str, optional
        ``K/N``: part K of N of the images of `isotone.apply`. The parts may be done at once, on several machines with
        one file system, into one output folder; a run without it then puts them together.
    cache : path, optional
        Folder in which fits and evaluations keep what they know of images, for the next one: descriptors and scores by
        digests of content, no pixels. It may be deleted at any time. None: nothing is kept.
    """

    seed: int = 0
    workers: int = 1
    quiet: bool = False
    on_refusal: Callable[[IsotoneError], None] | None = None
    device: str = "cpu"
    executor: Executor | None = None
    shard: str | None = None
    cache: str | Path | None = None

    @property
    def kept(self) -> DiskCache | None:
        """The cache, or none."""
        return None if self.cache is None else DiskCache(Path(self.cache))

    def refuse(self, errors: Iterable[IsotoneError]) -> None:
        """Report images that could not be read."""
        if self.on_refusal is not None:
            for error in errors:
                self.on_refusal(error)


class RunKeywords(TypedDict, total=False):
    """The fields of `RunOptions` as the public functions take them."""

    seed: int
    workers: int
    quiet: bool
    on_refusal: Callable[[IsotoneError], None] | None
    cache: str | Path | None


class WorkKeywords(TypedDict, total=False):
    """How many processes do the work of a public function, and whether it shows progress."""

    workers: int
    executor: Executor | None
    shard: str | None
    quiet: bool


class FitKeywords(RunKeywords, total=False):
    """The same of functions that train networks."""

    device: str
