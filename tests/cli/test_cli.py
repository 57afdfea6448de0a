"""The command line: its exit codes, its one-line errors, and that nothing is half-written."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from isotone.cli import app
from isotone.cli.app import print_json
from make_images import write_cohort, write_png
from processes import COMMAND, start

FIT = ("--reference", "ref", "--source", "src", "--workers", "1")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def one_line(result: Result) -> str:
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("isotone: ")
    return line


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def harmonizer(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "curve"
    result = run("fit", cohort, *FIT, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def classifier(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("models") / "classifier"
    result = run(
        *("train", cohort, "--reference", "ref", "-o", folder, "--backbone", "small"),
        *("--image-size", 32, "--epochs", 15, "--workers", 1, "--quiet"),
    )
    assert result.exit_code == 0, result.output
    return folder


def test_from_files_to_report(cohort: Path, classifier: Path, tmp_path: Path) -> None:
    """train, fit, evaluate, apply on PNG files with two responses: the curve repairs what the response broke."""
    fit = run("fit", cohort, *FIT, "-o", tmp_path / "curve", "--classifier", classifier)
    assert fit.exit_code == 0, fit.output
    done = run(
        *("evaluate", cohort, "--classifier", classifier, "--harmonizer", tmp_path / "curve"),
        *("--baseline", "histogram-matching", "--baseline", "full-range", "-o", tmp_path / "out", "--workers", 1),
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.strip().endswith("report.html")
    assert "\\x" not in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["schema"] == 1
    rows = {(row["domain"], row["method"]): row for row in results["rows"]}
    assert {m for _, m in rows} == {"none", "full-range", "histogram-matching", "curve"}
    assert rows["src", "none"]["worst_group_accuracy"] < 0.5
    assert rows["src", "curve"]["worst_group_accuracy"] > 0.8
    assert rows["ref", "curve"]["auc"] == rows["ref", "none"]["auc"]
    assert rows["src", "curve"]["n"] == 6
    assert set(rows["src", "curve"]["accuracy_per_class"]) == {"bright", "dark"}


@pytest.mark.slow
def test_another_seed_tests_the_same_patients_where_the_manifest_states_no_split(
    cohort: Path, classifier: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(cohort).drop(columns="split")
    table["path"] = [str(cohort.parent / path) for path in table["path"]]
    table.to_csv(tmp_path / "manifest.csv", index=False)
    tested = []
    for seed in (0, 1):
        out = tmp_path / str(seed)
        done = run(
            *("evaluate", tmp_path / "manifest.csv", "--classifier", classifier, "-o", out, "--seed", seed),
            *("--workers", 1, "--baseline", "full-range", "--quiet"),
        )
        assert done.exit_code == 0, done.output
        tested.append(set(pd.read_csv(out / "scores.csv")["image"]))
    assert tested[0] == tested[1]


def test_apply_mirrors_the_tree_and_says_what_it_did(cohort: Path, harmonizer: Path, tmp_path: Path) -> None:
    result = run("apply", harmonizer, cohort, "-o", tmp_path / "out", "--workers", 1)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "curves.csv")
    assert len(table) == 48
    written = Image.open(tmp_path / "out" / "src" / "0.png")
    assert written.mode == "I;16"
    source = np.asarray(Image.open(cohort.parent / "src" / "0.png")).astype(float)
    order = np.argsort(source, axis=None)
    assert (np.diff(np.asarray(written).astype(float).ravel()[order]) >= 0).all()
    assert (tmp_path / "out" / "ref" / "0.png").read_bytes() == (cohort.parent / "ref" / "0.png").read_bytes()


ONE_BY_ONE = """
import json, sys
from isotone.cli import main
codes = []
for command in json.loads(sys.argv[1]):
    sys.argv[1:] = command
    try:
        main()
    except SystemExit as end:
        codes.append(end.code)
