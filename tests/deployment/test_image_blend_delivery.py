"""Images that each get a part of their own histogram matching: delivered with their own curves, and given back."""

import csv

import numpy as np
import pytest

from dicoms import pixels, radiograph, write
from harmonizers import CURVE, change, scanner_harmonizer
from isotone import apply, read_radiograph, restore
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import TakeSample
from isotone.estimation.image_blend import ImageBlend
from isotone.harmonizer.mappers import BlendMapper

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


@pytest.fixture
def cohort(tmp_path):
    """Two images, and a harmonizer for them."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("a.dcm", "b.dcm")):
        write(radiograph(pixels(seed=number) // (1 + number), seed=number), tmp_path / "in" / name)
    reference = TakeSample()(read_radiograph(tmp_path / "in" / "a.dcm"))
    harmonizer = scanner_harmonizer(HOLOGIC)
    change(harmonizer, HOLOGIC, mapper=BlendMapper(CURVE, ImageBlend.fit([reference])))
    return harmonizer, tmp_path / "in"


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_every_delivery_gives_each_image_its_own_curve(cohort, tmp_path, deliver):
    harmonizer, source = cohort
    report = apply(harmonizer, Manifest.from_paths([source]), tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    assert (report.harmonized, report.refused) == (2, [])
    with report.curves.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["max_slope"] != rows[1]["max_slope"]
    assert [row["coefficients"] for row in rows] == ["", ""]
    if deliver == "pixels":
        image = read_radiograph(source / "b.dcm")
        delivered = read_radiograph(tmp_path / "out" / "b.dcm")
        assert np.abs(delivered.pixels - harmonizer.curve(image)(image.pixels)).max() < 2e-5


def test_images_that_are_gone_are_still_restored_and_not_copied(cohort, tmp_path):
    harmonizer, source = cohort
    for left in (source, source / "a.dcm"):
        apply(harmonizer, Manifest.from_paths([left]), tmp_path / "out", workers=0, quiet=True)
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    assert report.summary() == "2 restored exactly, 0 in part, 0 copied, 0 refused"


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_restored_they_are_the_source_again(cohort, tmp_path, deliver):
    harmonizer, source = cohort
    apply(harmonizer, Manifest.from_paths([source]), tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    assert report.summary() == "2 restored exactly, 0 in part, 0 copied, 0 refused"
    for name in ("a.dcm", "b.dcm"):
        assert np.array_equal(read_radiograph(tmp_path / "back" / name).stored, read_radiograph(source / name).stored)
