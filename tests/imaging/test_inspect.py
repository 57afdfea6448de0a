"""`inspect` tells of every file what it is or why it is refused."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

import isotone.imaging.inspect as inspect_module
from bad_dicoms import write_all
from dicoms import LOSSLESS, encoded, radiograph, write
from harmonizers import scanner_harmonizer
from isotone._runtime.workers import map_isolated
from isotone.cli import app
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.imaging.inspect import Listed, inspect


def test_a_line_names_scanner_size_bits_polarity_window_intent_and_encoding(tmp_path):
    path = write(encoded(radiograph(inverted=True), LOSSLESS["jpeg-ls"]), tmp_path / "a.dcm")
    (finding,) = inspect([path], workers=0)
    assert finding.line() == (
        f"{path}: HOLOGIC, Inc. Selenia Dimensions; MG; BREAST; CC; L; 48 × 64; 12 bits; inverted; "
        "window LINEAR 2048/4096; FOR PRESENTATION; JPEG-LS Lossless Image Compression"
    )


def test_one_small_native_file_needs_no_process_and_any_other_gets_one(tmp_path, monkeypatch):
    started = []

    def pool(function, items, *, workers, seconds, share):
        started.append(workers)
        return map_isolated(function, items, workers=0, seconds=seconds)

    monkeypatch.setattr(inspect_module, "map_isolated", pool)
    native = write(radiograph(), tmp_path / "a.dcm")
    compressed = write(encoded(radiograph(), LOSSLESS["jpeg-ls"]), tmp_path / "b.dcm")
    deflated = write(encoded(radiograph(), LOSSLESS["deflated"]), tmp_path / "c.dcm")
    Image.linear_gradient("L").save(tmp_path / "d.png")
    (tmp_path / "e.dcm").write_bytes(b"no image")
    for path in (native, compressed, deflated, tmp_path / "d.png", tmp_path / "e.dcm", tmp_path / "gone"):
        assert len(list(inspect([path]))) == 1
    assert len(list(inspect([native, compressed]))) == 2
    assert started == [0, 1, 1, 1, 1, 1, 1]


def test_a_file_name_with_a_line_break_has_one_line(tmp_path):
    path = write(radiograph(), tmp_path / "a\nb.dcm")
    (finding,) = inspect([path], workers=0)
    assert "\n" not in finding.line()


def test_a_line_says_that_a_png_has_no_domain(tmp_path):
    Image.linear_gradient("L").save(tmp_path / "a.png")
    (finding,) = inspect([tmp_path / "a.png"], workers=0)
    assert "no domain: name it with domain=; PNG; 256 × 256; 8 bits" in finding.line()


def test_what_a_manifest_says_of_a_file_counts(tmp_path):
    Image.linear_gradient("L").save(tmp_path / "a.png")
    dicom = write(radiograph(), tmp_path / "b.dcm")
    first, second = inspect([Listed(tmp_path / "a.png", "mine", True), Listed(dicom, "mine")], workers=0)
    assert "mine; PNG; 256 × 256; 8 bits; inverted; " in first.line()
    assert second.header.domain == "mine"


def test_folders_are_searched_in_depth_and_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2.dcm", "b/IM0001", "a.dcm"):
        write(radiograph(), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = [finding.path.relative_to(tmp_path).as_posix() for finding in inspect([tmp_path], workers=0)]
    assert found == ["a.dcm", "b/2.dcm", "b/IM0001"]


@pytest.mark.slow
def test_every_fault_is_told_beforehand_in_one_line(tmp_path):
    faults = {path: fault for _, fault, path in write_all(tmp_path)}
    one_by_one = (finding for path in faults for finding in inspect([path], workers=0))  # they have the same UID
    for finding in one_by_one:
        line = finding.line()
        assert faults[finding.path].code in line
        assert "\n" not in line
        assert line.startswith(str(finding.path))


def test_the_second_image_of_one_uid_and_one_without_are_told_too(tmp_path):
    for name, attributes in {"a": {}, "b": {}, "c": {"SOPInstanceUID": None}, "d": {"SOPInstanceUID": None}}.items():
        write(radiograph(seed=0, **attributes), tmp_path / f"{name}.dcm")
    first, second, *without = inspect([tmp_path], workers=0)
    assert first.error is None
    assert second.error.code == "E_DUPLICATE"
    assert ["W_UID" in finding.line() for finding in without] == [True, True]


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({}, None),
        ({"SOPInstanceUID": None}, "W_NO_UID"),
        ({"SOPInstanceUID": ""}, "W_NO_UID"),
        ({"SOPClassUID": ""}, "W_NO_UID"),
        ({"StudyInstanceUID": None}, "W_NO_STATE"),
        ({"SeriesInstanceUID": ""}, "W_NO_STATE"),
        ({"SeriesInstanceUID": ["1.2", "3.4"]}, "W_NO_STATE"),
        ({"SeriesInstanceUID": "1.2.x"}, None),
        ({"intent": "FOR PROCESSING"}, 'no deliver="voi-lut"'),
    ],
)
def test_what_a_delivery_will_refuse_is_told_beforehand(tmp_path, attributes, told):
    write(radiograph(**attributes), tmp_path / "in.dcm")
    (finding,) = inspect([tmp_path / "in.dcm"], workers=0)
    line, refused = finding.line(), {}
    for deliver in ("pixels", "voi-lut", "gsps"):
        harmonizer, manifest = scanner_harmonizer(finding.header.domain), Manifest.from_paths([tmp_path / "in.dcm"])
        report = apply(harmonizer, manifest, tmp_path / deliver, deliver=deliver, workers=0, quiet=True)
        refused[deliver] = [str(error) for error in report.refused]
    assert all("greyscale" not in advice for lines in refused.values() for advice in lines)
    assert [name for name in refused if refused[name]] == {
        None: [],
        "W_NO_UID": ["pixels", "voi-lut", "gsps"],
        "W_NO_STATE": ["gsps"],
        'no deliver="voi-lut"': ["voi-lut"],
    }[told]
    assert [word for word in ("W_NO_UID", "no deliver=") if word in line] == [
        word for word in ("W_NO_UID", "no deliver=") if (told or "").startswith(word)
    ]
    assert ('deliver="gsps"' in line) == bool(refused["gsps"])


def test_what_isotone_made_and_what_is_no_dicom_is_told_too(tmp_path):
    path = write(radiograph(), tmp_path / "in.dcm")
    harmonizer = scanner_harmonizer("HOLOGIC, Inc. Selenia Dimensions")
    apply(harmonizer, Manifest.from_paths([path]), tmp_path / "out", workers=0, quiet=True)
    Image.linear_gradient("L").save(tmp_path / "a.png")
    ours, png = inspect([tmp_path / "out" / "in.dcm", tmp_path / "a.png"], workers=0)
    assert "apply refuses" in ours.line()
    assert 'deliver="pixels" only' in png.line()


def test_without_decoding_the_header_alone_is_judged(tmp_path):
    path = write(encoded(radiograph(), LOSSLESS["rle"]), tmp_path / "a.dcm")
    data = bytearray(path.read_bytes())
    data[-600:-8] = b"\x7f" * 592
    path.write_bytes(data)
    (quick,) = inspect([path], workers=0, decode=False)
    (thorough,) = inspect([path], workers=0)
    assert quick.error is None
    assert thorough.error is not None
    assert thorough.error.code == "E_DECODE"


def test_findings_come_back_from_another_process(tmp_path):
    good = write(radiograph(), tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    first, second = inspect([good, tmp_path / "b.dcm"], workers=1)
    assert first.header is not None
    assert second.error is not None
    assert second.error.code == "E_NOT_DICOM"


def test_programs_get_one_object_for_each_file_without_identifiers(tmp_path):
    write(radiograph(PatientID="PLANTED"), tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(b"no image")
    done = CliRunner().invoke(app, ["inspect", str(tmp_path), "--json"])
    image, refused, summary = map(json.loads, done.stdout.splitlines())
    assert (image["kind"], image["status"], image["rows"], image["warnings"]) == ("image", "ok", 48, [])
    assert image["domain"] == "HOLOGIC, Inc. Selenia Dimensions"
    assert (refused["status"], refused["code"]) == ("refused", "E_NOT_DICOM")
    assert (summary["kind"], summary["images"], summary["refused"]) == ("summary", 2, 1)
    assert done.exit_code == summary["exit_code"] == 1
    assert "PLANTED" not in done.output
    assert "1.2.826" not in done.output
