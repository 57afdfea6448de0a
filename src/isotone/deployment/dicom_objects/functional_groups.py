"""New grey stages for an enhanced image, whose old ones lie in its functional groups (PS3.3 C.7.6.16.2)."""

from __future__ import annotations

import copy

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from isotone.deployment.dicom_objects.write import element_of
from isotone.imaging.dicom.functional_groups import GROUPS, MODALITY, VOI

MEANINGS = ("RealWorldValueMappingSequence", "PixelIntensityRelationshipLUTSequence")
"""Macros that say what the old stored values mean (C.7.6.16.2.11, C.8.19.6.5)."""
VOI_KEYWORDS = ("WindowCenter", "WindowWidth", "VOILUTSequence")
RESCALE = ("RescaleIntercept", "RescaleSlope", "RescaleType")


def regrouped(
    dataset: Dataset, stages: Dataset, *, intercept: int = 0, pixels: bool, window: tuple[str, str] | None = None
) -> Dataset:
    """The functional groups with the new stages wherever the old ones are; those of several frames, once for all.

    The new stages are in the data set, too, where programs look that know no functional groups; both say the same.

    Parameters
    ----------
    dataset : Dataset
        The source.
    stages : Dataset
        With the new window or VOI LUT, which takes the place of each Frame VOI LUT; without one these go.
    intercept : int
        Of the new rescale, of slope 1.
    pixels : bool
        The pixels are new: what says the meaning of the old ones goes, and each FrameType says DERIVED.

    window : pair of str, optional
        Center and width that the groups have beside a VOI LUT, where their macro needs them.

    Returns
    -------
    Dataset
        Of the `GROUPS` those that the source has.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: they cannot be parsed.
    """
    voi, modality = Dataset(), Dataset()
    for element in (stages[keyword] for keyword in VOI_KEYWORDS if keyword in stages):
        voi.add(element)
    if window is not None:
        voi.WindowCenter, voi.WindowWidth = window
    modality.RescaleIntercept, modality.RescaleSlope, modality.RescaleType = str(intercept), "1", "US"
    changes = Dataset()
    for keyword in GROUPS:
        before = element_of(dataset, Tag(keyword)).value if keyword in dataset else None
        if isinstance(before, Sequence) and len(before):
            after = Sequence([copy.deepcopy(group) for group in before])
            for group in after:
                _replace(group, voi, modality, pixels)
            setattr(changes, keyword, after)
    own, shared = (changes.get(keyword) or [] for keyword in GROUPS)
    _share(own, shared)
    return changes


def _share(own: Sequence | list[Dataset], shared: Sequence | list[Dataset]) -> None:
    """Move the stages of several frames, which are alike now, to the shared group: a VOI LUT for each frame is long."""
    if len(own) > 1 and shared:
        for macro in (VOI, MODALITY):
            for group in own:
                if macro in group:
                    shared[0][macro] = group[macro]
                    del group[macro]


def _replace(group: Dataset, voi: Dataset, modality: Dataset, pixels: bool) -> None:
    for macro, stage in ((VOI, voi), (MODALITY, modality)):
        if macro in group:
            del group[macro]
            if len(stage):
                setattr(group, macro, Sequence([copy.deepcopy(stage)]))
    if pixels:
        for macro in MEANINGS:
            group.pop(macro, None)
        for item in (item for tag in list(group.keys()) for item in _items(group, tag)):
            if isinstance(item.get("FrameType"), MultiValue):
                item.FrameType = ["DERIVED", *item.FrameType[1:]]


def _items(group: Dataset, tag: int) -> list[Dataset]:
    value = element_of(group, Tag(tag)).value
    return list(value) if isinstance(value, Sequence) else []
