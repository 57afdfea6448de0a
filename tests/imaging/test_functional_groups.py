"""What an enhanced image of one frame says in its functional groups."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from dicoms import grouped, radiograph
from isotone.imaging.dicom.functional_groups import GROUPS, MODALITY, VOI, holder


@pytest.mark.parametrize("place", GROUPS)
def test_a_window_is_found_in_either_functional_group(place):
    ds = grouped(radiograph(), place, WindowCenter="900", WindowWidth="1500")
    assert holder(ds, VOI, "WindowCenter").WindowWidth == 1500
    assert holder(ds, MODALITY, "RescaleSlope").RescaleSlope == 1


def test_the_groups_go_before_the_data_set_and_the_data_set_serves_where_they_are_silent():
    ds = grouped(radiograph(), GROUPS[1], WindowCenter="900", WindowWidth="1500")
    ds.WindowCenter, ds.WindowWidth = 1, 2
    assert holder(ds, VOI, "WindowCenter", "VOILUTSequence").WindowCenter == 900
    assert holder(ds, VOI, "VOILUTFunction") is ds
    ds.PerFrameFunctionalGroupsSequence[0].FrameVOILUTSequence = [Dataset()]
    assert holder(ds, VOI, "WindowCenter").WindowCenter == 900
    assert holder(radiograph(), VOI, "WindowCenter").WindowWidth == 4096


@pytest.mark.parametrize("groups", [None, [], [Dataset()]])
def test_groups_that_are_empty_or_missing_hold_nothing(groups):
    ds = radiograph()
    for keyword in GROUPS:
        setattr(ds, keyword, groups or [])
    assert holder(ds, VOI, "WindowCenter") is ds
