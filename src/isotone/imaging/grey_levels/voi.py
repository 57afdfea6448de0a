"""The VOI LUT or window of an image: of several alternatives one that can be used (PS3.3 C.11.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from isotone.imaging.dicom.element_value import value_of
from isotone.imaging.dicom.functional_groups import VOI, holder
from isotone.imaging.dicom.header_values import coded
from isotone.imaging.dicom.warning_codes import Warned
from isotone.imaging.grey_levels import grayscale
from isotone.imaging.grey_levels.grayscale import Floats
from isotone.imaging.grey_levels.levels import Levels
from isotone.imaging.grey_levels.lut_data import LookUpTable

EMPTY = (None, "")
"""What pydicom has in the place of a value that is not there."""


@dataclass(frozen=True)
class Voi:
    """What was taken.

    Attributes
    ----------
    display : float64 array of the shape of the modality values
        Their display, 0 to 1.
    words : str
        The table or window in words, and which of how many.
    explanation : str or None
        What the file calls it, if with a code: explanations are free text, and only codes leave the file.
    """

    display: Floats
    words: str
    explanation: str | None


@dataclass(frozen=True)
class _Alternative:
    name: Any
    build: Callable[[], tuple[Floats, str]]


def read_voi(header: Dataset, modality: Levels, warned: Warned, wanted: str | None = None) -> Voi | None:
    """The first VOI LUT that can be used, else the first window (which of both is first, the standard leaves open).

    Parameters
    ----------
    header : Dataset
        Of an enhanced image, its functional groups are looked into first.
    modality : Levels
        Modality value of every stored value.
    warned : Warned
        Takes W_WINDOW for each that cannot be used, W_TABLE.
    wanted : str, optional
        Take the one with this explanation.
    """
    for alternatives in (_tables, _windows):
        try:
            place = holder(header, VOI, "VOILUTSequence", "WindowCenter")
            found = list(alternatives(place, header, modality, warned))
        except Exception:  # pydicom raises many types for malformed values
            warned.add("W_WINDOW")
            continue
        for number, alternative in enumerate(found):
            if wanted is not None and not _is_called(alternative.name, wanted):
                continue
            try:
                display, words = alternative.build()
            except Exception:
                warned.add("W_WINDOW")
                continue
            name = coded(str(alternative.name).strip()) if alternative.name else None
            return Voi(display, f"{words}{_of(number, len(found))}", name)
    return None


def _tables(place: Dataset, header: Dataset, modality: Levels, warned: Warned) -> Iterator[_Alternative]:
    def build(item: Dataset) -> tuple[Floats, str]:
        table = LookUpTable.read(item, header, bool(modality.values.min() < 0))
        if table.white != 2**table.depth - 1:
            warned.add("W_TABLE")
        display = grayscale.look_up(modality.values, table.entries, table.first) / table.white
        return display, f"VOI LUT of {len(table.entries)} entries"

    for item in value_of(place, "VOILUTSequence") or []:
        yield _Alternative(value_of(item, "LUTExplanation"), lambda item=item: build(item))  # type: ignore[misc]


def _windows(place: Dataset, header: Dataset, modality: Levels, warned: Warned) -> Iterator[_Alternative]:
    centers, widths, functions, names = (
        _values(value_of(place, keyword))
        for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction", "WindowCenterWidthExplanation")
    )
    if len(centers) != len(widths):
        centers, widths = ([one for one in some if one not in EMPTY] for some in (centers, widths))
    for number, (center, width) in enumerate(zip(centers, widths, strict=True)):
        if center in EMPTY and width in EMPTY:
            continue
        # It has one value (PS3.3 C.11.2.1.3), but some writers give one for each window.
        function = (functions[number if len(functions) == len(centers) else 0] if functions else None) or "LINEAR"
        function = str(function).strip().upper()

        def build(center: Any = center, width: Any = width, function: str = function) -> tuple[Floats, str]:
            display = modality.window(float(center), float(width), function)
            return display, f"{function} {float(center):g}/{float(width):g}"

        yield _Alternative(names[number] if number < len(names) else None, build)


def _values(value: Any) -> list[Any]:
    """All values, empty ones too, for each belongs to that of the same place; but a backslash too many is none more."""
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    while values and values[-1] in EMPTY:
        values.pop()
    return values


def _is_called(name: Any, wanted: str) -> bool:
    return bool(name) and str(name).strip().casefold() == wanted.strip().casefold()


def _of(number: int, count: int) -> str:
    if count < 2:
        return ""
    return f" ({'first' if number == 0 else f'number {number + 1}'} of {count})"
