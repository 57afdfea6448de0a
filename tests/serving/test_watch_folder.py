"""What lies in a watched folder is taken in as if it had been sent, and is then taken away."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pydicom

from dicoms import radiograph, write
from isotone.serving.alerts import Alerts
from isotone.serving.audit_trail import AuditTrail
from isotone.serving.intake import Intake
from isotone.serving.node_settings import Folder, Limits
from isotone.serving.object_queue import ObjectQueue
from isotone.serving.spool import AUDIT, Spool
from isotone.serving.watch_folder import WatchFolder


def look(folder: Path, spool: Spool, queue: ObjectQueue, limits: Limits | None = None, settled: float = 0) -> list[str]:
    """One look into the folder; what is complained of."""
    said: list[str] = []
    intake = Intake(spool, queue, AuditTrail(spool.root / AUDIT), ["archive"], lambda: None, Alerts(said.append))
    settings = Folder(path=folder, settled_seconds=settled)
    watch = WatchFolder(settings, intake, limits or Limits(free_bytes=0), spool, said.append)
    stop = threading.Event()
    stop.wait = lambda _=None: stop.set() or True  # type: ignore[method-assign, assignment]
    watch.run(stop)
    return said


def test_an_object_is_taken_in_byte_for_byte_and_taken_away(tmp_path, spool, queue):
    path = tmp_path / "in" / "study" / "a.dcm"
    path.parent.mkdir(parents=True)
    before = write(radiograph(), path).read_bytes()
    assert look(tmp_path / "in", spool, queue) == []
    [row] = queue.rows("SELECT path, source, state FROM objects")
    assert spool.path(row[0]).read_bytes() == before
    assert row[1:] == ("folder in", "received")
    assert list((tmp_path / "in").iterdir()) == []
    assert queue.rows("SELECT destination, state FROM deliveries") == [("archive", "pending")]


def test_a_file_that_still_changes_is_left_and_so_are_links_and_names_with_a_dot(tmp_path, spool, queue):
    folder = tmp_path / "in"
    folder.mkdir()
    write(radiograph(), folder / "a.dcm")
    assert look(folder, spool, queue, settled=60) == []
    (folder / "a.dcm").rename(folder / ".a.dcm")
    (folder / "b.dcm").symlink_to(folder / ".a.dcm")
    assert look(folder, spool, queue) == []
    assert queue.rows("SELECT COUNT(*) FROM objects") == [(0,)]


def test_a_file_of_the_future_is_taken_all_the_same(tmp_path, spool, queue):
    """The clock was set back, or the machine that wrote it has another."""
    path = tmp_path / "in" / "a.dcm"
    path.parent.mkdir()
    write(radiograph(), path)
    os.utime(path, (2**31, 2**31))
    assert look(tmp_path / "in", spool, queue) == []
    assert not path.exists()


def test_what_is_no_object_or_too_large_is_moved_aside_and_said(tmp_path, spool, queue):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("no DICOM")
    write(radiograph(), folder / "b.dcm")
    said = look(folder, spool, queue, Limits(free_bytes=0, object_bytes=2000))
    assert [("E_NOT_DICOM" in line, "E_BOMB" in line) for line in said] == [(True, False), (False, True)]
    assert sorted(path.name for path in (folder / "refused").iterdir()) == ["a.txt", "b.dcm"]


def test_refused_files_of_one_name_are_all_kept(tmp_path, spool, queue):
    for text in ("first", "second"):
        path = tmp_path / "in" / text / "README"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    look(tmp_path / "in", spool, queue)
    assert sorted(path.read_text() for path in (tmp_path / "in" / "refused").iterdir()) == ["first", "second"]


def test_a_folder_that_is_not_there_is_said(tmp_path, spool, queue):
    assert "No such file" in look(tmp_path / "none", spool, queue)[0]


def test_a_full_spool_leaves_the_file_where_it_is(tmp_path, spool, queue):
    folder = tmp_path / "in"
    folder.mkdir()
    path = write(radiograph(), folder / "a.dcm")
    assert "full" in look(folder, spool, queue, Limits(free_bytes=2**60))[0]
    assert pydicom.dcmread(path).Modality == "MG"
