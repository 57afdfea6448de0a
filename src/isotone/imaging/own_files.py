"""Recognising what isotone itself has made, so that no image is harmonized twice."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from PIL import Image
from pydicom.dataset import Dataset

from isotone.imaging.dicom.element_value import value_of

NAME = "isotone"
RESIZED = "isotone-resized"
"""Key of the text in a PNG that was resized for training, harmonized or not."""
GROUP, CREATOR = 0x0073, "ISOTONE"
"""Private block: 01 the record as JSON (UT), 02 the replaced elements (SQ), 03 the tags of the added ones (AT)."""


def is_ours(dataset: Dataset) -> bool:
    """Whether isotone made this object: archives may have stripped the private block, the equipment stays."""
    if any(tag >> 16 == GROUP for tag in dataset.keys()) and CREATOR in dataset.private_creators(GROUP):  # noqa: SIM118
        return True
    equipment = value_of(dataset, "ContributingEquipmentSequence") or []
    return any(item.get("Manufacturer") == NAME for item in equipment)


def record_in(image: Image.Image) -> str | None:
    """The record, as JSON, in a PNG that isotone made; None in any other image."""
    text = getattr(image, "text", {}).get(NAME)
    return None if text is None else str(text)


def is_resized(path: Path) -> bool:
    """Whether a file is a PNG that isotone resized for training."""
    if path.suffix.lower() != ".png":
        return False
    with suppress(OSError, ValueError, Image.DecompressionBombError), Image.open(path, formats=["PNG"]) as image:
        return RESIZED in getattr(image, "text", {})
    return False