print(codes)
"""
"""isotone, several commands in one process; then their exit codes."""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "utf-8:surrogateescape"])
def test_a_file_name_that_the_console_cannot_show_stops_no_command(
    cohort: Path, harmonizer: Path, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "in").mkdir()
    try:
        shutil.copy(cohort.parent / "src" / "0.png", tmp_path / "in" / os.fsdecode(b"\xff\xe9.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    (tmp_path / "in" / os.fsdecode(b"\xfe.dcm")).write_bytes(b"no DICOM")
    apply = ["apply", harmonizer, tmp_path / "in", "-o", tmp_path / "out", "--domain", "src", "--workers", "1"]
    commands = [["inspect", tmp_path / "in"], apply, ["restore", tmp_path / "out", "-o", tmp_path / "back"]]
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, json.dumps(commands, default=str)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert b"Traceback" not in done.stderr
    assert b"UnicodeEncodeError" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == b"[1, 1, 0]"
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == [os.fsdecode(b"\xff\xe9.png")]
    assert len(pd.read_csv(tmp_path / "out" / "curves.csv")) == 2


@pytest.mark.slow  # four processes
def test_what_is_noted_of_a_manifest_is_one_plain_line_in_every_command(
    cohort: Path, harmonizer: Path, tmp_path: Path
) -> None:
    image = cohort.parent / "src" / "0.png"
    (tmp_path / "m.csv").write_text(f"path,domain,Patient ID\n{image},src,p\n")
    for arguments in (["inspect"], ["check", harmonizer], ["apply", harmonizer], ["restore"]):
        output = ["-o", tmp_path / arguments[0]] if arguments[0] in ("apply", "restore") else []
        command = [*COMMAND, *map(str, [*arguments, tmp_path / "m.csv", *output, "--quiet"])]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
        assert said.count(f"isotone: {tmp_path / 'm.csv'}: column 'Patient ID' is read as 'patient_id'") == 1
        assert all(line.startswith("isotone: ") for line in said)


@pytest.mark.slow
def test_files_without_header_need_a_domain(cohort: Path, harmonizer: Path, tmp_path: Path) -> None:
    folder = cohort.parent / "src"
    refused = run("apply", harmonizer, folder, "-o", tmp_path / "a", "--workers", 1)
    assert refused.exit_code == 1
    assert "E_DOMAIN" in refused.stderr
    assert "--domain" in refused.stderr
    assert run("apply", harmonizer, folder, "-o", tmp_path / "b", "--domain", "src", "--workers", 1).exit_code == 0


def test_the_same_apply_resumes_and_another_is_refused(cohort: Path, harmonizer: Path, tmp_path: Path) -> None:
    first = ("apply", harmonizer, cohort, "-o", tmp_path / "out", "--workers", 1)
    assert run(*first).exit_code == 0
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.png")}
    again = run(*first)
    assert again.exit_code == 0
    assert "resumed" in again.stdout
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.png")} == stamps
    other = run(*first, "--deliver", "voi-lut")
    assert other.exit_code == 2
    one_line(other)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("fit", "nothing.csv", *FIT, "-o", "OUT"), 2),
        (("fit", "COHORT", "--reference", "ref", "--source", "nobody", "-o", "OUT"), 2),
        (("fit", "COHORT", "--reference", "ref", "--source", "ref", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--classifier", "nothing", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--set", "nonsense=1", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--method", "gdce", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--method", "nonsense", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--nonsense", "-o", "OUT"), 2),
        (("fit", "COHORT", "--reference", "ref", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--device", "nonsense", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--mix", "dark=most", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--mix", "dark=nan", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--mix", "dark=2", "--mix", "bright=-1", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--mix", "dark=0.5", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--mix", "dark=0.5", "--mix", "dark=1", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--domain-map", "a=src", "--domain-map", "a=ref", "-o", "OUT"), 2),
        (("fit", "COHORT", *FIT, "--method", "gdce", "--mix", "dark=1", "-o", "OUT"), 2),
        (("evaluate", "COHORT", "--predictions", "COHORT", "--harmonizer", "HARMONIZER", "-o", "OUT"), 2),
        (("reproduce", "phantom", "--quick", "--device", "nonsense", "-o", "OUT"), 2),
        (("nonsense",), 2),
        (("--nonsense",), 2),
        (("cohort",), 2),
        (("cohort", "nonsense"), 2),
        (("train", "COHORT", "--reference", "nobody", "-o", "OUT", "--backbone", "small"), 2),
        (("apply", "nothing", "COHORT", "-o", "OUT"), 2),
        (("apply", "HARMONIZER", "nothing", "-o", "OUT"), 2),
        (("evaluate", "COHORT", "--classifier", "nothing", "-o", "OUT"), 2),
        (("curve", "nothing"), 2),
        (("curve", "COHORT_FOLDER"), 1),
        (("inspect", "nothing"), 2),
        (("inspect", "EMPTY"), 2),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    cohort: Path, harmonizer: Path, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    pytest.importorskip("torch")
    names = {"OUT": tmp_path / "out", "COHORT": cohort, "HARMONIZER": harmonizer, "COHORT_FOLDER": cohort.parent}
    names["EMPTY"] = tmp_path / "empty"
    names["EMPTY"].mkdir()
    result = run(*(names.get(a, a) for a in arguments))
    assert result.exit_code == code, result.output
    one_line(result)
    assert not (tmp_path / "out").exists()


def test_an_unknown_setting_is_told_which_there_are(cohort: Path, tmp_path: Path) -> None:
    result = run("fit", cohort, *FIT, "--set", "nonsense=1", "-o", tmp_path / "out")
    assert "no setting 'nonsense'" in one_line(result)
    assert "resamples" in one_line(result)


def test_an_unknown_baseline_is_told_all_there_are(cohort: Path, classifier: Path, tmp_path: Path) -> None:
    result = run("evaluate", cohort, "--classifier", classifier, "--baseline", "nonsense", "-o", tmp_path / "out")
    assert "histogram-matching, " in one_line(result)
    assert "fine-tuning, " in one_line(result)


@pytest.mark.slow
def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_learned_and_judged(
    cohort: Path, classifier: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(cohort)
    table["path"] = [str(cohort.parent / p) for p in table["path"]]
    for split in ("train", "test"):
        table.loc[(table["split"] == split).idxmax(), "path"] = str(tmp_path / f"{split}-gone.png")
    table.to_csv(tmp_path / "manifest.csv", index=False)
    given, once = tmp_path / "manifest.csv", ("--workers", 1, "--quiet", "-o")
    small = ("--backbone", "small", "--image-size", 32, "--epochs", 1)
    for gone, result in (
        ("train", run("train", given, "--reference", "ref", *small, *once, tmp_path / "classifier")),
        ("train", run("fit", given, *FIT, "-o", tmp_path / "curve")),
        ("train", run("audit", given, "--reference", "ref", *once[:3])),
        ("test", run("evaluate", given, "--classifier", classifier, *once, tmp_path / "out")),
    ):
        assert result.exit_code == 1
        named = [line for line in result.stderr.splitlines() if line.startswith("isotone: ")]
        assert any(f"{gone}-gone.png" in line and "E_READ" in line for line in named)
    assert (tmp_path / "classifier" / "config.json").exists()
    assert (tmp_path / "curve" / "config.json").exists()
    assert "gone" not in (tmp_path / "out" / "results.json").read_text()


def test_where_no_image_can_be_read_that_is_what_is_said(cohort: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    moved = shutil.copy(cohort, tmp_path / "manifest.csv")
    out = tmp_path / "out"
    result = run("train", moved, "--reference", "ref", "-o", out, "--backbone", "small", "--workers", 1, "--quiet")
    assert result.exit_code == 1
    *named, last = result.stderr.strip().splitlines()
    assert named
    assert all("E_READ" in line for line in named)
    assert "could be read" in last


def test_a_non_empty_folder_is_left_alone_unless_forced(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    refused = run("fit", cohort, *FIT, "-o", tmp_path)
    assert refused.exit_code == 2
    assert "not empty" in one_line(refused)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert run("fit", cohort, *FIT, "-o", tmp_path, "--force").exit_code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"mine.txt", "config.json"}


def test_a_second_run_into_a_finished_folder_is_refused(cohort: Path, harmonizer: Path) -> None:
    before = (harmonizer / "config.json").read_bytes()
    assert run("fit", cohort, *FIT, "-o", harmonizer).exit_code == 2
    assert (harmonizer / "config.json").read_bytes() == before


def test_two_harmonizers_of_one_name_are_refused(
    cohort: Path, harmonizer: Path, classifier: Path, tmp_path: Path
) -> None:
    twin = shutil.copytree(harmonizer, tmp_path / harmonizer.name)
    both = ("--harmonizer", harmonizer, "--harmonizer", twin)
    result = run("evaluate", cohort, "--classifier", classifier, *both, "-o", tmp_path / "out")
    assert result.exit_code == 2
    one_line(result)


@pytest.mark.parametrize("labels", ["dark,dark,dark", "bright,dark,dark"])
def test_a_label_with_one_image_or_none_cannot_be_trained_on(tmp_path: Path, labels: str, cohort: Path) -> None:
    pytest.importorskip("torch")
    table = pd.read_csv(cohort).head(8)
    table["path"] = [str(cohort.parent / p) for p in table["path"]]
    table["label"] = ["bright" if (labels.startswith("bright") and i == 0) else "dark" for i in range(8)]
    table.to_csv(tmp_path / "m.csv", index=False)
    result = run(
        *("train", tmp_path / "m.csv", "--reference", "ref", "-o", tmp_path / "out", "--backbone", "small"),
        *("--image-size", 32, "--epochs", 1, "--workers", 1, "--quiet"),
    )
    assert result.exit_code in (1, 2)
    one_line(result)
    assert not (tmp_path / "out").exists()


def test_a_colour_image_and_a_constant_one_are_refused_and_the_rest_done(harmonizer: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / "colour.png")
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(folder / "constant.png")
    write_png(folder / "good.png", response=2.0)
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    result = run("apply", harmonizer, folder, "-o", tmp_path / "out", "--domain", "src", "--workers", 1)
    assert result.exit_code == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 3
    assert {Path(p).name for p in (tmp_path / "out").rglob("*.png")} == {"good.png"}
    table = pd.read_csv(tmp_path / "out" / "curves.csv").set_index("file")
    assert table.loc[str(folder / "colour.png"), "code"] == "E_RASTER"
    assert table.loc[str(folder / "constant.png"), "code"] == "E_EMPTY_IMAGE"


def test_curve_prints_the_certificate_and_draws(harmonizer: Path, tmp_path: Path) -> None:
    result = run("curve", harmonizer, "--plot", tmp_path / "c.svg")
    assert result.exit_code == 0
    assert "strictly monotone: yes" in result.stdout
    drawn = ElementTree.fromstring((tmp_path / "c.svg").read_text())
    assert [line.get("class") for line in drawn.iter("{http://www.w3.org/2000/svg}path")][-3:] == [
        "identity",
        "band",
        "curve",
    ]


def test_a_plot_of_another_kind_needs_matplotlib(
    harmonizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("curve", harmonizer, "--plot", tmp_path / "c.png").exit_code == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert run("curve", harmonizer, "--plot", tmp_path / "c.gif").exit_code == 2
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    refused = run("curve", harmonizer, "--plot", tmp_path / "d.png")
    assert refused.exit_code == 1
    assert "[E_EXTRA]. Name a .svg. Install it: pip install " in refused.stderr
    assert "[plot]" in refused.stderr
    assert not (tmp_path / "d.png").exists()


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(harmonizer: Path, tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path / "many", patients=60)
    command = [*COMMAND, "apply", str(harmonizer), str(manifest), "-o", str(tmp_path / "out"), "--workers", "1"]
    process = start(command)
    while process.poll() is None and not list((tmp_path / "out").rglob("*.png")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.png")}
    assert 0 < len(done) < 120
    for path in done:
        Image.open(path).load()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    # The gate may find one of the many images odd: it is refused by name, and the rest is there.
    table = pd.read_csv(tmp_path / "out" / "curves.csv")
    refused = int((table["status"] == "refused").sum())
    assert again.returncode == int(refused > 0), again.stderr
    assert refused < 6
    assert len(table) == len(list((tmp_path / "out").rglob("*.png"))) + refused == 120
    assert not list((tmp_path / "out").rglob(".isotone-*.png"))


@pytest.mark.slow
def test_each_guard_has_its_own_option_and_force_overrules_none(harmonizer: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "odd.png", response=0.05)
    given = ("apply", harmonizer, tmp_path / "in", "--domain", "src", "-o", tmp_path / "out", "--workers", 1)
    for more in ((), ("--force",), ("--allow", "intent")):
        refused = run(*given, *more)
        assert refused.exit_code == 1
        assert "E_OOD" in one_line(refused)
        assert "--allow look" in one_line(refused)
    assert run(*given, "--allow", "look").exit_code == 0
    assert run(*given, "--allow", "everything").exit_code == 2


def test_json_has_null_where_there_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_json("image", {"clipped_share": math.nan, "layout": math.inf, "levels_kept": 3})
    assert '"clipped_share": null, "layout": null, "levels_kept": 3}' in capsys.readouterr().out
