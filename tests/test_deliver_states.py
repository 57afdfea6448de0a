"""What presentation states need of an image, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest

from bad_dicoms import FAULTS
from dicoms import radiograph, write
from harmonizers import scanner_harmonizer
from isotone.apply import apply
from isotone.data.manifest import Manifest
from isotone.gate import Gate
from isotone.harmonizer import ToneCurveHarmonizer
from isotone.look import SIZE

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


@pytest.fixture
def gated() -> ToneCurveHarmonizer:
    """A harmonizer with a scanner's curve, whose gate lets no image pass."""
    harmonizer = scanner_harmonizer(HOLOGIC)
    looks = np.random.default_rng(0).normal(50, 0.01, (40, SIZE + 1))
    harmonizer.gates = {HOLOGIC: Gate.fit(looks, [str(i) for i in range(40)], looks, ["a", "b"] * 20)}
    harmonizer.seen = {HOLOGIC: {"intent": {"FOR PRESENTATION": 40}}}
    return harmonizer


def states(harmonizer, paths, output, **options):
    manifest = Manifest.from_paths(paths)
    return apply(harmonizer, manifest, output, deliver="gsps", workers=0, quiet=True, **options)


def test_a_scanner_curve_needs_no_pixel_even_where_the_fit_left_a_gate(gated, tmp_path):
    FAULTS["rle-damage"].build(tmp_path / "a.dcm")  # whoever decodes it fails
    report = states(gated, [tmp_path / "a.dcm"], tmp_path / "out")
    assert (report.harmonized, report.refused) == (1, [])
    assert [line.split(":")[0] for line in report.warnings] == ["W_NO_LOOK"]
    pixels = apply(gated, Manifest.from_paths([tmp_path / "a.dcm"]), tmp_path / "pixels", workers=0, quiet=True)
    assert [(error.code, pixels.warnings) for error in pixels.refused] == [("E_DECODE", [])]


def test_what_the_header_tells_is_still_refused(gated, tmp_path):
    (tmp_path / "in").mkdir()
    write(radiograph(intent="FOR PROCESSING"), tmp_path / "in" / "intent.dcm")
    write(radiograph(vendor="ge"), tmp_path / "in" / "vendor.dcm")
    for name in ("truncated-encapsulated", "65535-squared", "rescale-slope-0"):
        FAULTS[name].build(tmp_path / "in" / f"{name}.dcm")
    report = states(gated, [tmp_path / "in"], tmp_path / "out")
    assert sorted(error.code for error in report.refused) == [
        "E_DOMAIN",
        "E_GEOMETRY",
        "E_INTENT",
        "E_RESCALE",
        "E_TRUNCATED",
    ]


def test_nothing_is_said_of_looks_where_there_is_no_gate_or_force(gated, tmp_path):
    write(radiograph(), tmp_path / "a.dcm")
    assert states(gated, [tmp_path / "a.dcm"], tmp_path / "forced", force=True).warnings == []
    assert states(scanner_harmonizer(HOLOGIC), [tmp_path / "a.dcm"], tmp_path / "out").warnings == []
