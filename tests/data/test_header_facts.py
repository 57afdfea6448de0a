"""Headers of many files: a file that is slow to parse costs itself alone; what is no image is counted, not refused."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless
from typer.testing import CliRunner, Result

from dicoms import encoded, radiograph, write
from harmonizers import scanner_harmonizer
from isotone.cli import app
from isotone.data.manifests import header_facts as module
from isotone.data.manifests.domain_names import Naming
from isotone.data.manifests.header_facts import header_facts
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.errors import RadiographError
from isotone.imaging.opening.bounded_file import small_headers
from isotone.imaging.read import read_header

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"
NOTHING = Naming().parts
PRESENTATION_STATE, REPORT = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.88.11"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def slow_file(path: Path, elements: int) -> Path:
    """A deflated image with so many empty elements before its pixel data."""
    write(encoded(radiograph(), DeflatedExplicitVRLittleEndian), path)
    data = path.read_bytes()
    start = data.index(DeflatedExplicitVRLittleEndian.encode()) + len(DeflatedExplicitVRLittleEndian)
    length = 132 + 12 + int.from_bytes(data[140:144], "little")
    assert length >= start
    body = zlib.decompress(data[length:], -zlib.MAX_WBITS)
    at = body.index(b"\x10\x00\x10\x00PN")
    padded = body[:at] + b"\x09\x00\x01\x10LO\x00\x00" * elements + body[at:]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(data[:length] + packer.compress(padded) + packer.flush())
    return path


def other_object(sop_class: str) -> Dataset:
    """A DICOM object without pixels."""
    ds = radiograph(SOPClassUID=sop_class)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        delattr(ds, keyword)
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    return ds


def study(folder: Path) -> Path:
    """Images, and what lies beside them in the field."""
    folder.mkdir()
    write(radiograph(seed=1), folder / "IM1")
    write(radiograph(seed=2), folder / "IM2.dcm")
    for name in ("README", ".DS_Store", "._IM1", "._IM2.dcm", "notes.txt", "Thumbs.db", "._a.png"):
        (folder / name).write_bytes(b"\0\x05\x16\x07 of another program" * 9)
    (folder / "empty").touch()
    write(other_object(PRESENTATION_STATE), folder / "PR1")
    write(other_object(REPORT), folder / "SR1.dcm")
    write(other_object("1.2.840.10008.1.3.10"), folder / "DICOMDIR")
    write(other_object("1.2.3.4.5"), folder / "private.dcm")
    return folder


OTHERS = 12


@pytest.mark.slow
def test_a_header_that_is_slow_to_parse_costs_its_own_file_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 1.0)
    slow = slow_file(tmp_path / "a.dcm", 2_000_000)
    assert slow.stat().st_size < 100_000
    quick = slow_file(tmp_path / "b.dcm", 10)
    plain = write(radiograph(), tmp_path / "c.dcm")
    first, second, third = header_facts([slow, quick, plain], NOTHING)
    assert first.refusal is not None
    assert first.refusal.code == "E_TIMEOUT"
    assert (second.name, third.name) == (HOLOGIC, HOLOGIC)


def test_a_long_header_is_read_all_the_same(tmp_path):
    path = write(radiograph(), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    note = b"\x09\x00\x01\x10UT\x00\x00" + (300_000).to_bytes(4, "little") + b" " * 300_000
    path.write_bytes(data[:at] + note + data[at:])
    assert [facts.name for facts in header_facts([path], NOTHING)] == [HOLOGIC]


def test_pixel_data_of_many_pieces_are_walked_in_a_worker(tmp_path, monkeypatch):
    path = write(encoded(radiograph(), JPEGLSLossless), tmp_path / "a.dcm")
    data, last = path.read_bytes(), b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert data.endswith(last)
    path.write_bytes(data[: -len(last)] + 40_000 * b"\xfe\xff\x00\xe0\0\0\0\0" + last)
    with small_headers(), pytest.raises(RadiographError, match="E_LENGTH"):
        read_header(path)
    (facts,) = header_facts([path], NOTHING)
    assert facts.name == HOLOGIC


def test_many_files_are_read_in_batches_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    paths = [write(radiograph(seed=i, PatientID=f"P{i}"), tmp_path / f"{i}.dcm") for i in range(7)]
    paths[3].write_bytes(b"no image")
    patients = [facts.patient for facts in header_facts(paths, NOTHING, workers=2)]
    assert patients == ["P0", "P1", "P2", None, "P4", "P5", "P6"]


def test_a_study_folder_is_done_and_the_rest_is_counted_in_one_line(tmp_path):
    folder = study(tmp_path / "in")
    manifest = Manifest.from_paths([folder])
    assert [row.path.name for row in manifest] == ["IM1", "IM2.dcm"]
    assert manifest.left_out == OTHERS
    report = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", workers=0, quiet=True)
    assert (report.harmonized, report.refused) == (2, [])
    inspected = run("inspect", folder)
    assert inspected.exit_code == 0, inspected.output
    assert inspected.stderr.splitlines() == [f"isotone: {OTHERS} files are no images"]
    assert len(inspected.stdout.splitlines()) == 2


@pytest.mark.slow
def test_what_is_no_image_is_refused_where_the_user_names_it(tmp_path):
    folder = study(tmp_path / "in")
    for name, code in (("README", "E_NOT_DICOM"), ("PR1", "E_NO_PIXELS"), ("._IM2.dcm", "E_NOT_DICOM")):
        named = run("inspect", folder / name)
        assert named.exit_code == 1
        assert code in named.stdout
        manifest = Manifest.from_paths([folder / name])
        report = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / f"out {name}", workers=0, quiet=True)
        assert [error.code for error in report.refused] == [code]


def test_a_damaged_image_in_a_folder_is_refused_as_before(tmp_path):
    folder = study(tmp_path / "in")
    (folder / "IM3.dcm").write_bytes(b"no image")
    (folder / "IM4.png").write_bytes(b"no image")
    cut = radiograph(seed=5)
    del cut.PixelData
    write(cut, folder / "IM5")
    whole = write(radiograph(seed=6), folder / "IM6").read_bytes()
    (folder / "IM6").write_bytes(whole[:-900])
    inspected = run("inspect", folder)
    assert inspected.exit_code == 1
    refused = [line for line in inspected.stdout.splitlines() if "[E_" in line]
    assert [line.split("[")[1].split("]")[0] for line in refused] == [
        "E_NOT_DICOM",
        "E_RASTER",
        "E_NO_PIXELS",
        "E_TRUNCATED",
    ]
    manifest = Manifest.from_paths([folder])
    report = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", workers=0, quiet=True)
    assert len(report.refused) == 4


def test_a_folder_of_other_files_alone_is_wrong_usage(tmp_path):
    write(other_object(REPORT), tmp_path / "SR1")
    (tmp_path / "README").write_text("no image")
    for command in ("inspect", "restore"):
        done = run(command, tmp_path, *(("-o", tmp_path / "out") if command == "restore" else ()))
        assert done.exit_code == 2
        assert "E_READ" in done.stderr


def test_what_isotone_made_is_left_out_of_a_folder_where_that_is_asked(tmp_path):
    write(radiograph(), tmp_path / "a.dcm")
    apply(scanner_harmonizer(HOLOGIC), Manifest.from_paths([tmp_path]), tmp_path / "out", workers=0, quiet=True)
    (tmp_path / "out" / "a.dcm").rename(tmp_path / "b.dcm")
    assert len(Manifest.from_paths([tmp_path / "a.dcm", tmp_path / "b.dcm"], without_harmonized=True)) == 2
    with pytest.warns(UserWarning, match="isotone's"):
        (row,) = Manifest.from_paths([tmp_path], without_harmonized=True)
    assert row.path.name == "a.dcm"
