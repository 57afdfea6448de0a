"""Many files to many files: what goes where, what is refused, and how a run resumes."""

from __future__ import annotations

import csv
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from bad_dicoms import FAULTS
from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from harmonizers import CURVE, NARROW, REFERENCE, change, scanner_harmonizer
from isotone._runtime.journal import JOURNAL
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.deployment import deliver as deliver_module
from isotone.deployment.apply import ApplyReport, apply
from isotone.deployment.curves_table import COLUMNS
from isotone.deployment.restore import restore
from isotone.errors import IsotoneError, UsageError
from isotone.imaging.read import read_radiograph

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"
SCANNERS = (HOLOGIC, "camera", "any")


def run(paths, output, *, curve=CURVE, domain=None, **options) -> ApplyReport:
    manifest = paths if isinstance(paths, Manifest) else Manifest.from_paths(paths, domain=domain)
    return apply(
        scanner_harmonizer(*SCANNERS, curve=curve), manifest, output, **{"workers": 0, "quiet": True, **options}
    )


def table(report: ApplyReport) -> list[dict[str, str]]:
    with report.curves.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files_in(folder: Path) -> list[str]:
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix not in (".csv", ".sqlite")
    )


@pytest.fixture
def source(tmp_path) -> Path:
    """Three images in a tree."""
    for number, name in enumerate(("a.dcm", "b/c.dcm", "b/d/e.dcm")):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(radiograph(pixels(seed=number), seed=number), path)
    return tmp_path / "source"


def test_the_output_mirrors_the_input_tree_and_the_table_names_files_as_given(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = run(["source"], Path("out"), curve=NARROW)
    assert files_in(tmp_path / "out") == ["a.dcm", "b/c.dcm", "b/d/e.dcm"]
    rows = table(report)
    assert tuple(rows[0]) == COLUMNS
    assert [row["file"] for row in rows] == ["source/a.dcm", "source/b/c.dcm", "source/b/d/e.dcm"]
    assert {row["status"] for row in rows} == {"harmonized"}
    assert json.loads(rows[0]["coefficients"]) == [0.3]
    low, high = NARROW.slope_bounds()
    assert (float(rows[0]["min_slope"]), float(rows[0]["max_slope"])) == pytest.approx((low, high), rel=1e-5)
    image = read_radiograph("source/a.dcm")
    unclipped = NARROW.unclipped()
    outside = (image.pixels < unclipped[0]) | (image.pixels > unclipped[1])
    assert float(rows[0]["clipped_share"]) == pytest.approx(outside.mean(), abs=1e-3)
    assert int(rows[0]["levels_kept"]) == NARROW.distinct_levels(12, 16)
    assert report.summary() == "3 harmonized, 0 reference, 0 resumed, 0 refused: out/curves.csv"


def test_several_folders_meet_in_the_deepest_one_they_share(source, tmp_path):
    run([source / "b", source / "a.dcm"], tmp_path / "out")
    assert files_in(tmp_path / "out") == ["a.dcm", "b/c.dcm", "b/d/e.dcm"]


def test_raster_files_become_png_and_none_overwrites_another(tmp_path):
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("x.jpg", "x.png", "x.tif", "x.png.png")):
        Image.fromarray(pixels(8, seed=number).astype(np.uint8)).save(tmp_path / "in" / name)
    report = run([tmp_path / "in"], tmp_path / "out", domain="camera")
    outputs = [row["output"] for row in table(report)]
    assert report.harmonized == len(set(outputs)) == 4
    assert sorted(outputs) == files_in(tmp_path / "out")
    for row in table(report):
        wanted = read_radiograph(row["file"]).map_tone(CURVE).pixels
        assert np.abs(read_radiograph(tmp_path / "out" / row["output"]).pixels - wanted).max() < 1e-5


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_reference_images_pass_through_as_they_are(source, tmp_path, deliver):
    manifest = Manifest.from_paths([source])
    harmonizer = scanner_harmonizer("another")
    harmonizer.reference_domains = (HOLOGIC,)
    report = apply(harmonizer, manifest, tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    assert (report.reference, report.harmonized) == (3, 0)
    copies = files_in(tmp_path / "out")
    assert copies == (["a.dcm", "b/c.dcm", "b/d/e.dcm"] if deliver == "pixels" else [])
    for name in copies:
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert {row["status"] for row in table(report)} == {"reference"}
    assert [row["output"] for row in table(report)] == (copies or [""] * 3)
    again = apply(harmonizer, manifest, tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    assert (again.resumed, again.reference) == ((0, 3) if deliver == "gsps" else (3, 0))


def test_a_restored_folder_has_its_reference_images_as_they_were(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in/=b").mkdir(parents=True)  # a name that the table disarms
    write(radiograph(), "in/a.dcm")
    write(encoded(radiograph(vendor="ge"), LOSSLESS["jpeg-ls"]), "in/=b/reference.dcm")
    Image.fromarray(pixels(8).astype(np.uint8)).save("in/=b/reference.jpg")
    manifest = Manifest.from_paths(["in"], domain=REFERENCE)
    harmonizer = scanner_harmonizer(HOLOGIC)
    harmonizer.reference_domains = (REFERENCE, "GE MEDICAL SYSTEMS Senograph 2000D ADS_17.4.5")
    apply(harmonizer, manifest, "out", workers=0, quiet=True)
    references = [Path("out/=b/reference.dcm"), Path("out/=b/reference.jpg")]
    for number, given in enumerate((["out"], sorted(Path("out").rglob("*.[dj][cp][mg]")))):
        report = restore(given, f"back-{number}", workers=0, quiet=True)
        assert (report.restored, sorted(report.copied), report.refused) == (1, references, [])
        assert report.summary().endswith("1 restored exactly, 0 in part, 2 copied, 0 refused")
        assert "out/=b/reference.jpg: passed through by apply, copied as it is" in report.summary()
        for path in references:
            assert (f"back-{number}" / path.relative_to("out")).read_bytes() == Path("in", *path.parts[1:]).read_bytes()


def test_restoring_again_resumes_and_anything_else_in_the_folder_is_wrong_usage(source, tmp_path):
    run([source], tmp_path / "out")
    restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    (tmp_path / "back" / "a.dcm").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "back").rglob("*.dcm")}
    assert restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True).restored == 3
    assert (tmp_path / "back" / "a.dcm").exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    with pytest.raises(UsageError, match="another run"):
        run([source], tmp_path / "back")


