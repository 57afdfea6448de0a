"""`inspect` tells of every file what it is or why it is refused."""

from __future__ import annotations

from PIL import Image

from bad_dicoms import write_all
from dicoms import LOSSLESS, encoded, radiograph, write
from isotone.imaging.inspect import Listed, inspect


def test_a_line_names_scanner_size_bits_polarity_window_intent_and_encoding(tmp_path):
    path = write(encoded(radiograph(inverted=True), LOSSLESS["jpeg-ls"]), tmp_path / "a.dcm")
    (finding,) = inspect([path], workers=0)
    assert finding.line() == (
        f"{path}: HOLOGIC, Inc. Selenia Dimensions; MG; BREAST; CC; L; 48 × 64; 12 bits; inverted; "
        "window LINEAR 2048/4096; FOR PRESENTATION; JPEG-LS Lossless Image Compression"
    )


def test_a_line_says_that_a_png_has_no_domain(tmp_path):
    Image.linear_gradient("L").save(tmp_path / "a.png")
    (finding,) = inspect([tmp_path / "a.png"], workers=0)
    assert "no domain: name it with --domain; PNG; 256 × 256; 8 bits" in finding.line()


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
