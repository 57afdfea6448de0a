"""Several machines, one output folder."""

from __future__ import annotations

import csv
from pathlib import Path

import pydicom
import pytest

from dicoms import pixels, radiograph, write
from harmonizers import scanner_harmonizer
from isotone._runtime.files import hold_folder
from isotone._runtime.journal import JOURNAL
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import ApplyReport, apply
from isotone.deployment.shard import PREFIX, Shard
from isotone.errors import UsageError

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


def run(folder: Path, out: Path, shard: str | None = None, *, alpha: float = 0.3, **options: object) -> ApplyReport:
    harmonizer = scanner_harmonizer(HOLOGIC, curve=ToneCurve([alpha]))
    return apply(harmonizer, Manifest.from_paths([folder]), out, shard=shard, workers=0, quiet=True, **options)


def files(out: Path) -> dict[str, tuple[str, bytes]]:
    """What was made of each image, the hour of its making apart."""
    read = {str(path.relative_to(out)): pydicom.dcmread(path) for path in out.rglob("*.dcm")}
    return {name: (dataset.SOPInstanceUID, dataset.PixelData) for name, dataset in read.items()}


def table(out: Path) -> list[dict[str, str]]:
    with (out / "curves.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(6):
        write(radiograph(pixels(rows=16, columns=16, seed=number), seed=number), tmp_path / "in" / f"{number}.dcm")
    return tmp_path / "in"


@pytest.mark.slow
def test_the_parts_together_are_what_one_run_gives_and_nothing_is_done_twice(folder: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    run(folder, whole)
    done = [run(folder, out, f"{k}/3") for k in (1, 2, 3)]
    assert sum(report.harmonized for report in done) == 6
    assert {line["file"] for report in done for line in table(report.curves.parent)} == {*map(str, folder.iterdir())}
    stamps = {path: path.stat().st_ino for path in out.rglob("*.dcm")}
    report = run(folder, out)
    assert (report.harmonized, report.resumed, report.gone) == (0, 6, 0)
    assert files(out) == files(whole)
    assert table(out) == table(whole)
    assert stamps == {path: path.stat().st_ino for path in out.rglob("*.dcm")}
    assert not list(out.glob(f"{PREFIX}*"))
    assert run(folder, out).resumed == 6


def test_a_part_resumes_and_the_whole_does_what_no_part_did(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(folder, out, "1/2").harmonized
    assert run(folder, out, "1/2").resumed == first
    report = run(folder, out)
    assert (report.resumed, report.harmonized) == (first, 6 - first)


def test_one_image_in_two_parts_is_delivered_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(8):
        write(radiograph(pixels(rows=16, columns=16), seed=1), tmp_path / "in" / f"{number}.dcm")
    out = tmp_path / "out"
    assert [run(tmp_path / "in", out, f"{k}/2").harmonized for k in (1, 2)] == [1, 1]
    report = run(tmp_path / "in", out)
    assert (report.resumed, {error.code for error in report.refused}) == (1, {"E_DUPLICATE"})
    assert len(files(out)) == 1


def test_a_part_is_for_a_folder_that_has_parts_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        run(folder, tmp_path / "other", "1/2")
    run(folder, tmp_path / "whole")
    with pytest.raises(UsageError, match="whole run"):
        run(folder, tmp_path / "whole", "1/2")


def test_the_whole_waits_for_parts_and_takes_those_of_its_own_model(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out, "1/2")
    with hold_folder(Shard(1, 2).folder(out)), pytest.raises(UsageError, match="another run is writing"):
        run(folder, out)
    with pytest.raises(UsageError, match="another run"):
        run(folder, out, alpha=0.1)
    assert (Shard(1, 2).folder(out) / JOURNAL).exists()
    assert run(folder, out).refused == []


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_shard_is_refused(folder: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no shard"):
        run(folder, tmp_path / "out", text)
    assert not (tmp_path / "out").exists()


def test_one_array_is_written_by_one_machine(folder: Path, tmp_path: Path) -> None:
    from isotone.deployment.encoding import Encoding

    with pytest.raises(UsageError, match="one array"):
        run(folder, tmp_path / "out", "1/2", deliver="npy", encoding=Encoding(size=8))