def test_a_reference_raster_image_keeps_its_name(tmp_path):
    Image.fromarray(pixels(8).astype(np.uint8)).save(tmp_path / "x.jpg")
    run([tmp_path / "x.jpg"], tmp_path / "out", domain=REFERENCE)
    assert (tmp_path / "out" / "x.jpg").read_bytes() == (tmp_path / "x.jpg").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_the_same_run_again_resumes_and_writes_nothing(source, tmp_path, deliver):
    first = run([source], tmp_path / "out", deliver=deliver)
    stamps = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in files_in(tmp_path / "out")}
    again = run([source], tmp_path / "out", deliver=deliver)
    assert (first.harmonized, again.harmonized, again.resumed) == (3, 0, 3)
    assert stamps == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in files_in(tmp_path / "out")}
    assert table(again) == table(first)


@pytest.mark.parametrize("deliver", ["pixels", "gsps"])
def test_a_lost_output_or_a_changed_input_is_done_again(source, tmp_path, deliver):
    run([source], tmp_path / "out", deliver=deliver)
    (tmp_path / "out" / files_in(tmp_path / "out")[0]).unlink()
    again = run([source], tmp_path / "out", deliver=deliver)
    assert again.harmonized == 1
    write(radiograph(pixels(seed=9), seed=9, PatientID="another"), source / "b" / "c.dcm")
    changed = run([source], tmp_path / "out", deliver=deliver)
    assert (changed.harmonized, changed.resumed) == (1, 2)


