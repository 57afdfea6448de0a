"""Of a folder every image is found, whatever it is called, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicoms import pixels, radiograph, write
from isotone.data.manifests.manifest import Manifest
from isotone.imaging.folder import images_in
from isotone.imaging.inspect import inspect
from isotone.imaging.read import read_radiograph


def found_in(folder: Path) -> list[str]:
    names = [path.relative_to(folder).as_posix() for path in images_in(folder)]
    assert [finding.path.relative_to(folder).as_posix() for finding in inspect([folder], workers=0)] == names
    if names:
        assert [row.path.relative_to(folder).as_posix() for row in Manifest.from_paths([folder])] == names
    return names


@pytest.mark.parametrize("name", ["CR.1.2.840.113619.2.5", "1.2.840.113619.2.5", "IM.IMA", "scan.v2", "a.dcm.bak"])
def test_a_dicom_file_is_found_whatever_its_name_and_its_header_is_read(tmp_path, name):
    write(radiograph(), tmp_path / name)
    assert found_in(tmp_path) == [name]
    (row,) = Manifest.from_paths([tmp_path])
    assert (row.domain, row.patient_id) == ("HOLOGIC, Inc. Selenia Dimensions", "P-1")


@pytest.mark.parametrize("name", ["a.bmp", "a.JP2", "a.webp", "a.gif", "a.dcm.gz", "a.png.gz"])
def test_an_image_of_a_format_that_is_not_read_is_refused_by_name_and_not_counted_as_none(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8bBM" * 100)
    (tmp_path / "table.csv.gz").write_bytes(b"\x1f\x8b" * 100)
    write(radiograph(), tmp_path / "b.dcm")
    left_out: list[Path] = []
    refused, read = inspect([tmp_path], workers=0, left_out=left_out.append)
    assert (refused.error.code, read.error) == ("E_NOT_DICOM", None)
    assert [path.name for path in left_out] == ["table.csv.gz"]


def test_a_dicom_file_that_is_called_gzipped_but_is_not_is_read(tmp_path):
    write(radiograph(), tmp_path / "a.dcm.gz")
    (finding,) = inspect([tmp_path], workers=0)
    assert finding.error is None


def test_what_is_no_image_by_name_and_content_is_left_alone(tmp_path):
    for name in ("notes.txt", "curves.csv", "1.2.3", "short.bin"):
        (tmp_path / name).write_bytes(b"no image" * (30 if name == "1.2.3" else 1))
    os.mkfifo(tmp_path / "pipe.7")
    (tmp_path / "dangling.7").symlink_to(tmp_path / "nothing")
    (tmp_path / "endless.7").symlink_to("/dev/zero")
    (tmp_path / "around.7").symlink_to(tmp_path / "around.7")
    (tmp_path / "link.txt").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "folder.dcm").mkdir()
    assert found_in(tmp_path) == []


@pytest.mark.parametrize("name", ["4.5.6", "a.dcm", "a"])
def test_a_link_to_an_image_is_read_as_the_image_is(tmp_path, name):
    (tmp_path / "in").mkdir()
    target = write(radiograph(), tmp_path / "1.2.3")
    (tmp_path / "in" / "between").symlink_to(target)
    (tmp_path / "in" / name).symlink_to("between")
    (tmp_path / "in" / "between").rename(tmp_path / "between")
    (tmp_path / "in" / name).unlink()
    (tmp_path / "in" / name).symlink_to("../between")  # a link to a link
    assert found_in(tmp_path / "in") == [name]
    (finding,) = inspect([tmp_path / "in"], workers=0)
    assert finding.header.domain == "HOLOGIC, Inc. Selenia Dimensions"
    np.testing.assert_array_equal(read_radiograph(tmp_path / "in" / name).stored, pixels())


def test_the_suffix_of_a_link_tells_the_format_and_not_that_of_its_target(tmp_path):
    Image.fromarray(pixels(8).astype(np.uint8)).save(tmp_path / "blob", "PNG")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to("../blob")
    assert found_in(tmp_path / "in") == ["a.png"]
    np.testing.assert_array_equal(read_radiograph(tmp_path / "in" / "a.png").stored, pixels(8))


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/dev/zero", "E_NOT_REGULAR"),
        ("a.dcm", "E_NOT_REGULAR"),
        ("pipe", "E_NOT_REGULAR"),
        ("..", "E_NOT_REGULAR"),
        ("nothing", "E_READ"),
    ],
)
def test_a_link_to_anything_but_a_file_is_named_and_refused(tmp_path, target, code):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").symlink_to("../pipe" if target == "pipe" else "../in/.." if target == ".." else target)
    (finding,) = inspect([tmp_path / "in"], workers=0)
    assert finding.error.code == code
    assert finding.path == tmp_path / "in" / "a.dcm"


def test_links_to_folders_are_not_followed_and_named_if_they_lead_out(tmp_path):
    (tmp_path / "in" / "day").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    write(radiograph(seed=1), tmp_path / "in" / "day" / "a.dcm")
    write(radiograph(seed=2), tmp_path / "out" / "b.dcm")
    (tmp_path / "in" / "latest").symlink_to("day")
    (tmp_path / "in" / "day" / "around").symlink_to("..")
    (tmp_path / "in" / "more").symlink_to("../out")
    refused, read = inspect([tmp_path / "in"], workers=0)
    assert (refused.path, refused.error.code) == (tmp_path / "in" / "more", "E_NOT_REGULAR")
    assert read.path == tmp_path / "in" / "day" / "a.dcm"
    (named,) = inspect([tmp_path / "in" / "more"], workers=0)  # whoever names it means it
    assert named.header is not None


def test_of_a_dataset_under_git_annex_each_image_is_found_once(tmp_path):
    objects = tmp_path / ".git" / "annex" / "objects"
    objects.mkdir(parents=True)
    write(radiograph(), objects / "SHA256E-s1--0.dcm")
    (objects / "SHA256E-s1--0.dcm").chmod(0o444)
    (tmp_path / "a.dcm").symlink_to(".git/annex/objects/SHA256E-s1--0.dcm")
    assert found_in(tmp_path) == ["a.dcm"]


def test_a_dicom_file_without_preamble_is_found_by_its_first_bytes(tmp_path):
    path = write(radiograph(), tmp_path / "1.2.3")
    path.write_bytes(path.read_bytes()[132:])
    assert found_in(tmp_path) == ["1.2.3"]


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(radiograph(), tmp_path / "1.2.3")
    opened = os.open

    def refusing(path, *arguments):
        if Path(path).name == "1.2.3":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", refusing)
    assert list(images_in(tmp_path)) == [tmp_path / "1.2.3"]


def test_a_subfolder_that_cannot_be_looked_into_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.dcm").touch()
    (tmp_path / "closed").mkdir()
    looked_into = os.scandir

    def refusing(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return looked_into(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert list(images_in(tmp_path)) == [tmp_path / "a.dcm", tmp_path / "closed"]
