"""Of a folder every image is found, whatever it is called, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicoms import radiograph, write
from isotone.data.manifest import Manifest
from isotone.imaging.folder import images_in
from isotone.imaging.inspect import inspect


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


def test_a_link_to_an_image_is_named_and_refused(tmp_path):
    (tmp_path / "in").mkdir()
    write(radiograph(), tmp_path / "1.2.3")
    (tmp_path / "in" / "4.5.6").symlink_to(tmp_path / "1.2.3")
    (finding,) = inspect([tmp_path / "in"], workers=0)
    assert finding.error is not None
    assert finding.error.code == "E_NOT_REGULAR"
    assert found_in(tmp_path / "in") == ["4.5.6"]


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