def test_anything_else_in_a_non_empty_folder_is_wrong_usage(source, tmp_path):
    out = tmp_path / "out"
    run([source], out)
    before = {name: (out / name).read_bytes() for name in files_in(out)}
    for attempt in (
        lambda: run([source], out, curve=ToneCurve([0.1])),
        lambda: run([source], out, deliver="voi-lut"),
    ):
        with pytest.raises(UsageError, match="another run"):
            attempt()
    assert before == {name: (out / name).read_bytes() for name in files_in(out)}
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run([source], tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes.txt"]
    with pytest.raises(UsageError, match="a file, not a folder"):
        run([source], source / "a.dcm")


def test_force_goes_on_with_more_inputs_and_starts_anew_with_another_model(source, tmp_path):
    run([source / "b"], tmp_path / "out")
    write(radiograph(seed=8), source / "b" / "new.dcm")
    grown = run([source / "b"], tmp_path / "out", force=True)
    assert (grown.resumed, grown.harmonized) == (2, 1)
    other = run([source / "b"], tmp_path / "out", force=True, curve=ToneCurve([0.1]))
    assert (other.resumed, other.harmonized) == (0, 3)


def test_each_refusal_is_named_once_and_the_rest_is_done(source, tmp_path):
    (source / "bad.dcm").write_bytes(b"no image")
    write(radiograph(seed=7, vendor="philips"), source / "unknown.dcm")
    write(radiograph(seed=0), source / "b" / "same-uid.dcm")
    manifest = Manifest.from_paths([source])
    report = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", workers=0, quiet=True)
    found = {Path(str(error.file)).name: error.code for error in report.refused}
    assert found == {"bad.dcm": "E_NOT_DICOM", "unknown.dcm": "E_DOMAIN", "same-uid.dcm": "E_DUPLICATE"}
    assert (report.harmonized, files_in(tmp_path / "out")) == (3, ["a.dcm", "b/c.dcm", "b/d/e.dcm"])
    assert {row["code"] for row in table(report)} == {"", "E_NOT_DICOM", "E_DOMAIN", "E_DUPLICATE"}
    assert all("\n" not in str(error) for error in report.refused)


def test_a_duplicate_is_not_harmonized_again_by_the_next_run(source, tmp_path, monkeypatch):
    write(radiograph(seed=0), source / "b" / "same-uid.dcm")
    first = run([source], tmp_path / "out")
    monkeypatch.setattr(deliver_module, "open_dicom", None)
    again = run([source], tmp_path / "out")
    assert (again.resumed, [e.code for e in again.refused]) == (3, ["E_DUPLICATE"])
    assert [str(e) for e in again.refused] == [str(e) for e in first.refused]


def test_where_there_is_no_terminal_each_file_has_a_plain_line(source, tmp_path, capsys):
    run([source], tmp_path / "out", quiet=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{source / name}: harmonized" for name in ("a.dcm", "b/c.dcm", "b/d/e.dcm")]


def test_other_data_than_the_fit_saw_is_refused_unless_its_guard_is_named(tmp_path):
    path = write(radiograph(intent="FOR PROCESSING"), tmp_path / "a.dcm")
    harmonizer = scanner_harmonizer(HOLOGIC)
    change(harmonizer, HOLOGIC, headers={"intent": {"FOR PRESENTATION": 9}})
    manifest = Manifest.from_paths([path])
    report = apply(harmonizer, manifest, tmp_path / "out", workers=0, quiet=True)
    assert [error.code for error in report.refused] == ["E_INTENT"]
    assert apply(harmonizer, manifest, tmp_path / "out", workers=0, quiet=True, allow=["intent"]).harmonized == 1


def test_an_output_folder_within_the_input_is_not_read_again(source):
    run([source], source / "out")
    again = run([source], source / "out")
    assert again.resumed == 3
    with pytest.raises(UsageError, match="output folder"):
        run([source], source)


def test_nothing_leaves_the_output_folder(source, tmp_path):
    write(radiograph(seed=5, SOPInstanceUID="../../../../tmp/evil"), source / "evil.dcm")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "b").symlink_to(tmp_path / "elsewhere")
    report = run([source], tmp_path / "out", force=True)
    assert {error.code for error in report.refused} == {"E_WRITE"}
    assert not [*(tmp_path / "elsewhere").iterdir()]
    evil = pydicom.dcmread(tmp_path / "out" / "evil.dcm")
    assert evil.SOPInstanceUID.is_valid
    assert "SourceImageSequence" not in evil


def test_where_the_user_says_that_0_is_white_it_is_and_the_png_has_0_black(tmp_path):
    grey = pixels(8).astype(np.uint8)
    Image.fromarray(255 - grey).save(tmp_path / "x.png")
    manifest = Manifest.from_paths([tmp_path / "x.png"], domain="camera", inverted=True)
    run(manifest, tmp_path / "out")
    wanted = CURVE(grey / 255)
    assert np.abs(read_radiograph(tmp_path / "out" / "x.png").pixels - wanted).max() < 1e-5
    restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "back" / "x.png")), 255 - grey)
    assert run([tmp_path / "x.png"], tmp_path / "out", domain="camera").harmonized == 1


