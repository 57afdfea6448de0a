"""`isotone restore`: undo a delivery, back to the stored values of the source."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from isotone._runtime.files import replace_file
from isotone._runtime.journal import Journal, open_journal
from isotone._runtime.workers import map_isolated
from isotone.data.images import progress, time_limit
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.curves_table import CURVES, is_table, passed_through
from isotone.deployment.deliver import Job, safe_target
from isotone.deployment.dicom_objects.derived_image import BITS, overlays_in_pixels
from isotone.deployment.dicom_objects.encapsulate import EXTENDED, copied
from isotone.deployment.dicom_objects.pixel_value import Mapped, PixelValue, Words
from isotone.deployment.dicom_objects.provenance import OF_THE_BYTES, derived_type
from isotone.deployment.dicom_objects.read_back import confirm_png
from isotone.deployment.dicom_objects.write import copy_file, element_of, write_dicom
from isotone.deployment.plan import Inputs, plan
from isotone.deployment.record import Record, Table, digest_of_values
from isotone.deployment.resume import is_written
from isotone.deployment.row_file import ARRAY
from isotone.errors import IsotoneError, RadiographError, UsageError
from isotone.imaging.dicom.frames import Frames
from isotone.imaging.dicom.read_dicom import open_dicom
from isotone.imaging.dicom.warning_codes import caught_warnings
from isotone.imaging.grey_levels.lookup import gather
from isotone.imaging.own_files import CREATOR, GROUP, NAME, is_resized, record_in
from isotone.imaging.radiograph import Stored
from isotone.imaging.raster.read_raster import SUFFIXES, read_raster
from isotone.safe_text import printable

RESIZED = "it was resized for training, and resized pixels are no source"
KEPT = [Tag(keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
KEPT_GROUPS = (0x0002, 0x7FE0)
"""What no delivery replaces: a record that says so would make a file of which nobody can read the pixels."""


class Task(NamedTuple):
    """A delivered image and the file that its source is written to."""

    path: Path
    target: Path


class Restored(NamedTuple):
    """What became of one image.

    Attributes
    ----------
    status : str
        "restored", or "reference": `apply` had passed it through, and it is copied as it is.
    lost : int
        Pixels that could not be restored: the delivered value stands for several stored values, of which the middle
        one was taken, or for none.
    altered : sequence of str
        In which other ways the image is not the source.
    """

    status: str
    lost: int = 0
    altered: Collection[str] = ()

    @property
    def shortfall(self) -> str:
        """What is not as it was, in words; empty where the image is the source, up to its transfer syntax."""
        pixels = [f"{self.lost} pixels could not be restored exactly"] if self.lost else []
        return "; ".join([*pixels, *self.altered])


@dataclass
class RestoreReport:
    """What `restore` did.

    Attributes
    ----------
    restored : int
        Images written, copies apart; those of an earlier run of the same kind count.
    inexact : dict of path to str
        What could not be restored, in words, of the images that are not their source again.
    copied : list of Path
        Images that `apply` passed through, of the reference or kept: copied byte for byte.
    refused : list of IsotoneError
    """

    restored: int = 0
    inexact: dict[Path, str] = field(default_factory=dict)
    copied: list[Path] = field(default_factory=list)
    refused: list[IsotoneError] = field(default_factory=list)

    def summary(self) -> str:
        """One line, after one for each image that is not exact or was copied."""
        lines = [f"{printable(path)}: {shortfall}" for path, shortfall in self.inexact.items()]
        lines += [f"{printable(path)}: passed through by apply, copied as it is" for path in self.copied]
        counts = {
            "restored exactly": self.restored - len(self.inexact),
            "in part": len(self.inexact),
            "copied": len(self.copied),
            "refused": len(self.refused),
        }
        return "\n".join([*lines, ", ".join(f"{count} {what}" for what, count in counts.items())])


def restore(
    paths: Iterable[str | Path], output: str | Path, *, workers: int = 1, force: bool = False, quiet: bool = False
) -> RestoreReport:
    """Give back the stored values, and the header, of the images that `apply` delivered as pixels or VOI LUT.

    An image that is its source again, up to the transfer syntax, gets its own UIDs back; another stays a derived one.
    Images that `apply` had passed through, as ``curves.csv`` says, are copied. The same call again resumes
    after the last finished image.

    Parameters
    ----------
    paths : iterable of path
        Files, folders or manifests.
    output : path
        Mirrors the input tree; gets a ``journal.sqlite`` too.
    workers : int
        Number of processes; 0: in this one.
    force : bool
        Use the output folder whatever is in it.
    quiet : bool
        No progress bar.

    Raises
    ------
    UsageError
        A path does not exist, or the output folder is in use or holds something else. E_RESTORE: a folder holds an
        array of resized images.
    IsotoneError
        E_WRITE: the output folder cannot be written to.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv").select(domains=["Birch Mammo Two"], splits=["val"])
    >>> harmonizer = isotone.ToneCurveHarmonizer.load("harmonizer")
    >>> report = isotone.apply(harmonizer, manifest, "delivered", quiet=True)
    >>> print(isotone.restore(["delivered"], "restored", quiet=True).summary())
    4 restored exactly, 0 in part, 0 copied, 0 refused
    """
    output = Path(output)
    paths = list(paths)
    for folder in map(Path, paths):
        if (folder / ARRAY).is_file() and is_table(folder / CURVES):
            raise UsageError(RESIZED, code="E_RESTORE", file=folder)
    manifest = Manifest.from_paths(paths)
    inputs = Inputs(manifest, output)
    report = RestoreReport()
    with open_journal(output, {"command": "restore"}, force=force) as journal:
        jobs = plan(inputs, (), "voi-lut", journal)  # which, unlike pixels, changes no file's suffix
        done = {job.key: before for job in jobs if (before := _done_before(job, output, journal))}
        todo = [job for job in jobs if job.key not in done]
        restoring = Restoring(output, frozenset(passed_through(job.path for job in todo)))
        results = map_isolated(restoring, todo, workers=workers, seconds=time_limit)
        with closing(progress(results, len(todo), label="restoring", quiet=quiet)) as fresh:
            for job in jobs:
                result = done[job.key] if job.key in done else next(fresh)[1]
                if isinstance(result, IsotoneError):
                    report.refused.append(result)
                    continue
                journal.note(job.source, job.key, job.path, result._asdict(), target=job.target)
                if result.status == "reference":
                    report.copied.append(job.path)
                else:
                    report.restored += 1
                    if result.shortfall:
                        report.inexact[job.path] = result.shortfall
    return report


@dataclass(frozen=True)
class Restoring:
    """Restores one image."""

    output: Path
    copies: frozenset[Path]

    def __call__(self, job: Job) -> Restored:
        """As `restore_file`, or a copy of what `apply` passed through."""
        target = safe_target(self.output, job.target)
        if is_resized(job.path):
            raise RadiographError("E_RESTORE", RESIZED)
        if job.path in self.copies:
            copy_file(job.path, target)
            return Restored("reference")
        return restore_file(Task(job.path, target))


def _done_before(job: Job, output: Path, journal: Journal) -> Restored | None:
    """What an earlier run made of this very image, if its file is still there."""
    entry = journal.find(job.source)
    if entry is None or not entry.has(job.key) or not is_written(output, entry.target):
        return None
    with suppress(TypeError):  # somebody changed the entry
        return Restored(**entry.body)
    return None


def restore_file(task: Task) -> Restored:
    """Restore one image.

    Raises
    ------
    RadiographError
        E_RESTORE: isotone did not deliver it, or its record is gone or damaged.
    """
    with caught_warnings():
        if task.path.suffix.lower() in SUFFIXES:
            return _restore_png(task)
        with open_dicom(task.path) as opened:
            return _restore_dicom(opened.dataset, opened.frames, task.target)


class Backwards(NamedTuple):
    """A table looked up backwards.

    Attributes
    ----------
    origin : uint16 array of shape (2**16,)
        Stored value, counted from the smallest possible one, of each delivered value. Where that stands for several
        the middle one is given; where it stands for none, that of the nearest that does.
    exact : bool array of shape (2**16,)
        True where it stands for one.
    """

    origin: NDArray[np.uint16]
    exact: NDArray[np.bool_]

    @classmethod
    def of(cls, table: Table) -> Self:
        """Of the delivered value of each stored value, uint16 array of shape (2**bits,)."""
        values, first, count = np.unique(np.sort(table), return_index=True, return_counts=True)
        origin = np.argsort(table, kind="stable")[first + (count - 1) // 2]
        every = np.arange(2**BITS)
        after = np.clip(np.searchsorted(values, every), 0, len(values) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(every - values[before].astype(int) < values[after].astype(int) - every, before, after)
        exact = (values[nearest] == every) & (count[nearest] == 1)
        return cls(origin[nearest].astype(np.uint16), exact)

    def lost(self, delivered: Stored) -> int:
        """How many pixels of a frame cannot be restored for sure."""
        return 0 if self.exact.all() else int(np.count_nonzero(~gather(self.exact, delivered)))


def _restore_png(task: Task) -> Restored:
    delivered = read_raster(task.path)
    with Image.open(task.path) as image:
        text = record_in(image)
    record = None if text is None else Record.from_json(text)
    if record is None or record.table is None:
        raise RadiographError("E_RESTORE", "isotone did not deliver this image")
    backwards = Backwards.of(record.table)
    kind = np.uint8 if len(record.table) <= 2**8 else np.uint16
    pixels = gather(backwards.origin.astype(kind), delivered.stored)
    with replace_file(task.target) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG", compress_level=1)
        confirm_png(temporary, pixels)
    return Restored("restored", backwards.lost(delivered.stored), record.altered)


def _restore_dicom(dataset: Dataset, delivered: Frames, target: Path) -> Restored:
    syntax = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    record, replaced, added = _take_record(dataset)
    derived_uid = str(dataset.get("SOPInstanceUID", ""))
    lost = 0
    for tag in added:
        dataset.pop(tag, None)
    dataset.update(replaced)
    for tag in list(replaced.keys()):  # an archive may have put them into implicit VR, another one back
        dataset[tag] = element_of(dataset, tag)
    if record.table is not None:
        backwards = Backwards.of(record.table)
        lost = sum(map(backwards.lost, delivered))
        for keyword in EXTENDED:
            dataset.pop(keyword, None)
        table = _words(dataset, backwards.origin, len(record.table))
        pixels: PixelValue = Mapped(delivered, table, len(delivered) * delivered.middle.size)
        syntax = ExplicitVRLittleEndian
    else:
        pixels = copied(dataset, delivered)
    altered = list(record.altered)
    if record.untouched is not None and record.untouched != digest_of_values(delivered):
        altered.append("its pixels were changed after the delivery, by lossy compression perhaps")
    result = Restored("restored", lost, altered)
    if result.shortfall:  # another object than the source needs another UID (PS3.3 C.7.6.1.1.2)
        dataset.SOPInstanceUID = record.uid("restored", derived_uid)
        dataset.SeriesInstanceUID = record.uid("restored", str(dataset.get("SeriesInstanceUID", "")))
        dataset.ImageType = derived_type(dataset)
        dataset.DerivationDescription = f"{NAME} restore: {result.shortfall}"[:1024]
        for tag in [*OF_THE_BYTES, *overlays_in_pixels(dataset)]:
            dataset.pop(tag, None)
    write_dicom(dataset, syntax, target, pixels)
    return result


def _words(dataset: Dataset, origin: NDArray[np.uint16], entries: int) -> Words:
    """The word, as the header describes it, of each delivered value; `origin` is its stored value."""
    bits, allocated = dataset.get("BitsStored"), dataset.get("BitsAllocated")
    high = dataset.get("HighBit", entries.bit_length() - 2)
    if bits not in range(1, 17) or entries != 2**bits or allocated not in (8, 16) or high not in range(16):
        raise RadiographError("E_RESTORE", "its isotone record and its header disagree")
    if dataset.get("PixelRepresentation") == 1:  # the sign goes all the way up the word
        origin = origin - np.uint16(2 ** (bits - 1))
    words: NDArray[np.uint16] = origin << max(high + 1 - bits, 0)
    return words.astype(np.uint8) if allocated == 8 else words.astype("<u2")


def _take_record(dataset: Dataset) -> tuple[Record, Dataset, list[BaseTag]]:
    """Take the private block out of a dataset: the record, the elements it replaced, the tags it added."""
    try:
        block = dataset.private_block(GROUP, CREATOR)
    except KeyError:
        raise RadiographError("E_RESTORE", "isotone did not deliver this image, or its record is gone") from None
    try:
        record = Record.from_json(block[0x01].value)
        replaced, added = _items(block[0x02], dataset)[0], _tags(block[0x03])
    except Exception:  # pydicom raises many types for malformed values, and somebody may have changed these
        raise RadiographError("E_RESTORE", "its isotone record is damaged") from None
    if any(tag in KEPT or tag.group in KEPT_GROUPS for tag in (*replaced.keys(), *added)):
        raise RadiographError("E_RESTORE", "its isotone record is damaged")
    ours = [block.block_start + offset for offset in range(0x100)] + [block.block_start >> 8]
    for element in ours:
        dataset.pop(Tag(GROUP, element), None)
    return record, replaced, added


def _items(element: DataElement, dataset: Dataset) -> Sequence:
    """A sequence, or the bytes that implicit VR has made of one, which stay in that encoding (PS3.5 6.2.2)."""
    if element.VR != "UN":
        return Sequence(element.value)
    data = element.value
    return read_sequence(io.BytesIO(data), True, True, len(data), dataset.original_character_set)


def _tags(element: DataElement) -> list[BaseTag]:
    if element.VR == "UN":
        pairs = np.frombuffer(element.value, "<u2").reshape(-1, 2)
        return [Tag(int(group), int(number)) for group, number in pairs]
    value = element.value
    return [Tag(tag) for tag in ([value] if isinstance(value, int) else value or [])]
