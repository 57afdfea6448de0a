"""Killed, interrupted, in a full or read-only folder, or twice at once: a run loses nothing and halves nothing."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from dicoms import pixels, radiograph, write
from harmonizers import CURVE, scanner_harmonizer
from isotone._runtime.files import TEMPORARY
from isotone._runtime.journal import JOURNAL
from isotone._runtime.workers import map_isolated
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.errors import IsotoneError, UsageError
from processes import start as start_process

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from harmonizers import scanner_harmonizer
from isotone.deployment.apply import apply
from isotone.data.manifests.manifest import Manifest
if __name__ == "__main__":
    try:
        manifest = Manifest.from_paths([{source!r}])
        report = apply(scanner_harmonizer({domain!r}), manifest, {out!r}, deliver={deliver!r}, workers=2, quiet=True)
    except KeyboardInterrupt:
        sys.exit(130)
    print(report.harmonized, report.resumed, len(report.refused))
"""


def write_images(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        write(radiograph(pixels(rows=24, columns=32, seed=number), seed=number), folder / f"{number:03}.dcm")


def start(tmp_path: Path, deliver: str = "pixels") -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    values = {"tests": str(Path(__file__).parents[1]), "domain": HOLOGIC, "deliver": deliver}
    values |= {"source": str(tmp_path / "in"), "out": str(tmp_path / "out")}
    script.write_text(textwrap.dedent(SCRIPT).format(**values))
    return start_process([sys.executable, script], stderr=None)


def outputs(tmp_path: Path) -> dict[str, tuple[int, int]]:
    """Name, inode and time of every finished file."""
    found = [p for p in (tmp_path / "out").glob("*.dcm") if not p.name.startswith(TEMPORARY)]
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


def journaled(tmp_path: Path) -> int:
    """How many images the journal has, read as another process may."""
    journal = tmp_path / "out" / JOURNAL
    if not journal.exists():
        return 0
    with closing(sqlite3.connect(journal, timeout=60)) as db:
        return int(db.execute("SELECT count(*) FROM images").fetchone()[0])


def wait_for(tmp_path: Path, count: int, process: subprocess.Popen[str]) -> None:
    while len(outputs(tmp_path)) < count and process.poll() is None:
        time.sleep(0.005)


def kill_at(tmp_path: Path, goals: Iterable[int], deliver: str = "pixels") -> None:
    """Start the run and kill it with so many outputs there, again and again."""
    for goal in sorted(goals):
        process = start(tmp_path, deliver)
        wait_for(tmp_path, int(goal), process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)  # a worker may be finishing its file; it then finds that its parent is gone


@pytest.mark.slow
def test_killed_at_random_moments_over_200_files_every_output_is_complete_and_none_noted_is_done_twice(tmp_path):
    write_images(tmp_path / "in", 200)
    kill_at(tmp_path, np.random.default_rng(0).integers(5, 190, 3))
    before, done = outputs(tmp_path), journaled(tmp_path)
    process = start(tmp_path)
    harmonized, resumed, refused = map(int, process.communicate(timeout=120)[0].split())
    after = outputs(tmp_path)
    assert (harmonized, resumed, refused) == (200 - done, done, 0)
    # What stood between a file's renaming and the journal's transaction is done again, and no other.
    assert sum(after[name] != stamp for name, stamp in before.items()) <= len(before) - done
    assert journaled(tmp_path) == 200
    table = CURVE.to_lut(12, 16)
    for number in range(200):
        derived = pydicom.dcmread(tmp_path / "out" / f"{number:03}.dcm").pixel_array
        np.testing.assert_array_equal(derived, table[pixels(rows=24, columns=32, seed=number)])
    assert not [*(tmp_path / "out").rglob(f"{TEMPORARY}*")]


@pytest.mark.slow
def test_killed_at_random_moments_presentation_states_are_there_each_once(tmp_path):
    write_images(tmp_path / "in", 40)  # as many studies
    kill_at(tmp_path, np.random.default_rng(0).integers(2, 35, 2), "gsps")
    done = journaled(tmp_path)
    process = start(tmp_path, "gsps")
    assert process.communicate(timeout=120)[0].split() == [str(40 - done), str(done), "0"]
    found = [pydicom.dcmread(path) for path in (tmp_path / "out").glob("*.dcm")]
    shown = {state.SoftcopyVOILUTSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID for state in found}
    assert len(found) == len(shown) == len({state.SOPInstanceUID for state in found}) == 40
    assert journaled(tmp_path) == 40
    assert not [*(tmp_path / "out").rglob(f"{TEMPORARY}*")]


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written_and_the_same_command_finishes(tmp_path):
    write_images(tmp_path / "in", 40)
    process = start(tmp_path)
    wait_for(tmp_path, 5, process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not [*(tmp_path / "out").rglob(f"{TEMPORARY}*")]
    assert not (tmp_path / "out" / "curves.csv").exists()
    done = journaled(tmp_path)
    assert 0 < done < 40
    process = start(tmp_path)
    assert process.communicate(timeout=60)[0].split() == [str(40 - done), str(done), "0"]


@pytest.mark.slow
def test_two_runs_into_one_folder_do_no_harm(tmp_path):
    write_images(tmp_path / "in", 40)
    process = start(tmp_path)
    wait_for(tmp_path, 1, process)
    manifest = Manifest.from_paths([tmp_path / "in"])
    with pytest.raises(UsageError, match="another run is writing"):
        apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", workers=0)
    assert process.communicate(timeout=60)[0].split() == ["40", "0", "0"]


def in_process(tmp_path: Path, out: Path):
    manifest = Manifest.from_paths([tmp_path / "in"])
    return apply(scanner_harmonizer(HOLOGIC), manifest, out, workers=0, quiet=True)


def test_an_input_that_vanishes_is_named_and_the_rest_done(tmp_path):
    write_images(tmp_path / "in", 3)
    manifest = Manifest.from_paths([tmp_path / "in"])
    (tmp_path / "in" / "001.dcm").unlink()
    report = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", workers=0, quiet=True)
    assert (report.harmonized, [error.code for error in report.refused]) == (2, ["E_READ"])


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
@pytest.mark.parametrize("given", ["folder", "manifest"])
def test_a_run_goes_on_once_a_broken_or_missing_input_was_fetched_again(tmp_path, deliver, given):
    write_images(tmp_path / "in", 3)
    broken, listing = tmp_path / "in" / "001.dcm", tmp_path / "list.csv"
    content = broken.read_bytes()
    if given == "folder":
        broken.write_bytes(content[:600])
    else:
        broken.unlink()
        listing.write_text("path\n" + "".join(f"in/{number:03}.dcm\n" for number in range(3)))
    options = {"deliver": deliver, "workers": 0, "quiet": True}

    def again():
        manifest = Manifest.from_paths([tmp_path / "in" if given == "folder" else listing])
        return apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", **options)

    first = again()
    assert (first.harmonized, len(first.refused)) == (2, 1)
    broken.write_bytes(content)
    mended = again()
    assert (mended.harmonized, mended.resumed, mended.refused) == (1, 2, [])


def test_an_image_of_which_the_user_says_something_else_is_done_again(tmp_path):
    write_images(tmp_path / "in", 2)
    listing = tmp_path / "list.csv"

    def run(domain):
        listing.write_text(f"path,domain\nin/000.dcm,{domain}\nin/001.dcm,\n")
        harmonizer = scanner_harmonizer(HOLOGIC, "one", "other")
        return apply(harmonizer, Manifest.from_paths([listing]), tmp_path / "out", workers=0, quiet=True)

    assert run("one").harmonized == 2
    assert run("one").resumed == 2
    other = run("other")
    assert (other.harmonized, other.resumed) == (1, 1)


def test_an_input_that_was_another_in_between_is_done_again_as_what_it_is_now(tmp_path):
    write_images(tmp_path / "in", 1)
    path, out = tmp_path / "in" / "000.dcm", tmp_path / "out"
    first, times = path.read_bytes(), path.stat()
    in_process(tmp_path, out)
    wanted = pydicom.dcmread(out / "000.dcm").pixel_array
    write(radiograph(pixels(rows=24, columns=32, seed=7), seed=7), path)
    assert in_process(tmp_path, out).harmonized == 1
    assert (pydicom.dcmread(out / "000.dcm").pixel_array != wanted).any()
    path.write_bytes(first)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copy out of a backup has it
    assert in_process(tmp_path, out).harmonized == 1
    np.testing.assert_array_equal(pydicom.dcmread(out / "000.dcm").pixel_array, wanted)
    assert in_process(tmp_path, out).resumed == 1


def test_the_file_of_an_image_that_is_refused_by_now_is_taken_away_and_no_file_of_anybody_else(tmp_path):
    write_images(tmp_path / "in", 3)
    out = tmp_path / "out"
    in_process(tmp_path, out)
    (out / "mine.dcm").write_bytes((out / "000.dcm").read_bytes())
    (tmp_path / "in" / "001.dcm").write_bytes((tmp_path / "in" / "001.dcm").read_bytes()[:-100])
    report = in_process(tmp_path, out)
    assert (report.resumed, [error.code for error in report.refused]) == (2, ["E_TRUNCATED"])
    assert sorted(outputs(tmp_path)) == ["000.dcm", "002.dcm", "mine.dcm"]


def test_what_other_inputs_gave_stays_in_a_folder_that_is_forced(tmp_path):
    write_images(tmp_path / "in", 3)
    out = tmp_path / "out"
    in_process(tmp_path, out)
    for force in (True, False):
        manifest = Manifest(pd.DataFrame({"path": [str(tmp_path / "in" / "000.dcm")], "domain": HOLOGIC}))
        apply(scanner_harmonizer(HOLOGIC), manifest, out, force=force, workers=0, quiet=True)
        assert sorted(outputs(tmp_path)) == ["000.dcm", "001.dcm", "002.dcm"]


def test_a_full_disk_is_one_line_a_file_and_room_again_finishes_the_run(tmp_path):
    write_images(tmp_path / "in", 20)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small disk here")
    try:
        for room in (4, 48):  # kilobytes: for the journal alone, and for a few images
            (disk / "filler").write_bytes(bytes((64 - room) * 1024))
            assert codes_of_run(tmp_path, disk / "out") == {"E_WRITE"}
        for path in (disk / "out").glob("*.dcm"):
            assert pydicom.dcmread(path).pixel_array.shape == (24, 32)
        assert not [*disk.rglob(f"{TEMPORARY}*")]
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        report = in_process(tmp_path, disk / "out")
        assert (report.harmonized + report.resumed, report.refused) == (20, [])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def codes_of_run(tmp_path: Path, out: Path) -> set[str]:
    """The codes of what a run refuses, or of its end."""
    try:
        return {error.code for error in in_process(tmp_path, out).refused}
    except IsotoneError as error:
        return {error.code}


@pytest.mark.parametrize(
    ("call", "number"),
    [("fsync", errno.EIO), ("replace", errno.EIO), ("replace", errno.ESTALE), ("fsync", errno.EDQUOT)],
    ids=["EIO when flushed", "EIO when renamed", "NFS handle gone", "quota told late, as NFS does"],
)
def test_a_disk_that_fails_now_and_then_costs_those_files_and_the_same_command_does_them(
    tmp_path, monkeypatch, call, number
):
    write_images(tmp_path / "in", 9)
    whole, calls = getattr(os, call), itertools.count()

    def failing(*arguments):
        # The images alone: the table is written last.
        if getattr(arguments[0], "suffix", ".dcm") == ".dcm" and next(calls) % 3 == 1:
            raise OSError(number, os.strerror(number))
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        assert codes_of_run(tmp_path, tmp_path / "out") == {"E_WRITE"}
    assert not [*(tmp_path / "out").glob(f"{TEMPORARY}*")]
    done = outputs(tmp_path)
    assert 0 < len(done) < 9
    report = in_process(tmp_path, tmp_path / "out")
    assert (report.harmonized, report.resumed, report.refused) == (9 - len(done), len(done), [])
    assert done.items() <= outputs(tmp_path).items()


def test_a_read_only_folder_is_one_line(tmp_path):
    write_images(tmp_path / "in", 1)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        disk.chmod(0o500)
        if os.access(disk, os.W_OK):
            pytest.skip("this user may write anywhere and not mount")
    try:
        with pytest.raises(IsotoneError) as refusal:
            in_process(tmp_path, disk / "out")
        assert refusal.value.code == "E_WRITE"
        assert "\n" not in str(refusal.value)
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(disk)], check=True)


def crash(job) -> None:
    if job.name == "001.dcm":
        os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.slow
def test_a_worker_that_crashes_on_one_file_costs_that_file(tmp_path):
    write_images(tmp_path / "in", 4)
    results = map_isolated(crash, sorted((tmp_path / "in").iterdir()), workers=2)
    assert {path.name: getattr(result, "code", None) for path, result in results} == {
        "000.dcm": None,
        "001.dcm": "E_CRASH",
        "002.dcm": None,
        "003.dcm": None,
    }
