"""One tree of errors: every message is one line that says what, which file and what to do next."""

from __future__ import annotations

from pathlib import Path

from isotone.safe_text import printable


def installing(extra: str) -> str:
    """What to do where an optional package is missing; isotone is on no package index."""
    return (
        f'Install it: pip install -e ".[{extra}]" in a clone of isotone, or pip install "WHEEL[{extra}]" of its wheel.'
    )


NEXT_STEP = {
    "E_NOT_DICOM": "Give a DICOM file, or a greyscale PNG, TIFF or JPEG; unpack archives first.",
    "E_TRUNCATED": "Fetch the file again: it is incomplete.",
    "E_GEOMETRY": "Fetch the file again: its header and its pixel data disagree, or it is too large.",
    "E_BOMB": "Decompress the file with a tool you trust, if you trust its origin.",
    "E_LENGTH": "Fetch the file again: an element claims more bytes than the file has.",
    "E_DEPTH": "Do not use the file: its sequences are nested beyond any real object.",
    "E_DECODE": "Fetch the file again, or decompress it with another codec first (dcmdjpeg, gdcmconv).",
    "E_RANGE": "Fetch the file again: decoded values exceed BitsStored.",
    "E_TIMEOUT": "Fetch the file again, or decompress it with another codec first.",
    "E_CRASH": "Decompress the file with another codec first; the codec crashed on it twice.",
    "E_NO_PIXELS": "Give the image itself: this object has no pixel data.",
    "E_UNSUPPORTED": "Convert it to a single-frame greyscale image first.",
    "E_CODEC": "Fetch it from the archive, or have it converted, in Explicit VR Little Endian.",
    "E_RESCALE": "Correct RescaleSlope or the Modality LUT in the source.",
    "E_EMPTY_IMAGE": "Leave the image out: it shows nothing.",
    "E_INTENT": "Use a model fitted on this PresentationIntentType; --allow intent applies the curve all the same.",
    "E_DOMAIN": "Say which known scanner it is by --domain-map OLD=NEW, or fit a curve for it.",
    "E_OOD": "Look at the image: it is unlike those of the fit; --allow look applies the curve all the same.",
    "E_ALREADY": "Use the source image: this one is already harmonized; --allow harmonized does it again.",
    "E_DUPLICATE": "Remove one of the two objects that share a SOPInstanceUID.",
    "E_READ": "Check that the path exists and that it can be read.",
    "E_NOT_REGULAR": "Give regular files, or links to them; folders behind links are to be named themselves.",
    "E_RASTER": "Give a greyscale PNG, TIFF or JPEG of 8 or 16 bits.",
    "E_WRITE": "Check the free space and the permissions of the output folder, then run the same command again.",
    "E_WRITTEN": "Run the same command again; if that fails too, check disk and memory, or decompress the source.",
    "E_MODEL": "Fit or train it again, or fetch the folder again from its source.",
    "E_CURVE": "Fit the curve again.",
    "E_RESTORE": "Use the source image: this one carries no isotone curve that can be undone.",
    "E_MANIFEST": "Correct the manifest.",
    "E_RESULTS": "Run evaluate again with this version, or fetch the folder again from its source.",
    "E_USAGE": "See --help.",
    "E_EXTRA": installing("train"),
    "E_WEIGHTS": "Give a file of weights, or use --perceptual classifier.",
    "E_DATA": "Add images or labels, or leave this domain out.",
}
"""Stable codes of refusals (public API) and the next step each one advises when its raiser names no better."""


class IsotoneError(Exception):
    """Whatever isotone refuses or fails at.

    Parameters
    ----------
    code : str
        A key of `NEXT_STEP`.
    what : str
        What is wrong, in one clause, without patient data.
    file : path, optional
        The file concerned, as the user gave it.
    next_step : str, optional
        What to do; by default the advice of `NEXT_STEP`.

    Examples
    --------
    >>> import isotone
    >>> try:
    ...     isotone.read_radiograph("missing.dcm")
    ... except isotone.IsotoneError as error:
    ...     print(error.code, error.exit_code)
    E_READ 1
    """

    exit_code = 1

    def __init__(self, code: str, what: str, *, file: str | Path | None = None, next_step: str | None = None) -> None:
        self.code = code
        self.what = what
        self.file = None if file is None else str(file)
        self.next_step = next_step or NEXT_STEP[code]
        super().__init__(code, what, self.file, self.next_step)

    def to_json(self) -> dict[str, object]:
        """The fields of a refusal in the output for programs (``docs/json.md``)."""
        return {
            "path": self.file,
            "status": "refused",
            "code": self.code,
            "message": self.what,
            "next_step": self.next_step,
        }

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""  # with its blanks and line breaks: it names no other file then
        line = f"{self.what} [{self.code}]. {self.next_step}"
        return printable(where + " ".join(line.split()))

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword arguments do not cross a process boundary by themselves.
        return _rebuild, (type(self), self.code, self.what, self.file, self.next_step)


def _rebuild(kind: type[IsotoneError], code: str, what: str, file: str | None, next_step: str) -> IsotoneError:
    return kind(code, what, file=file, next_step=next_step)


class RadiographError(IsotoneError):
    """One image is refused; the others go on."""


class ModelError(IsotoneError):
    """A curve, harmonizer or classifier file is damaged, foreign or of another version."""


class UsageError(IsotoneError):
    """The command or call cannot be carried out as it was given (exit code 2)."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        code: str = "E_USAGE",
        file: str | Path | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(code, what, file=file, next_step=next_step)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_usage, (self.what, self.code, self.file, self.next_step)


def _rebuild_usage(what: str, code: str, file: str | None, next_step: str) -> UsageError:
    return UsageError(what, code=code, file=file, next_step=next_step)
