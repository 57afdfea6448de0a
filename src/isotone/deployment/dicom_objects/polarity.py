"""The polarity of an image as it was read, where its header says another one, or two."""

from __future__ import annotations

from pydicom.dataset import Dataset

from isotone.imaging.grey_levels.presentation import polarity
from isotone.imaging.radiograph import Header


def polarity_of(dataset: Dataset, header: Header) -> Dataset:
    """The elements that make a header say the polarity that its image was read with; none where it does already.

    Parameters
    ----------
    dataset : Dataset
        As read.
    header : Header
        Of the image, `inverted` as it was taken: by the user's word, or by PresentationLUTShape against the photometric
        interpretation.
    """
    changes = Dataset()
    plain = dataset.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")  # no blanks, no lower case
    if not plain or any(said not in (None, header.inverted) for said in polarity(dataset)):
        changes.PhotometricInterpretation = "MONOCHROME1" if header.inverted else "MONOCHROME2"
        if "PresentationLUTShape" in dataset:
            changes.PresentationLUTShape = "INVERSE" if header.inverted else "IDENTITY"
    return changes