def test_cells_that_a_spreadsheet_would_compute_are_made_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["=cmd|' !A0.dcm", "+1.dcm", "-1.dcm", "@x.dcm"]
    for number, name in enumerate(names):
        write(radiograph(seed=number), tmp_path / name)
    report = run(names, tmp_path / "out")
    assert [row["file"] for row in table(report)] == [f"'{name}" for name in names]


def test_any_executor_does_the_work(source, tmp_path):
    with ThreadPoolExecutor(2) as executor:
        report = run([source], tmp_path / "threads", executor=executor, workers=2)
    assert report.harmonized == 3
    run([source], tmp_path / "alone")
    for name in files_in(tmp_path / "alone"):
        got, wanted = (pydicom.dcmread(tmp_path / folder / name) for folder in ("threads", "alone"))
        assert got.PixelData == wanted.PixelData


@pytest.mark.slow
def test_every_bad_input_is_refused_with_its_code_and_leaves_nothing(tmp_path):
    faults = {name: fault for name, fault in FAULTS.items() if fault.code.startswith("E_")}
    for name, fault in faults.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        fault.build(tmp_path / "in" / name / f"x{fault.suffix}")
    paths = [str(tmp_path / "in" / name / f"x{fault.suffix}") for name, fault in faults.items()]
    manifest = Manifest(pd.DataFrame({"path": paths, "domain": "any"}))
    report = run(manifest, tmp_path / "out", workers=2)
    assert {Path(str(e.file)).parent.name: e.code for e in report.refused} == {n: f.code for n, f in faults.items()}
    assert files_in(tmp_path / "out") == []


