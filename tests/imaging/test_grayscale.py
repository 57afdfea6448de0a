"""Grayscale stages: the formulas of PS3.3 C.11, pinned to pydicom, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence

from isotone.imaging.grey_levels import grayscale

bits = st.integers(1, 16)
finite = st.floats(-1e6, 1e6, allow_nan=False)


def described(bits: int, signed: bool, **attributes: object) -> Dataset:
    ds = Dataset()
    ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", bits, int(signed)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def test_stored_values_are_all_the_values_that_the_bits_can_hold():
    assert grayscale.stored_values(3, signed=False).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert grayscale.stored_values(3, signed=True).tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]


@given(bits, st.booleans(), finite, st.floats(1, 1e5), st.sampled_from(grayscale.VOI_FUNCTIONS))
def test_windows_equal_pydicoms_within_rounding(bits, signed, center, width, function):
    values = grayscale.stored_values(bits, signed)
    ds = described(bits, signed, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    low, high = values[0], values[-1]
    with np.errstate(over="ignore"):
        theirs = (apply_windowing(values.astype(np.int32), ds) - low) / (high - low)
    np.testing.assert_allclose(
        grayscale.window(values, float(ds.WindowCenter), float(ds.WindowWidth), function), theirs, atol=1e-12
    )


@pytest.mark.parametrize("function", grayscale.VOI_FUNCTIONS)
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000.5, 700), (100, 1)])
def test_usual_windows_of_12_bits_equal_pydicoms(function, center, width):
    values = grayscale.stored_values(12, signed=False)
    ds = described(12, False, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    if function == "LINEAR" and width == 1:  # pydicom divides by zero there, the standard says threshold
        theirs = (values > center - 0.5).astype(float)
    else:
        theirs = apply_windowing(values.astype(np.uint16), ds) / 4095
    np.testing.assert_allclose(grayscale.window(values, center, width, function), theirs, atol=1e-12)


@given(bits, finite, st.floats(1, 1e5), st.sampled_from(grayscale.VOI_FUNCTIONS))
def test_windows_never_decrease_and_stay_in_the_unit_range(bits, center, width, function):
    shown = grayscale.window(grayscale.stored_values(bits, False), center, width, function)
    assert (np.diff(shown) >= 0).all()
    assert shown.min() >= 0
    assert shown.max() <= 1


@given(bits.filter(lambda n: n > 1))
def test_the_window_of_center_half_and_width_whole_is_the_full_range(bits):
    values = grayscale.stored_values(bits, False)
    shown = grayscale.window(values, 2 ** (bits - 1), 2**bits)
    np.testing.assert_allclose(shown, grayscale.full_range(values), atol=1e-12)


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        (100, 0, "LINEAR"),
        (100, 0.5, "LINEAR"),
        (100, -5, "LINEAR_EXACT"),
        (100, 0, "SIGMOID"),
        (float("inf"), 100, "LINEAR"),
        (float("nan"), 100, "LINEAR"),
        (100, float("nan"), "SIGMOID"),
        (100, 100, "LOG"),
    ],
)
def test_unusable_windows_are_refused(center, width, function):
    with pytest.raises(ValueError, match=r"window|width|function"):
        grayscale.window(grayscale.stored_values(8, False), center, width, function)


@given(st.integers(-500, 500), st.lists(st.integers(0, 65535), min_size=2, max_size=50))
def test_tables_equal_pydicoms_beyond_their_ends_too(first, entries):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [len(entries), first, 16])
    item.add_new("LUTData", "US", entries)
    values = grayscale.stored_values(10, signed=True)
    theirs = apply_voi_lut(values.astype(np.int32), described(10, True, VOILUTSequence=Sequence([item])))
    np.testing.assert_array_equal(grayscale.look_up(values, np.asarray(entries), first), theirs)


@given(bits, st.booleans(), st.floats(-100, 100), finite)
def test_rescaling_equals_pydicoms(bits, signed, slope, intercept):
    assume(slope != 0)
    values = grayscale.stored_values(bits, signed)
    ds = described(bits, signed, RescaleSlope=slope, RescaleIntercept=intercept)
    theirs = apply_modality_lut(values.astype(np.int32), ds)
    np.testing.assert_array_equal(grayscale.rescale(values, float(ds.RescaleSlope), float(ds.RescaleIntercept)), theirs)


@given(st.lists(finite, min_size=2, unique=True))
def test_the_full_range_spans_zero_to_one_in_the_order_of_the_values(values):
    array = np.asarray(values)
    assume(np.ptp(array) > 1e-6)
    spread = grayscale.full_range(array)
    assert spread[array.argmin()] == 0
    assert spread[array.argmax()] == 1
    assert (np.diff(spread[array.argsort()]) >= 0).all()


def test_a_range_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no range"):
        grayscale.full_range(np.full(5, 3.0))
    with pytest.raises(ValueError, match="slope"):
        grayscale.rescale(np.arange(4.0), 0, 1)
    with pytest.raises(ValueError, match="no entries"):
        grayscale.look_up(np.arange(4.0), np.array([], np.uint16), 0)
