"""Compressed pixels, fewer bits, and images resized for training."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless

from dcmtk import pnm
from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from harmonizers import CURVE, scanner_harmonizer
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import ApplyReport, apply
from isotone.deployment.dicom_objects import compress as compress_module
from isotone.deployment.dicom_objects.compress import ENCODERS, encoder_for
from isotone.deployment.encoding import Encoding
from isotone.deployment.restore import Task, restore_file
from isotone.errors import IsotoneError, UsageError
from isotone.imaging.read import read_radiograph
from isotone.networks.prepare import Prepare
from several_frames import frames_of, run

HARMONIZER = scanner_harmonizer(
    "unnamed", "HOLOGIC, Inc. Selenia Dimensions", "GE MEDICAL SYSTEMS Senograph 2000D ADS_17.4.5"
)
CHOICES = ("none", "rle", "jpeg-ls", "htj2k", "jpeg2000", "same")
SYNTAX = {"none": ExplicitVRLittleEndian} | {name: encoder.syntax for name, encoder in ENCODERS.items()}


def delivered(source: Path, out: Path, deliver: str = "pixels", **encoding: object) -> ApplyReport:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for DICOM images have names already
        manifest = Manifest.from_paths([source], domain="unnamed")
    return apply(HARMONIZER, manifest, out, deliver=deliver, encoding=Encoding(**encoding), workers=0, quiet=True)


@pytest.mark.parametrize("kind", ["one", "inverted", "signed", "several"])
@pytest.mark.parametrize("choice", CHOICES)
def test_each_compression_holds_the_same_pixels_and_comes_back(tmp_path, choice, kind):
    signed = (pixels().astype(np.int32) - 2048).astype(np.int16)
    ds = {
        "one": lambda: radiograph(pixels(rows=33, columns=47)),
        "inverted": lambda: radiograph(inverted=True),
        "signed": lambda: radiograph(signed, modality="CR"),
        "several": lambda: run(frames_of(3)),
    }[kind]()
    source = write(ds, tmp_path / "a.dcm")
    assert not delivered(source, tmp_path / "none", compress="none").refused
    assert not delivered(source, tmp_path / "out", compress=choice).refused
    plain, made = (pydicom.dcmread(tmp_path / folder / "a.dcm") for folder in ("none", "out"))
    wanted = SYNTAX["none" if choice == "same" else choice]
    assert made.file_meta.TransferSyntaxUID == wanted
    assert made.SOPInstanceUID == plain.SOPInstanceUID  # the same image, otherwise encoded
    np.testing.assert_array_equal(made.pixel_array, plain.pixel_array)  # by pydicom's own decoders
    assert not restore_file(Task(tmp_path / "out" / "a.dcm", tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


@pytest.mark.parametrize("name", LOSSLESS | LOSSY)
def test_what_came_compressed_goes_out_compressed_and_same_stays_in_the_family(name):
    syntax = (LOSSLESS | LOSSY)[name]
    usual, same = encoder_for(None, syntax), encoder_for("same", syntax)
    assert (usual is None) == (not syntax.is_encapsulated)
    if usual is None:
        assert same is None
        return
    assert usual.syntax == JPEGLSLossless
    if name.startswith("jpeg-2000"):
        assert same is ENCODERS["jpeg2000"]
    elif name.startswith("htj2k"):
        assert same is ENCODERS["htj2k"]
    elif name.startswith("jpeg-ls"):
        assert same is ENCODERS["jpeg-ls"]
    elif name != "rle":
        assert same is not None
        assert same.syntax == JPEGLosslessSV1


def test_jpeg_lossless_sources_stay_that_with_same(tmp_path):
    source = write(encoded(radiograph(), LOSSLESS["jpeg-lossless"]), tmp_path / "a.dcm")
    assert not delivered(source, tmp_path / "out", compress="same").refused
    assert pydicom.dcmread(tmp_path / "out" / "a.dcm").file_meta.TransferSyntaxUID == JPEGLosslessSV1
    assert not restore_file(Task(tmp_path / "out" / "a.dcm", tmp_path / "back.dcm")).shortfall
    np.testing.assert_array_equal(read_radiograph(tmp_path / "back.dcm").stored, pixels())


def test_an_encoder_that_changes_a_value_is_found_out(tmp_path, monkeypatch):
    def wrong(words: np.ndarray, bits: int) -> bytes:
        spoilt = words.copy()
        spoilt[3, 4] ^= 1
        return ENCODERS["htj2k"].encode(spoilt, bits)

    replaced = compress_module.Encoder(ENCODERS["jpeg-ls"].syntax, wrong)
    monkeypatch.setitem(ENCODERS, "jpeg-ls", compress_module.Encoder(ENCODERS["htj2k"].syntax, replaced.encode))
    [refusal] = delivered(write(radiograph(), tmp_path / "a.dcm"), tmp_path / "out", compress="jpeg-ls").refused
    assert refusal.code == "E_WRITTEN"
    assert not (tmp_path / "out" / "a.dcm").exists()


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("choice", ["none", "rle", "jpeg-ls", "jpeg2000"])
def test_the_same_bits_are_written_if_asked_for_and_said_to_lose_levels(tmp_path, bits, choice):
    source = write(radiograph(bits=bits), tmp_path / "a.dcm")
    report = delivered(source, tmp_path / "out", compress=choice, bits="same")
    made = pydicom.dcmread(tmp_path / "out" / "a.dcm")
    assert (made.BitsStored, made.BitsAllocated, made.HighBit) == (bits, 8 if bits == 8 else 16, bits - 1)
    assert (made.WindowCenter, made.WindowWidth) == (2 ** (bits - 1), 2**bits)
    image = read_radiograph(source).map_tone(CURVE)
    wanted = np.rint(image.tone * (2**bits - 1)).astype(np.uint16)
    np.testing.assert_array_equal(made.pixel_array, wanted[image.stored])
    [line] = (tmp_path / "out" / "curves.csv").read_text().splitlines()[1:]
    kept = len(np.unique(wanted))
    assert f",{kept}," in line
    assert f"{bits} bits in, {bits} bits out" in made.DerivationDescription
    restored = restore_file(Task(tmp_path / "out" / "a.dcm", tmp_path / "back.dcm"))
    assert ("W_LEVELS" in line) == (f"of {2**bits} grey levels {kept} are left" in restored.shortfall) == (bits < 16)
    assert [f"fewest left are {kept}" in said for said in report.warnings] == [True] * (bits < 16)
    if bits < 16:
        assert pydicom.dcmread(tmp_path / "back.dcm").SOPInstanceUID != pydicom.dcmread(source).SOPInstanceUID


def test_htj2k_has_no_other_bits_than_8_and_16(tmp_path):
    [refusal] = delivered(
        write(radiograph(), tmp_path / "a.dcm"), tmp_path / "o", compress="htj2k", bits="same"
    ).refused
    assert refusal.code == "E_UNSUPPORTED"
    assert "jpeg-ls" in str(refusal)


@pytest.mark.parametrize("mode", ["uint8", "uint16"])
def test_a_raster_image_of_8_bits_stays_one_if_asked_for(tmp_path, mode):
    Image.fromarray(pixels(8).astype(mode)).save(tmp_path / "a.png")
    delivered(tmp_path / "a.png", tmp_path / "out", bits="same")
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert np.asarray(image).dtype == mode


@pytest.mark.parametrize(
    ("deliver", "given"),
    [
        ("voi-lut", {"compress": "rle"}),
        ("gsps", {"bits": "same"}),
        ("png", {"size": 8, "bits": "same"}),
        ("pixels", {"size": 8}),
        ("png", {}),
        ("npy", {"size": 0}),
        ("pixels", {"compress": "zip"}),
    ],
)
def test_choices_that_do_not_go_together_are_wrong_usage(tmp_path, deliver, given):
    with pytest.raises(UsageError):
        delivered(write(radiograph(), tmp_path / "a.dcm"), tmp_path / "out", deliver, **given)
    assert not (tmp_path / "out").exists()


def test_another_encoding_into_the_same_folder_is_another_run(tmp_path):
    source = write(radiograph(), tmp_path / "a.dcm")
    delivered(source, tmp_path / "out")
    with pytest.raises(UsageError, match="another run"):
        delivered(source, tmp_path / "out", compress="rle")
    assert delivered(source, tmp_path / "out").resumed == 1


DCMTK = {"rle": "dcm2pnm", "jpeg-ls": "dcml2pnm", "same": "dcmj2pnm"}
"""Its programs, one for each family of codecs; none of them reads JPEG 2000."""


@pytest.mark.parametrize("choice", DCMTK)
def test_dcmtk_reads_the_compressed_pixels(tmp_path, choice):
    if shutil.which(DCMTK[choice]) is None:
        pytest.skip(f"needs {DCMTK[choice]}")
    source = write(encoded(radiograph(), LOSSLESS["jpeg-lossless"]), tmp_path / "a.dcm")
    delivered(source, tmp_path / "out", compress=choice)
    made = tmp_path / "out" / "a.dcm"
    subprocess.run([DCMTK[choice], "+Wi", "1", "+opw", made, tmp_path / "a.pgm"], check=True, capture_output=True)
    assert np.abs(pnm(tmp_path / "a.pgm") - read_radiograph(made).stored.astype(int)).max() <= 1


def three(folder: Path) -> Path:
    """A DICOM image, one of several frames, and a PNG."""
    folder.mkdir()
    write(radiograph(pixels(rows=100, columns=70), vendor="ge"), folder / "a.dcm")
    write(run(frames_of(3)), folder / "b.dcm")
    Image.fromarray(pixels(seed=5)).save(folder / "c.png")
    return folder


def as_seen(path: Path, size: int) -> np.ndarray:
    image = read_radiograph(path).map_tone(CURVE)
    return np.rint(Prepare(size)(image).astype(float) * 65535).astype(np.uint16)


def test_png_is_what_the_network_sees(tmp_path):
    source = three(tmp_path / "in")
    assert delivered(source, tmp_path / "out", "png", size=32).harmonized == 3
    for name in ("a.dcm", "b.dcm", "c.png"):
        with Image.open((tmp_path / "out" / name).with_suffix(".png")) as image:
            np.testing.assert_array_equal(np.asarray(image), as_seen(source / name, 32))
    with pytest.raises(IsotoneError, match="E_RESTORE"):
        restore_file(Task(tmp_path / "out" / "a.png", tmp_path / "back.png"))
    again = delivered(tmp_path / "out" / "a.png", tmp_path / "twice", "png", size=32)
    assert [refusal.code for refusal in again.refused] == ["E_ALREADY"]


def rows(out: Path) -> dict[str, tuple[np.ndarray, str]]:
    array = np.load(out / "images.npy", mmap_mode="r")
    lines = [line.split(",") for line in (out / "index.csv").read_text().splitlines()]
    assert lines[0] == ["row", "file", "status"]
    assert len(array) >= len(lines) - 1
    return {Path(file).name: (np.array(array[int(row)]), status) for row, file, status in lines[1:]}


def test_npy_is_one_array_that_grows_and_resumes(tmp_path):
    source = three(tmp_path / "in")
    (source / "broken.dcm").write_bytes(b"none")
    report = delivered(source, tmp_path / "out", "npy", size=32)
    assert (report.harmonized, len(report.refused)) == (3, 1)
    assert np.load(tmp_path / "out" / "images.npy").shape == (3, 32, 32)
    found = rows(tmp_path / "out")
    assert found.keys() == {"a.dcm", "b.dcm", "c.png"}
    for name, (image, status) in found.items():
        np.testing.assert_array_equal(image, as_seen(source / name, 32))
        assert status == "harmonized"
    Image.fromarray(pixels(seed=6)).save(source / "d.png")
    Image.fromarray(pixels(seed=7)).save(source / "c.png")
    (source / "a.dcm").unlink()
    report = delivered(source, tmp_path / "out", "npy", size=32)
    assert (report.harmonized, report.resumed, report.gone) == (2, 1, 1)
    found = rows(tmp_path / "out")
    assert np.load(tmp_path / "out" / "images.npy").shape == (4, 32, 32)
    assert found["a.dcm"][1] == "gone"
    for name in ("b.dcm", "c.png", "d.png"):
        np.testing.assert_array_equal(found[name][0], as_seen(source / name, 32))


def test_a_run_that_is_stopped_leaves_no_array_and_goes_on(tmp_path, monkeypatch):
    source = three(tmp_path / "in")

    def stop(result: object) -> None:
        raise KeyboardInterrupt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manifest = Manifest.from_paths([source], domain="unnamed")
    arguments = {"deliver": "npy", "encoding": Encoding(size=32), "workers": 0, "quiet": True}
    with pytest.raises(KeyboardInterrupt):
        apply(HARMONIZER, manifest, tmp_path / "out", on_result=stop, **arguments)
    assert not (tmp_path / "out" / "images.npy").exists()
    report = apply(HARMONIZER, manifest, tmp_path / "out", **arguments)
    assert (report.resumed, report.harmonized) == (1, 2)
    assert rows(tmp_path / "out").keys() == {"a.dcm", "b.dcm", "c.png"}


def test_an_image_that_is_refused_by_now_has_no_row(tmp_path):
    source = three(tmp_path / "in")
    delivered(source, tmp_path / "out", "npy", size=32)
    (source / "b.dcm").write_bytes(b"none")
    delivered(source, tmp_path / "out", "npy", size=32)
    found = rows(tmp_path / "out")
    assert found.keys() == {"a.dcm", "c.png"}
    for name, (image, _) in found.items():
        np.testing.assert_array_equal(image, as_seen(source / name, 32))
    assert np.count_nonzero(~np.load(tmp_path / "out" / "images.npy").any((1, 2))) == 1


def test_somebody_else_s_array_stays_as_it_is(tmp_path):
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "out" / "images.npy", np.zeros((2, 8, 8)))
    before = (tmp_path / "out" / "images.npy").read_bytes()
    manifest = Manifest.from_paths([write(radiograph(), tmp_path / "a.dcm")])
    with pytest.raises(UsageError, match="no array of isotone"):
        apply(
            HARMONIZER,
            manifest,
            tmp_path / "out",
            deliver="npy",
            encoding=Encoding(size=32),
            workers=0,
            force=True,
            quiet=True,
        )
    assert (tmp_path / "out" / "images.npy").read_bytes() == before