def test_presentation_states_come_one_for_each_study_rescale_and_polarity(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    kinds = {
        "a1": {},
        "a2": {"stored": pixels(rows=32, columns=80)},
        "a3": {"inverted": True},
        "a4": {"modality": "CR", "RescaleSlope": "2", "RescaleIntercept": "0"},
        "b1": {"StudyInstanceUID": "1.2.3"},
    }
    for number, (name, kind) in enumerate(kinds.items()):
        ds = radiograph(**{"StudyInstanceUID": "1.2.4", **kind}, seed=number)
        write(ds, tmp_path / "in" / f"{name}.dcm")

    def no_decoding(*_):
        raise AssertionError("a scanner curve needs no pixel")

    monkeypatch.setattr("isotone.imaging.dicom.frames.decode", no_decoding)
    report = run([tmp_path / "in"], tmp_path / "out", deliver="gsps")
    assert report.harmonized == 5
    groups: dict[str, set[str]] = {}
    for row in table(report):
        groups.setdefault(row["output"], set()).add(Path(row["file"]).stem)
    assert sorted(map(sorted, groups.values())) == [["a1", "a2"], ["a3"], ["a4"], ["b1"]]
    for name, members in groups.items():
        state = pydicom.dcmread(tmp_path / "out" / name)
        assert len(state.SoftcopyVOILUTSequence) == len(members)
        assert len(state.DisplayedAreaSelectionSequence) == len({m == "a2" for m in members})
        assert state.PresentationLUTShape == ("INVERSE" if members == {"a3"} else "IDENTITY")
        for item in state.SoftcopyVOILUTSequence:
            [reference], [lut] = item.ReferencedImageSequence, item.VOILUTSequence
            [path] = [
                p
                for p in (tmp_path / "in").iterdir()
                if pydicom.dcmread(p).SOPInstanceUID == reference.ReferencedSOPInstanceUID
            ]
            expected = CURVE.to_lut(12, 16) if path.stem != "a3" else 65535 - CURVE.to_lut(12, 16)[::-1]
            np.testing.assert_array_equal(np.frombuffer(lut.LUTData, "<u2"), expected)


PLANTED = {
    "PatientName": "CANARYNAME^JANE",
    "PatientID": "CANARYID77",
    "PatientBirthDate": "19370814",
    "AccessionNumber": "CANARYACC",
    "ReferringPhysicianName": "CANARYDOC^X",
    "InstitutionName": "CANARYHOSPITAL",
    "StudyDescription": "CANARYTEXT free text",
    "SeriesDescription": "CANARYSERIES",
    "ImageComments": "CANARYCOMMENT",
    "StudyDate": "20191231",
    "StudyInstanceUID": "1.2.3.4.5.987654321",
    "SOPInstanceUID": "1.2.3.4.5.123456789",
}


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut", "gsps"])
def test_no_patient_data_leave_the_images(tmp_path, deliver, caplog, capfd):
    (tmp_path / "in").mkdir()
    write(radiograph(**PLANTED), tmp_path / "in" / "good.dcm")
    ds = radiograph(**{**PLANTED, "SOPInstanceUID": "1.2.3.4.5.123456780", "RescaleSlope": "0"})
    write(ds, tmp_path / "in" / "refused.dcm")
    ds = radiograph(**{**PLANTED, "SOPInstanceUID": "1.2.CANARYUID"})
    ds.PatientAge = "CANARYAGE"
    write(ds, tmp_path / "in" / "odd.dcm")
    caplog.clear()
    capfd.readouterr()
    with caplog.at_level(logging.DEBUG):
        report = run([tmp_path / "in"], tmp_path / "out", deliver=deliver)
    said = [str(error) for error in report.refused] + [report.summary(), caplog.text, *capfd.readouterr()]
    said += [(tmp_path / "out" / name).read_bytes().decode(errors="replace") for name in (JOURNAL, "curves.csv")]
    text = "\n".join(said).replace(str(tmp_path), "")
    for secret in [*PLANTED.values(), "CANARY", "JANE"]:
        assert secret not in text
    assert [error.code for error in report.refused] == ["E_RESCALE"]


def test_a_derived_image_has_the_patient_data_of_its_source_and_no_more(tmp_path):
    path = write(radiograph(**PLANTED), tmp_path / "a.dcm")
    run([path], tmp_path / "out")
    before, after = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "out" / "a.dcm")
    for keyword in PLANTED:
        if keyword not in ("SeriesDescription", "SOPInstanceUID"):
            assert after[keyword] == before[keyword]


def test_wrong_usage_is_said_before_anything_is_made(source, tmp_path):
    with pytest.raises(UsageError, match="unknown delivery"):
        run([source], tmp_path / "out", deliver="film")
    assert not (tmp_path / "out").exists()


def test_a_raster_image_has_no_look_up_table_to_deliver(tmp_path):
    Image.fromarray(pixels(8).astype(np.uint8)).save(tmp_path / "x.png")
    for deliver in ("voi-lut", "gsps"):
        report = run([tmp_path / "x.png"], tmp_path / deliver, domain="camera", deliver=deliver)
        assert [error.code for error in report.refused] == ["E_UNSUPPORTED"]


def test_an_exception_of_ours_reaches_nobody_as_a_traceback(source, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("CANARY")

    monkeypatch.setattr(deliver_module, "outcome_of", broken)
    report = run([source], tmp_path / "out")
    assert [error.code for error in report.refused] == ["E_DECODE"] * 3
    assert all(isinstance(error, IsotoneError) and "CANARY" not in str(error) for error in report.refused)
