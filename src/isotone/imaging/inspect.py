"""What is known of images before anything is done with them, and what reading would refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from pydicom.uid import UID

from isotone._runtime.workers import map_isolated
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.dicom.frame import NATIVE
from isotone.imaging.folder import images_in
from isotone.imaging.no_image import is_no_image
from isotone.imaging.opening.bounded_file import small_headers
from isotone.imaging.radiograph import Header
from isotone.imaging.read import read_header, read_radiograph
from isotone.safe_text import printable

SECONDS, SECONDS_PER_BYTE = 20.0, 2e-6
"""Time limit of one file."""


BATCH = 4 * 2**20
"""Bytes of files that a process gets at once: small ones take less time than a message."""
PLAIN = 2**20
"""Bytes of a file that may be read in this process: one that is all elements takes about four seconds."""
SAID = (
    *("domain", "format", "modality", "body_part", "view", "laterality", "intent", "rows", "columns", "frames"),
    *("bits_stored", "signed", "inverted", "window", "explanation", "photometric", "transfer_syntax"),
)
"""Fields of a header in the output for programs: neither identifiers nor UIDs."""


class Listed(NamedTuple):
    """A file and what a manifest says of it; `found` in a folder, it may be no image at all."""

    path: Path
    domain: str | None = None
    inverted: bool | None = None
    found: bool = False


@dataclass(frozen=True)
class Finding:
    """One file: what it is, or why it is refused.

    Attributes
    ----------
    path : Path
        As the user gave it, or below a folder that the user gave.
    header : Header or None
        None where it is refused.
    error : IsotoneError or None
        The refusal.
    """

    path: Path
    header: Header | None = None
    error: IsotoneError | None = None

    def line(self) -> str:
        """Everything in one line."""
        if self.header is None:
            return str(self.error)
        h = self.header
        facts = [
            h.domain or "no domain: name it with domain=",
            h.modality or h.format.upper(),
            *filter(None, [h.body_part, h.view, h.laterality]),
            f"{h.rows} × {h.columns}",
            *([f"{h.frames} frames"] if h.frames > 1 else []),
            f"{h.bits_stored} bits{' signed' if h.signed else ''}",
            # A raster file says nothing: 0 is black unless the user says otherwise.
            "inverted" if h.inverted else "not inverted" if h.format == "dicom" else "not inverted (assumed)",
            " ".join(filter(None, ["window", h.window, h.explanation])) if h.window else "no window",
            *filter(None, [h.intent]),
            *([UID(h.transfer_syntax).name] if h.transfer_syntax else []),
            *_deliveries(h),
            *h.warnings,
        ]
        return printable(f"{self.path}: {' '.join('; '.join(facts).split())}")

    def to_json(self) -> dict[str, object]:
        """The fields of an image in the output for programs (``docs/json.md``)."""
        if self.header is None:
            return {**(self.error.to_json() if self.error else {}), "path": str(self.path)}
        fields = {name: getattr(self.header, name) for name in SAID}
        fine = {"path": str(self.path), "status": "ok", "code": None, "message": None, "next_step": None}
        return fine | fields | {"warnings": list(self.header.codes)}


def _deliveries(header: Header) -> list[str]:
    """What `apply` can make of such an image, where that is not everything; faults are among its warnings."""
    if header.format != "dicom":
        return ['deliver="pixels" only']
    return ['no deliver="voi-lut"'] if header.intent == "FOR PROCESSING" else []


@dataclass(frozen=True)
class _Look:
    domain: str | None
    name: Callable[[Header], str | None] | None
    inverted: bool | None
    decode: bool

    def __call__(self, item: Listed) -> Header | None:
        inverted = item.inverted if self.inverted is None else self.inverted
        try:
            if self.decode:
                header = read_radiograph(item.path, domain=self.domain, inverted=inverted).header
            else:
                header = read_header(item.path, domain=self.domain, inverted=inverted)
        except IsotoneError as error:
            if item.found and is_no_image(item.path, error):
                return None
            raise
        header = replace(header, domain=item.domain or header.domain)
        return header if self.name is None else replace(header, domain=self.name(header))


def inspect(
    paths: Iterable[str | Path | Listed],
    *,
    domain: str | None = None,
    name: Callable[[Header], str | None] | None = None,
    inverted: bool | None = None,
    decode: bool = True,
    workers: int = 1,
    left_out: Callable[[Path], object] = lambda path: None,
) -> Iterator[Finding]:
    """Look at files and, in depth, at folders.

    Parameters
    ----------
    paths : iterable of path or Listed
        Files and folders; of a folder, what is an image (`isotone.imaging.folder`, `no_image`). What a manifest says of
        a file goes before what its header says.
    domain, inverted
        As for `isotone.imaging.read.read_radiograph`.
    name : callable, optional
        Picklable; what the domain is called, from the header.
    decode : bool
        Decode the pixels too; False is faster and sees what the header tells.
    workers : int
        Processes that decode; 0: this one, without isolation.
    left_out : callable
        Gets the files of folders that are no images.

    Yields
    ------
    Finding
        In the order of the paths; refusals are yielded, not raised. So is that of a second image of one UID.

    Examples
    --------
    >>> import isotone
    >>> (finding,) = isotone.inspect(["phantom/images/alder/P0001/LCC.dcm"])
    >>> finding.header.domain, finding.header.bits_stored, finding.error
    ('Alder Mammo One', 12, None)
    """
    look = _Look(domain, name, inverted, decode)
    items = (item for given in paths for item in _files(given, left_out))
    met: set[str | None] = set()
    first = [*islice(items, 2)]
    if len(first) == 1 and _is_plain(first[0].path):
        workers = 0  # starting a process would take longer than the file
    for item, result in map_isolated(look, chain(first, items), workers=workers, seconds=_seconds, share=_share):
        if isinstance(result, IsotoneError):
            yield Finding(item.path, error=result)
        elif result is None:
            left_out(item.path)
        elif result.instance_uid is not None and result.instance_uid in met:
            yield Finding(item.path, error=duplicate(item.path))
        else:
            met.add(result.instance_uid)
            yield Finding(item.path, header=result)


def _is_plain(path: Path) -> bool:
    """Whether reading a file is bounded work without a process of its own: a small DICOM file that no codec decodes."""
    try:
        if path.stat().st_size > PLAIN:
            return False
        with small_headers():
            return read_header(path).transfer_syntax in NATIVE
    except (OSError, ValueError, IsotoneError):
        return False


def duplicate(path: Path) -> RadiographError:
    """The refusal of an image that an archive would take for an earlier one."""
    return RadiographError("E_DUPLICATE", "its SOP Instance UID is that of an earlier image", file=path)


def _files(given: str | Path | Listed, left_out: Callable[[Path], object]) -> Iterator[Listed]:
    if isinstance(given, Listed):
        yield given
        return
    given = Path(given)
    if not given.is_dir():
        yield Listed(given)
        return
    for path in images_in(given, left_out):
        yield Listed(path, found=True)


def _seconds(item: Listed) -> float:
    return SECONDS + SECONDS_PER_BYTE * _size(item)


def _share(item: Listed) -> float:
    return _size(item) / BATCH


def _size(item: Listed) -> int:
    try:
        return item.path.stat().st_size
    except OSError:
        return 0  # reading it will say what is wrong
