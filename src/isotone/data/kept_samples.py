"""Samples of images that an earlier fit has seen: what is known comes from the disk, pixels only if asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.disk_cache import DiskCache
from isotone._runtime.workers import map_isolated
from isotone.data.file_digest import State, known_digest, note_digest, state_of
from isotone.data.images import progress, time_limit
from isotone.data.known import Known, recall
from isotone.data.manifests.manifest import Row
from isotone.data.sample import Sample, TakeSample, TakeUnknown
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.dicom.header_values import Hashed, hashed
from isotone.imaging.radiograph import Header

FACTS = (
    *("format", "domain", "bits_stored", "rows", "columns", "frames", "signed", "inverted", "window", "modality"),
    *("body_part", "view", "laterality", "intent", "lossy", "transfer_syntax", "detector", "warnings"),
)
"""Of a header, what is kept: numbers, codes, and the name of the scanner."""
HASHED = ("software", "version")
"""Of a header, what is kept as a hash: it may be free text."""


def kept_samples(
    rows: Sequence[Row], take: TakeSample, cache: DiskCache, *, workers: int = 1, quiet: bool = False
) -> Iterator[tuple[Row, Sample | IsotoneError]]:
    """The samples of rows, in order; what the cache knows is not read (`isotone.data.sample.parted`).

    Parameters
    ----------
    rows : sequence of Row
    take : TakeSample
    cache : DiskCache
    workers, quiet
        As for `isotone.data.images.map_images`.

    Yields
    ------
    row, Sample or IsotoneError
    """
    before, states = time.time(), [state_of(row) for row in rows]
    known = {n: one for n, state in enumerate(states) if (one := _recalled(state, take, cache)) is not None}
    read: dict[int, Sample | IsotoneError] = {}
    # The second time all of an image is read of which another process deleted meanwhile what was known.
    for asked in (TakeUnknown(take, _Kept(cache, take.identify)), TakeUnknown(take)):
        others = [n for n in range(len(rows)) if n not in known and n not in read]
        results = map_isolated(asked, [rows[n] for n in others], workers=workers, seconds=time_limit)
        for n, (row, result) in zip(others, progress(results, len(others), label="reading", quiet=quiet), strict=True):
            if isinstance(result, IsotoneError):
                read[n] = result
                continue
            key, sample = result
            unchanged = state_of(row) == states[n]
            note_digest(states[n] if unchanged else None, key, cache, before)
            if sample is not None:
                read[n] = _fresh(sample, key if unchanged else "")
            elif (one := recall(key, cache)) is not None:
                known[n] = one
        if len(known) + len(read) == len(rows):
            break
    later = _Unread(rows, take, workers, quiet, {n: one.key for n, one in known.items()})
    for n, row in enumerate(rows):
        yield row, read[n] if n in read else KeptSample.of(row, known[n], later, n)


@dataclass(frozen=True)
class _Kept:
    """The keys of which the cache has all that is wanted."""

    cache: DiskCache
    identify: bool

    def __contains__(self, key: object) -> bool:
        found = recall(str(key), self.cache)
        return found is not None and (bool(found.notes["identity"]) or not self.identify)


def _recalled(state: State | None, take: TakeSample, cache: DiskCache) -> Known | None:
    key = known_digest(state, cache)
    found = None if key is None else recall(key, cache)
    return None if found is None or (take.identify and not found.notes["identity"]) else found


def _fresh(sample: Sample, key: str) -> Sample:
    """A sample that was read, by its key; "": the file changed meanwhile, and may not be what the digest is of."""
    sample.known.key, sample.known.notes, sample.known.fresh = key, _notes(sample), True
    return sample


def _notes(sample: Sample) -> dict[str, Any]:
    """What of a sample goes to disk besides arrays."""
    notes: dict[str, Any] = {"identity": sample.identity}
    if sample.header is not None:
        header = asdict(sample.header)
        notes["header"] = {name: header[name] for name in FACTS}
        notes["header"] |= {name: header[name] and hashed(header[name]) for name in HASHED}
    return notes


class KeptSample(Sample):
    """A sample whose pixels are read when somebody asks for them; then those of all images of its fit are."""

    @classmethod
    def of(cls, row: Row, known: Known, later: _Unread, number: int) -> KeptSample:
        """The sample of a row, the `number`-th of those that can be read later."""
        told = dict(known.notes["header"])
        told |= {name: told[name] and Hashed(told[name]) for name in HASHED}
        header = Header(path=row.path, **told | {"warnings": tuple(told["warnings"])})
        sample = cls.__new__(cls)
        sample.__dict__.update(
            label=None,
            patient="",
            domain=header.domain,
            split=None,
            header=header,
            identity=known.notes["identity"],
            trained=False,
            known=known,
            _later=later,
            _number=number,
        )
        return sample

    @cached_property
    def pixels(self) -> NDArray[np.uint16]:
        """As `Sample` has them."""
        return self._read.pixels

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """As `Sample` has it."""
        return self._read.valid

    @cached_property
    def prepared(self) -> NDArray[np.float32] | None:
        """As `Sample` has it."""
        return None if self.__dict__["_later"].take.prepare is None else self._read.prepared

    @property
    def _read(self) -> Sample:
        later: _Unread = self.__dict__["_later"]
        return later.samples[self.__dict__["_number"]]


class _Unread:
    """The images of a fit that were not read, for what the cache does not have after all."""

    def __init__(
        self, rows: Sequence[Row], take: TakeSample, workers: int, quiet: bool, keys: Mapping[int, str]
    ) -> None:
        self.rows, self.take, self.workers, self.quiet, self.keys = rows, take, workers, quiet, keys

    @cached_property
    def samples(self) -> dict[int, Sample]:
        """All of them, by number.

        Raises
        ------
        IsotoneError
            One cannot be read. RadiographError E_READ: one has changed since the fit began.
        """
        rows = [self.rows[n] for n in self.keys]
        results = map_isolated(TakeUnknown(self.take), rows, workers=self.workers, seconds=time_limit)
        found: dict[int, Sample] = {}
        read = progress(results, len(rows), label="reading", quiet=self.quiet)
        for n, (row, result) in zip(self.keys, read, strict=True):
            if isinstance(result, IsotoneError):
                raise result
            key, sample = result
            if sample is None or key != self.keys[n]:
                raise RadiographError("E_READ", "the file has changed since the fit began", file=row.path)
            found[n] = sample
        return found
