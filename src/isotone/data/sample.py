"""What a fit keeps of an image: few enough pixels to hold hundreds of images in memory, and the classifier's input."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.workers import map_isolated
from isotone._version import __version__
from isotone.curves.tone_curve import quantize
from isotone.data.cache import ArrayCache, Entry
from isotone.data.file_digest import content_digest
from isotone.data.identity import pixel_identity
from isotone.data.images import Reading, map_images, progress, time_limit
from isotone.data.known import Known
from isotone.data.manifests.manifest import Row
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Header, Radiograph

SIZE = 256
"""Longest side of the decimated pixels."""
UNCACHED = ("path", "patient_id", "study_uid", "instance_uid")
"""Of a header: where the file is now, and who the patient is."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One image as a fit sees it.

    Attributes
    ----------
    pixels : uint16 array of shape (h, w)
        Presentation values × 65535 at full range; every k-th pixel, so that the longer side has at most 256. Not
        averaged: whatever map of grey levels the scanner applied, it applied to these values.
    valid : bool array of shape (h, w)
        False where the file declares padding.
    prepared : float32 array of shape (S, S) or None
        The classifier's input in [0, 1] at full range; None without a classifier.
    label, domain, split : str or None
        As in the manifest; the domain from the header where the manifest has none.
    patient : str
        Groups the images of one patient; the path where the manifest names no patient. Never written anywhere.
    identity : str
        `isotone.data.identity` of the image, where it was asked for; else "".
    trained : bool
        Whether the classifier learned from this image or patient, so that its verdict on it proves nothing.
    known : Known
        What was worked out of these pixels; `dataclasses.replace` begins anew; `told` keeps it.
    """

    pixels: NDArray[np.uint16]
    valid: NDArray[np.bool_]
    prepared: NDArray[np.float32] | None = None
    label: str | None = None
    patient: str = ""
    domain: str | None = None
    split: str | None = None
    header: Header | None = None
    identity: str = ""
    trained: bool = False
    known: Known = field(default_factory=Known, init=False, repr=False)

    def told(self, **facts: Any) -> Self:
        """The same pixels, of which other things are said: the fields from `label` on."""
        other = copy(self)
        other.__dict__.update(facts)
        return other


@dataclass(frozen=True)
class TakeSample:
    """Make a `Sample` of a `Radiograph`; picklable wherever `prepare` is.

    Parameters
    ----------
    prepare : callable, optional
        Radiograph → float32 array of shape (S, S), the classifier's input.
    identify : bool
        Whether the samples get their `identity`.
    """

    prepare: Callable[[Radiograph], NDArray[np.float32]] | None = None
    identify: bool = False

    def __call__(self, radiograph: Radiograph) -> Sample:
        small = radiograph.decimated(SIZE)
        return Sample(
            pixels=quantize(small.tone, 16).astype(np.uint16)[small.stored],
            valid=small.valid,
            prepared=None if self.prepare is None else self.prepare(radiograph),
            domain=radiograph.header.domain,
            header=radiograph.header,
            identity=pixel_identity(radiograph) if self.identify else "",
        )


def load_samples(
    rows: Sequence[Row],
    prepare: Callable[[Radiograph], NDArray[np.float32]] | None = None,
    *,
    workers: int = 1,
    quiet: bool = False,
    cache: Path | None = None,
    identify: bool = False,
) -> tuple[list[Sample], list[IsotoneError]]:
    """Read the images of `rows` into samples, in order.

    Parameters
    ----------
    rows : sequence of Row
    prepare : callable, optional
        As `TakeSample` has it; with a cache, its `repr` says what it does.
    workers : int
        Processes that read images.
    quiet : bool
        No progress bar.
    cache : Path, optional
        Folder in which decoded images are kept under the SHA-256 of their files, so that each is decoded once, and
        once more when it changes. The arrays of the samples are mapped from there and may be more than fit into
        memory. None: they are in memory.
    identify : bool
        Whether the samples get their `identity`.

    Returns
    -------
    samples : list of Sample
    refused : list of IsotoneError
        One for each image that could not be read.
    """
    take = TakeSample(prepare, identify)
    return parted(
        map_images(rows, take, workers=workers, quiet=quiet)
        if cache is None
        else _cached(rows, take, cache, workers, quiet)
    )


def parted(found: Iterable[tuple[Row, Sample | IsotoneError]]) -> tuple[list[Sample], list[IsotoneError]]:
    """The samples, with what the manifest says of each, and the refusals."""
    samples: list[Sample] = []
    refused: list[IsotoneError] = []
    for row, taken in found:
        if isinstance(taken, IsotoneError):
            refused.append(taken)
            continue
        patient, domain = row.patient_id or str(row.path), row.domain or taken.domain
        samples.append(taken.told(label=row.label, patient=patient, domain=domain, split=row.split))
    return samples, refused


@dataclass(frozen=True)
class TakeUnknown:
    """A row → the digest of its content and, unless that is known, its sample."""

    take: TakeSample
    known: Container[str] = frozenset()

    def __call__(self, row: Row) -> tuple[str, Sample | None]:
        key = content_digest(row)
        return key, None if key in self.known else Reading(self.take)(row)


def _cached(
    rows: Sequence[Row], take: TakeSample, folder: Path, workers: int, quiet: bool
) -> Iterator[tuple[Row, Sample | IsotoneError]]:
    # Another version of isotone, or another preparation, makes other arrays of the same file.
    made_by = f"{__version__} {SIZE} {take!r}"
    cache = ArrayCache(folder / hashlib.sha256(made_by.encode()).hexdigest()[:16])
    keys: list[str | IsotoneError] = []
    results = map_isolated(TakeUnknown(take, frozenset(cache)), rows, workers=workers, seconds=time_limit)
    for _, result in progress(results, len(rows), label="reading", quiet=quiet):
        if isinstance(result, IsotoneError):
            keys.append(result)
            continue
        key, sample = result
        keys.append(key)
        if sample is not None:
            cache.put(key, *_to_entry(sample))
    cache.flush()
    for row, known in zip(rows, keys, strict=True):
        yield row, known if isinstance(known, IsotoneError) else _from_entry(cache[known], row)


def _to_entry(sample: Sample) -> Entry:
    arrays: dict[str, NDArray[Any]] = {"pixels": sample.pixels, "valid": sample.valid}
    if sample.prepared is not None:
        arrays["prepared"] = sample.prepared
    header = {} if sample.header is None else asdict(sample.header)
    kept = {name: value for name, value in header.items() if name not in UNCACHED}
    return arrays, kept | {"identity": sample.identity}


def _from_entry(entry: Entry, row: Row) -> Sample:
    arrays, notes = entry
    facts = {name: value for name, value in notes.items() if name != "identity"}
    header = Header(path=row.path, **facts | {"warnings": tuple(notes["warnings"])})
    return Sample(
        arrays["pixels"],
        arrays["valid"],
        arrays.get("prepared"),
        domain=header.domain,
        header=header,
        identity=notes["identity"],
    )
