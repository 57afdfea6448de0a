"""JPEG 2000 images read at a fraction of their size, and the curves that a network gives them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from harmonizers import REFERENCE, change
from isotone._runtime.journal import open_journal
from isotone.data.descriptors.appearance import SIZE
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.plan import Inputs, plan
from isotone.deployment.reduced_reading import AGREED, FINER, TRIED, WORTH, Trial, agreed, to_try
from isotone.errors import RadiographError
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.codecs.reduced import pillow_reduces
from isotone.imaging.dicom.read_dicom import read_dicom, read_dicom_reduced
from isotone.monitoring.novelty import Novelty
from isotone.networks.gdce import GDCE, gdce_curve
from isotone.networks.gdce_mapper import GDCEMapper

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
JPEG_2000 = {name: (LOSSLESS | LOSSY)[name] for name in ("jpeg-2000", "jpeg-2000-lossy", "htj2k", "htj2k-lossy")}


def sensitive(input_size: int = 16, gain: float = 5.0) -> GDCE:
    """A network whose coefficients depend on the image far more than those of a fresh one."""
    torch.manual_seed(1)
    network = GDCE(3, 4, input_size).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight *= gain
    return network


def image(path: Path, stored: np.ndarray, syntax: str = "jpeg-2000", **attributes: object) -> Path:
    return write(encoded(radiograph(stored, **attributes), (LOSSLESS | LOSSY)[syntax]), path)


def curves(network: GDCE, path: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    small = read_dicom_reduced(path, side)
    assert small is not None
    assert small.step > 1
    return tuple(np.array(gdce_curve(network, x).coefficients) for x in (read_dicom(path)[0], small))


@pytest.mark.parametrize("syntax", JPEG_2000)
@pytest.mark.parametrize(("shape", "step"), [((256, 320), 4), ((250, 322), 2), ((131, 140), 2), ((261, 259), 4)])
def test_a_reduced_image_is_the_whole_one_smoothed_at_every_second_or_fourth_pixel(tmp_path, syntax, shape, step):
    y, x = np.mgrid[: shape[0], : shape[1]]
    stored = np.rint(2000 + 900 * np.sin(x / 40) + 900 * np.cos(y / 30)).astype(np.uint16)
    path = image(tmp_path / "a.dcm", stored, syntax)
    small = read_dicom_reduced(path, 64)
    assert small.step == step
    assert small.header == read_dicom(path)[0].header
    middle = np.s_[2:-2, 2:-2]
    difference = small.stored.astype(int) - stored[::step, ::step]
    assert np.abs(difference[middle]).max() < 20  # pixels half a step away differ by 50 and more


@pytest.mark.parametrize(
    ("syntax", "attributes"),
    [
        ("explicit", {}),
        ("jpeg-ls", {}),
        ("jpeg-2000", {"stored": pixels(rows=100, columns=300)}),
        ("jpeg-2000", {"stored": pixels(rows=200, columns=200).astype(np.int16) - 2048, "modality": "CR"}),
    ],
    ids=["native", "jpeg-ls", "small", "signed"],
)
def test_what_cannot_be_read_reduced_is_left_to_the_full_decoder(tmp_path, syntax, attributes):
    attributes = {"stored": pixels(rows=200, columns=200), **attributes}
    assert read_dicom_reduced(image(tmp_path / "a.dcm", syntax=syntax, **attributes), 64) is None


def test_without_a_pillow_that_reduces_images_are_read_whole(tmp_path, monkeypatch):
    path = image(tmp_path / "a.dcm", pixels(rows=200, columns=200))
    assert read_dicom_reduced(path, 64) is not None
    monkeypatch.setattr("isotone.imaging.codecs.reduced.pillow_reduces", lambda: False)
    assert read_dicom_reduced(path, 64) is None


def test_a_pillow_that_ignores_what_is_set_is_found_out(monkeypatch):
    def whole(frame, times):
        with Image.open(io.BytesIO(frame)) as opened:
            return np.asarray(opened).astype(np.uint16)

    monkeypatch.setattr("isotone.imaging.codecs.reduced._low_pass", whole)
    assert not pillow_reduces.__wrapped__()


def test_a_cut_frame_is_refused_reduced_as_whole(tmp_path):
    path = image(tmp_path / "a.dcm", pixels(rows=200, columns=200))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(RadiographError, match="E_TRUNCATED"):
        read_dicom_reduced(path, 64)


@pytest.mark.parametrize("syntax", JPEG_2000)
def test_the_coefficients_of_a_reduced_image_are_those_of_the_whole_one(tmp_path, syntax):
    network = sensitive(64)
    other = curves(network, image(tmp_path / "other.dcm", 4095 - pixels(rows=600, columns=500)), 128)[0]
    whole, small = curves(network, image(tmp_path / "a.dcm", pixels(rows=600, columns=500), syntax), 128)
    assert np.abs(whole - other).max() > 0.1  # the network does look
    assert np.abs(small - whole).max() < 1e-3


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/dicom")
@pytest.mark.parametrize("name", ["MG1_J2KI", "RG1_J2KI", "RG2_J2KI", "RG2_J2KR", "RG3_J2KR", "XA1_J2KR"])
def test_the_coefficients_of_a_reduced_real_image_are_those_of_the_whole_one(name):
    whole, small = curves(sensitive(64), SHARED / f"{name}.dcm", 128)
    assert np.abs(small - whole).max() < 1e-3


@pytest.fixture
def harmonizer() -> ToneCurveHarmonizer:
    found = ToneCurveHarmonizer(REFERENCE, HOLOGIC, method="gdce")
    found.scanners = {HOLOGIC: FittedScanner(GDCEMapper(sensitive()))}
    found._digest = "0" * 64
    return found


def write_many(folder: Path, *, noise: float) -> list[Path]:
    """Just enough images for a trial."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for number in range(WORTH * TRIED):
        stored = pixels(rows=128, columns=130, seed=number) * 0.8 + 400 + noise * rng.standard_normal((128, 130))
        path = folder / f"{number:02}.dcm"
        paths.append(image(path, stored.clip(0, 4095).astype(np.uint16), seed=number))
    return paths


