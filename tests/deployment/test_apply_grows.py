"""A folder that grows, shrinks and changes: the new is done, the rest kept, and no line of the table forgotten."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner

from dicoms import pixels, radiograph, write
from harmonizers import REFERENCE, scanner_harmonizer
from isotone._runtime.journal import JOURNAL
from isotone._runtime.journal_lines import LINES
from isotone.cli import app
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import ApplyReport, apply
from isotone.deployment.restore import restore
from isotone.errors import UsageError

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


def image(path: Path, seed: int, **header: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(radiograph(pixels(rows=24, columns=32, seed=seed), seed=seed, **header), path)


def run(*paths: Path, out: Path, **options: object) -> ApplyReport:
    manifest = Manifest.from_paths(paths, domain=options.pop("domain", None))
    harmonizer = scanner_harmonizer(HOLOGIC, "camera", curve=options.pop("curve", ToneCurve([0.3])))
    return apply(harmonizer, manifest, out, **{"workers": 0, "quiet": True, **options})


def counts(report: ApplyReport) -> tuple[int, int, int, int]:
    """New, resumed, refused, gone."""
    return report.harmonized, report.resumed, len(report.refused), report.gone


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "curves.csv").open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file)}


def stamps(out: Path) -> dict[str, int]:
    return {str(p.relative_to(out)): p.stat().st_ino for p in out.rglob("*") if p.suffix in (".dcm", ".png")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        image(tmp_path / "in" / f"{number}.dcm", number)
    return tmp_path / "in"


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_new_images_are_done_and_the_rest_kept(folder: Path, tmp_path: Path, deliver: str) -> None:
    out = tmp_path / "out"
    assert counts(run(folder, out=out, deliver=deliver)) == (3, 0, 0, 0)
    before, rows = stamps(out), table(out)
    image(folder / "0-between.dcm", 9)
    image(folder / "deep" / "down.dcm", 10)
    assert counts(run(folder, out=out, deliver=deliver)) == (2, 3, 0, 0)
    assert before.items() <= stamps(out).items()
    assert rows.items() <= table(out).items()
    assert counts(run(folder, out=out, deliver=deliver)) == (0, 5, 0, 0)


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_images_that_are_gone_stay_listed_as_such_with_their_files(folder: Path, tmp_path: Path, deliver: str) -> None:
    out = tmp_path / "out"
    run(folder, out=out, deliver=deliver)
    before, rows = stamps(out), table(out)
    kept = (folder / "1.dcm").read_bytes(), (folder / "1.dcm").stat()
    (folder / "1.dcm").unlink()
    for _ in range(2):
        report = run(folder, out=out, deliver=deliver)
        assert counts(report) == (0, 2, 0, 1)
        assert report.summary().split(":")[0].endswith("1 gone")
        assert table(out)["1.dcm"] == {**rows["1.dcm"], "status": "gone"}
    assert stamps(out) == before
    (folder / "1.dcm").write_bytes(kept[0])
    os.utime(folder / "1.dcm", ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))
    assert counts(run(folder, out=out, deliver=deliver)) == (0, 3, 0, 0)
    assert table(out) == rows


def test_each_night_its_own_folder(tmp_path: Path) -> None:
    """Inputs that an earlier run never had are new; two files of one name do not meet."""
    out = tmp_path / "out"
    for night in range(3):
        image(tmp_path / str(night) / "a.dcm", night)
        assert counts(run(tmp_path / str(night), out=out)) == (1, 0, 0, night)
    assert len(stamps(out)) == 3
    with (out / "curves.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["output"] for row in rows}) == len({row["file"] for row in rows}) == 3
    for row in rows:
        source, derived = (pydicom.dcmread(path) for path in (row["file"], out / row["output"]))
        assert derived.PatientID == source.PatientID


def test_an_image_keeps_its_file_when_another_of_its_name_comes(tmp_path: Path) -> None:
    grey = pixels(8).astype(np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(grey).save(tmp_path / "in" / "x.png")
    out = tmp_path / "out"
    run(tmp_path / "in", out=out, domain="camera")
    Image.fromarray(grey).save(tmp_path / "in" / "x.jpg")  # sorted before, and a PNG in the output, too
    assert counts(run(tmp_path / "in", out=out, domain="camera")) == (1, 1, 0, 0)
    assert {name: row["output"] for name, row in table(out).items()} == {"x.png": "x.png", "x.jpg": "x.png.png"}


def test_a_changed_image_is_done_again_in_its_place(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out=out)
    image(folder / "1.dcm", 7)
    assert counts(run(folder, out=out)) == (1, 2, 0, 0)
    assert sorted(stamps(out)) == ["0.dcm", "1.dcm", "2.dcm"]
    assert len(table(out)) == 3


def test_a_refused_image_that_is_gone_stays_listed_too(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder / "bad.dcm").write_bytes(b"no image")
    run(folder, out=out)
    (folder / "bad.dcm").unlink()
    assert counts(run(folder, out=out)) == (0, 3, 0, 1)
    assert (table(out)["bad.dcm"]["status"], table(out)["bad.dcm"]["code"]) == ("gone", "E_NOT_DICOM")


def test_an_image_that_cannot_be_read_now_keeps_what_was_made_of_it(folder: Path, tmp_path: Path) -> None:
    """A share that is away for a night."""
    out = tmp_path / "out"
    manifest = Manifest.from_paths([folder])
    apply(scanner_harmonizer(HOLOGIC), manifest, out, workers=0, quiet=True)
    before = stamps(out)
    shutil.move(folder, tmp_path / "away")
    away = apply(scanner_harmonizer(HOLOGIC), manifest, out, workers=0, quiet=True)
    assert [error.code for error in away.refused] == ["E_READ"] * 3
    assert stamps(out) == before
    shutil.move(tmp_path / "away", folder)
    back = apply(scanner_harmonizer(HOLOGIC), manifest, out, workers=0, quiet=True)
    assert counts(back) == (0, 3, 0, 0)


def test_the_image_that_is_delivered_stays_the_first_of_two_with_one_uid(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out=out)
    image(folder / "0-again.dcm", 1)
    report = run(folder, out=out)
    assert (counts(report), report.refused[0].code) == ((0, 3, 1, 0), "E_DUPLICATE")
    assert Path(str(report.refused[0].file)).name == "0-again.dcm"
    (folder / "1.dcm").unlink()
    assert counts(run(folder, out=out)) == (1, 2, 0, 1)  # no other image of that UID is there now


def test_another_model_or_delivery_is_another_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out=out)
    before = stamps(out)
    for other in ({"curve": ToneCurve([0.1])}, {"deliver": "gsps"}):
        with pytest.raises(UsageError, match="another run"):
            run(folder, out=out, **other)
    assert stamps(out) == before
    (folder / "1.dcm").unlink()
    assert counts(run(folder, out=out, curve=ToneCurve([0.1]), force=True)) == (2, 0, 0, 1)
    rows = table(out)
    assert [json.loads(rows[name]["coefficients"]) for name in ("0.dcm", "1.dcm")] == [[0.1], [0.3]]


def test_a_state_stays_for_images_that_are_gone_and_a_new_image_gets_its_own(tmp_path: Path) -> None:
    study = {"StudyInstanceUID": "1.2.3", "PatientID": "one"}
    for number in range(2):
        image(tmp_path / "in" / f"{number}.dcm", number, **study)
    out = tmp_path / "out"
    run(tmp_path / "in", out=out, deliver="gsps")
    (first,) = stamps(out)
    (tmp_path / "in" / "0.dcm").unlink()
    image(tmp_path / "in" / "2.dcm", 2, **study)
    assert counts(run(tmp_path / "in", out=out, deliver="gsps")) == (1, 1, 0, 1)
    assert table(out)["0.dcm"]["output"] == table(out)["1.dcm"]["output"] == first != table(out)["2.dcm"]["output"]
    image(tmp_path / "in" / "1.dcm", 5, **study)  # shown by the first state as it was
    assert counts(run(tmp_path / "in", out=out, deliver="gsps")) == (1, 1, 0, 1)
    assert len(stamps(out)) == 3
    (tmp_path / "in" / "2.dcm").write_bytes(b"no image")
    last = table(out)["2.dcm"]["output"]
    run(tmp_path / "in", out=out, deliver="gsps")
    assert last not in stamps(out)


def test_restoring_a_folder_that_grew_restores_the_new_and_knows_references_that_are_gone(tmp_path: Path) -> None:
    image(tmp_path / "in" / "a.dcm", 0)
    image(tmp_path / "in" / "r.dcm", 1, vendor="ge")
    harmonizer = scanner_harmonizer(HOLOGIC)
    harmonizer.reference_domains = (REFERENCE, "GE MEDICAL SYSTEMS Senograph 2000D ADS_17.4.5")

    def both() -> None:
        apply(harmonizer, Manifest.from_paths([tmp_path / "in"]), tmp_path / "out", workers=0, quiet=True)

    both()
    assert restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True).restored == 1
    (tmp_path / "in" / "r.dcm").unlink()
    image(tmp_path / "in" / "b.dcm", 2)
    both()
    before = stamps(tmp_path / "back")
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    assert (report.restored, len(report.copied), report.refused) == (2, 1, [])
    assert before.items() <= stamps(tmp_path / "back").items()


def older(folder: Path, tmp_path: Path) -> Path:
    """The folder of a build that kept its journal as lines."""
    out = tmp_path / "out"
    run(folder, out=out)
    harmonizer = scanner_harmonizer(HOLOGIC, "camera", curve=ToneCurve([0.3]))
    lines = [{"isotone": 1, "version": "0.1.0", "harmonizer": harmonizer.digest, "deliver": "pixels", "inputs": "x"}]
    curve = ToneCurve([0.3]).to_json()
    for number in range(3):
        path = folder / f"{number}.dcm"
        state, target = path.stat(), path.name
        name = f"{path.absolute()}|{state.st_size}|{state.st_mtime_ns}|{target}|{HOLOGIC}|False"
        entry = {"key": hashlib.sha256(name.encode()).hexdigest()[:32], "target": target, "status": "harmonized"}
        entry |= {"curve": curve, "min_slope": 0.7, "max_slope": 1.3, "levels_kept": 4096, "clipped_share": 0.0}
        lines.append(entry | {"instance": f"{number:0<64}", "warnings": [], "look": None})
    (out / JOURNAL).unlink()
    (out / LINES).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"key": "cut sho')
    return out


def test_the_folder_of_an_older_build_is_converted_once(folder: Path, tmp_path: Path) -> None:
    out = older(folder, tmp_path)
    before = stamps(out)
    (folder / "2.dcm").unlink()
    image(folder / "new.dcm", 8)
    assert counts(run(folder, out=out)) == (1, 2, 0, 1)
    assert before.items() <= stamps(out).items()
    assert not (out / LINES).exists()
    row = table(out)["2.dcm"]
    assert (row["file"], row["status"], row["output"]) == (str(folder / "2.dcm"), "gone", "2.dcm")
    assert counts(run(folder, out=out)) == (0, 3, 0, 1)


def test_a_journal_whose_images_lie_by_their_hashes_goes_on(folder: Path, tmp_path: Path) -> None:
    """A build before the first release had it so."""
    out = tmp_path / "out"
    run(folder, out=out)
    with closing(sqlite3.connect(out / JOURNAL)) as db:
        (made,), (index,) = (
            db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
            for name in ("images", "targets")
        )
        script = f"ALTER TABLE images RENAME TO present; DROP INDEX targets; {made} WITHOUT ROWID; {index};"
        db.executescript(f"{script} INSERT INTO images SELECT * FROM present; DROP TABLE present; VACUUM;")
    image(folder / "new.dcm", 8)
    (folder / "2.dcm").unlink()
    assert counts(run(folder, out=out)) == (1, 2, 0, 1)
    assert counts(run(folder, out=out)) == (0, 3, 0, 1)


def test_the_folder_of_an_older_build_with_another_model_is_another_run(folder: Path, tmp_path: Path) -> None:
    out = older(folder, tmp_path)
    lines = (out / LINES).read_bytes()
    with pytest.raises(UsageError, match="another run"):
        run(folder, out=out, curve=ToneCurve([0.1]))
    assert (out / LINES).read_bytes() == lines
    assert not (out / JOURNAL).exists()


def test_a_manifest_that_says_less_of_an_image_is_no_other_run(folder: Path, tmp_path: Path) -> None:
    paths = [str(folder / "0.dcm"), str(folder / "1.dcm")]
    out = tmp_path / "out"
    run(folder, out=out)
    manifest = Manifest(pd.DataFrame({"path": paths, "domain": HOLOGIC}))
    report = apply(scanner_harmonizer(HOLOGIC, "camera", curve=ToneCurve([0.3])), manifest, out, workers=0, quiet=True)
    assert counts(report) == (0, 2, 0, 1)


@pytest.mark.slow
def test_json_tells_each_image_as_it_comes_and_then_the_counts(folder: Path, tmp_path: Path) -> None:
    """Nothing else stands on standard output."""
    scanner_harmonizer(HOLOGIC).save(tmp_path / "curve")
    (folder / "bad.dcm").write_bytes(b"no image")
    command = ("apply", tmp_path / "curve", folder, "-o", tmp_path / "out", "--workers", "1", "--json")
    for resumed in (False, True):
        done = CliRunner().invoke(app, [str(part) for part in command])
        assert done.exit_code == 1
        *images, summary = [json.loads(line) for line in done.stdout.splitlines()]
        assert {(line["schema"], line["kind"]) for line in images} == {(1, "image")}
        assert [Path(line["path"]).name for line in images] == ["0.dcm", "1.dcm", "2.dcm", "bad.dcm"]
        assert [line["status"] for line in images] == ["harmonized"] * 3 + ["refused"]
        assert [line["code"] for line in images] == [None] * 3 + ["E_NOT_DICOM"]
        assert [line.get("resumed") for line in images] == [resumed] * 3 + [None]
        assert [line.get("output") for line in images[:3]] == ["0.dcm", "1.dcm", "2.dcm"]
        assert images[0]["domain"] == HOLOGIC
        wanted = {"images": 4, "harmonized": 3 * (not resumed), "resumed": 3 * resumed, "refused": 1, "gone": 0}
        assert wanted.items() <= summary.items()
        assert (summary["kind"], summary["command"], summary["exit_code"]) == ("summary", "apply", 1)
