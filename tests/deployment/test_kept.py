"""Images whose curve is predicted to harm stay as they are, whoever asks, unless he says otherwise."""

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from dicoms import radiograph, write
from harmonizers import CURVE, kept_harmonizer
from isotone import Encoding, ToneCurveHarmonizer, apply, read_radiograph, restore
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.errors import UsageError
from isotone.evaluation.predict import Observe

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"
KEPT = kept_harmonizer(HOLOGIC)


@pytest.fixture
def source(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    write(radiograph(), tmp_path / "in" / "a.dcm")
    return tmp_path / "in"


def run(source, output, deliver="pixels", **options):
    size = 8 if deliver in ("png", "npy") else None
    manifest = Manifest.from_paths([source])
    how = {"encoding": Encoding(size=size), "workers": 0, "quiet": True}
    return apply(KEPT, manifest, output, deliver=deliver, **how, **options)


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps", "png", "npy"])
def test_every_delivery_keeps_them(source, tmp_path, deliver):
    report = run(source, tmp_path / "out", deliver)
    assert (report.kept, report.harmonized, report.refused) == (1, 0, [])
    assert report.to_json()["exit_code"] == 0
    assert "0 reference, 1 kept, 0 resumed" in report.summary()
    with report.curves.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["status"], row["code"], row["coefficients"]) == ("kept", "", "")
    assert "W_HARMS" in row["warnings"].split()
    if deliver in ("pixels", "voi-lut"):
        assert (tmp_path / "out" / "a.dcm").read_bytes() == (source / "a.dcm").read_bytes()
    elif deliver == "gsps":
        assert not row["output"]
        assert not list((tmp_path / "out").glob("*.dcm"))
    elif deliver == "png":
        assert not Image.open(tmp_path / "out" / row["output"]).info.get("isotone")
    else:
        assert np.load(tmp_path / "out" / "images.npy").shape == (1, 8, 8)


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_one_option_applies_the_curve_all_the_same_in_a_folder_of_its_own(source, tmp_path, deliver):
    run(source, tmp_path / "kept", deliver)
    with pytest.raises(UsageError, match=r"holds another run.*delivery and allow=, name"):
        run(source, tmp_path / "kept", deliver, allow=["harm"])
    report = run(source, tmp_path / "out", deliver, allow=["harm"])
    assert (report.kept, report.harmonized) == (0, 1)
    assert "0 reference, 0 kept, " in report.summary()
    assert any("1 images have the curve" in line for line in report.warnings if line.startswith(f"W_HARMS: {HOLOGIC}"))


@pytest.mark.parametrize("deliver", ["pixels", "npy"])
def test_a_line_says_why_a_scanner_s_images_are_kept_also_when_they_are_resumed(source, tmp_path, deliver):
    first, again = run(source, tmp_path / "out", deliver), run(source, tmp_path / "out", deliver)
    said = f"W_HARMS: {HOLOGIC}: 1 images stay as they are: the classifier is predicted to do worse behind the curve"
    for report in (first, again):
        assert sum(line.startswith(said) and 'allow=["harm"] applies' in line for line in report.warnings) == 1
    assert "0 reference, 0 kept, 1 resumed (1 kept), 0 refused" in again.summary()
    counts = again.to_json()
    assert (counts["images"], counts["resumed"], counts["resumed_kept"], counts["resumed_reference"]) == (1, 1, 1, 0)


def test_restore_copies_them(source, tmp_path):
    run(source, tmp_path / "out")
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    assert report.summary().endswith("0 restored exactly, 0 in part, 1 copied, 0 refused")
    assert (tmp_path / "back" / "a.dcm").read_bytes() == (source / "a.dcm").read_bytes()


@pytest.mark.parametrize("deliver", ["png", "npy"])
@pytest.mark.parametrize("allow", [[], ["harm"]])
def test_restore_gives_no_resized_image_for_a_source(source, tmp_path, deliver, allow):
    run(source, tmp_path / "out", deliver, allow=allow)
    if deliver == "npy":
        with pytest.raises(UsageError, match="resized for training"):
            restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
        return
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    assert report.summary() == "0 restored exactly, 0 in part, 0 copied, 1 refused"
    assert "resized for training" in str(report.refused[0])
    assert not (tmp_path / "back" / "a.png").exists()


def test_raster_files_keep_their_format(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "in" / "a.jpg")
    manifest = Manifest.from_paths([tmp_path / "in"], domain=HOLOGIC)
    assert apply(KEPT, manifest, tmp_path / "out", workers=0, quiet=True).kept == 1
    assert (tmp_path / "out" / "a.jpg").read_bytes() == (tmp_path / "in" / "a.jpg").read_bytes()


def test_what_isotone_made_is_not_kept_as_if_it_were_a_source(source, tmp_path):
    run(source, tmp_path / "out", allow=["harm"])
    assert run(tmp_path / "out", tmp_path / "again").refused[0].code == "E_ALREADY"


def test_in_memory_the_image_comes_back(source):
    image = read_radiograph(source / "a.dcm")
    assert KEPT.curve(image) == ToneCurve()
    assert KEPT.curve(image, allow=["harm"]) == CURVE
    assert KEPT.overruling(["harm"]).curve(image) == CURVE
    assert KEPT.curve(image) == ToneCurve()
    dataset = pydicom.dcmread(source / "a.dcm")
    assert KEPT.transform(dataset) is dataset
    assert KEPT.transform(dataset, allow=["harm"]) is not dataset
    with pytest.raises(UsageError, match="no guard"):
        KEPT.overruling(["harms"])


def test_an_evaluation_counts_them_as_untouched_unless_it_is_told_otherwise(source):
    methods = {"kept": KEPT, "all the same": KEPT.overruling(["harm"])}
    seen = Observe(lambda image: image.pixels, methods)(read_radiograph(source / "a.dcm"))
    assert np.array_equal(seen.curves["kept"], np.linspace(0, 1, 65, dtype=np.float32))
    assert not np.array_equal(seen.curves["all the same"], seen.curves["kept"])


def test_the_verdict_is_saved_with_the_model(tmp_path):
    KEPT.save(tmp_path)
    found = ToneCurveHarmonizer.load(tmp_path)
    assert found.passing(HOLOGIC) == "kept"
    assert found.scanners[HOLOGIC].report == KEPT.scanners[HOLOGIC].report