def states(harmonizer: ToneCurveHarmonizer, folder: Path, out: Path):
    return apply(harmonizer, Manifest.from_paths([folder]), out, deliver="gsps", workers=0, quiet=True)


def coefficients(report) -> np.ndarray:
    with report.curves.open(newline="") as file:
        return np.array([json.loads(row["coefficients"]) for row in csv.DictReader(file)])


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0, 1500])
def test_images_are_read_reduced_where_a_trial_shows_that_it_makes_no_difference(
    harmonizer, tmp_path, monkeypatch, noise
):
    paths = write_many(tmp_path / "in", noise=noise)
    network = harmonizer.scanners[HOLOGIC].mapper.network
    wanted = np.array([gdce_curve(network, read_dicom(p)[0]).coefficients for p in paths])
    decoded: list[Path] = []

    def counted(path, **options):
        decoded.append(path)
        return read_dicom(path, **options)

    monkeypatch.setattr("isotone.deployment.reduced_reading.read_dicom", counted)
    report = states(harmonizer, tmp_path / "in", tmp_path / "out")
    assert report.harmonized == len(paths)
    if noise:  # a network of so few pixels sees nothing but noise, which smoothing takes away
        assert set(decoded) == set(paths)
        np.testing.assert_array_equal(coefficients(report), wanted)
    else:
        assert len(decoded) == TRIED
        assert np.abs(coefficients(report) - wanted).max() < 1e-3


@pytest.mark.slow
def test_another_table_of_the_same_images_travels_under_another_uid(harmonizer, tmp_path):
    paths = write_many(tmp_path / "in", noise=0)
    states(harmonizer, tmp_path / "in", tmp_path / "reduced")
    for name in ("whole", "again"):
        apply(harmonizer, Manifest.from_paths(paths[:1]), tmp_path / name, deliver="gsps", workers=0, quiet=True)
    found = {
        folder: {
            state.SOPInstanceUID
            for state in map(pydicom.dcmread, (tmp_path / folder).glob("*.dcm"))
            if pydicom.dcmread(paths[0]).StudyInstanceUID == state.StudyInstanceUID
        }
        for folder in ("reduced", "whole", "again")
    }
    assert len(found["whole"]) == len(found["reduced"]) == 1
    assert found["whole"] == found["again"]
    assert not found["whole"] & found["reduced"]


def test_images_that_were_read_reduced_are_not_compared_with_the_fit_and_that_is_said(harmonizer, tmp_path):
    looks = np.random.default_rng(0).normal(50, 0.01, (40, SIZE + 1))
    change(harmonizer, HOLOGIC, novelty=Novelty.fit(looks, [str(i) for i in range(40)], looks, ["a", "b"] * 20))
    write_many(tmp_path / "in", noise=0)
    report = states(harmonizer, tmp_path / "in", tmp_path / "out")
    assert report.refused == []
    assert [line.split(" images")[0] for line in report.warnings] == [f"W_NO_LOOK: {WORTH * TRIED}"]


def jobs_for(paths, output):
    with open_journal(output, {}) as journal:
        return list(plan(Inputs(Manifest.from_paths(paths), output), (REFERENCE,), "gsps", journal))


def test_few_images_are_decoded_whole_without_a_trial(harmonizer, tmp_path):
    paths = write_many(tmp_path / "in", noise=0)
    paths.pop().unlink()
    jobs = jobs_for([tmp_path / "in"], tmp_path / "out")
    assert to_try(harmonizer, jobs) == []
    assert len(to_try(harmonizer, [*jobs, jobs[0]])) == TRIED


def test_the_smallest_image_is_read_at_which_all_that_were_tried_agree(harmonizer, tmp_path):
    paths = write_many(tmp_path / "in", noise=0)
    first, second = jobs_for(paths[:2], tmp_path / "out")
    changes = Trial(harmonizer)(first)
    assert list(changes) == list(FINER)
    assert max(changes.values()) < AGREED
    assert agreed([(first, changes)]) == {HOLOGIC: 1}
    assert agreed([(first, changes), (second, {1: 2e-3, 2: 1e-4})]) == {HOLOGIC: 2}
    assert agreed([(first, changes), (second, {1: 2e-3, 2: 1e-3})]) == {}
    assert agreed([(first, {}), (second, RadiographError("E_DECODE", "damaged"))]) == {}
