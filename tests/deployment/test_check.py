"""The check of a day's images: the same scanner passes, another response, anatomy or header differs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from harmonizers import change
from isotone.cli import app
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.check import Batch, CheckReport, Verdict, check, judge
from isotone.errors import RadiographError, UsageError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph
from isotone.monitoring.novelty import BATCH, Novelty
from isotone.monitoring.response_drift import ResponseDrift
from make_images import write_cohort, write_png


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    manifest = Manifest.read(write_cohort(folder / "cohort", patients=60))
    ToneCurveHarmonizer("ref", "src").fit(manifest, workers=0).save(folder / "harmonizer")
    return folder


@pytest.fixture(scope="module")
def harmonizer(folder: Path) -> ToneCurveHarmonizer:
    return ToneCurveHarmonizer.load(folder / "harmonizer")


def monitors(harmonizer: ToneCurveHarmonizer) -> tuple[Novelty, ResponseDrift]:
    scanner = harmonizer.scanners["src"]
    return scanner.novelty, scanner.drift  # type: ignore[return-value]


def batch(harmonizer: ToneCurveHarmonizer, looks: list[np.ndarray]) -> Batch:
    found = Batch(monitors(harmonizer)[0])
    for look in looks:
        found.add(look)
    return found


def today(folder: Path, *, n: int = 24, response: float = 2.0, domain: str = "src", dark: float = 0.5) -> Manifest:
    """New images of a scanner, a share of them of the dark class."""
    paths = []
    for i in range(n):
        paths.append(folder / f"{i}.png")
        write_png(paths[-1], response=response, level=0.35 if i < dark * n else 0.65, seed=90_000 + i)
    return Manifest(pd.DataFrame({"path": [str(p) for p in paths], "domain": domain}))


def test_new_images_of_the_same_scanner_pass(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    report = check(harmonizer, today(tmp_path), workers=0)
    assert [v.domain for v in report.verdicts] == ["src"]
    assert report.outcome == "alike", report.verdicts[0].line
    assert "as in the fit" in report.verdicts[0].line


def test_of_few_images_it_says_that_there_was_no_test_of_the_batch() -> None:
    assert "nothing found in 3 images; too few for the batch test" in Verdict("src", 3, 0).line
    assert "as in the fit" in Verdict("src", 24, 0).line
    assert "too few" not in Verdict("src", 3, 3, differences=("another look",)).line


def test_reference_images_are_counted_and_not_compared(folder: Path, harmonizer: ToneCurveHarmonizer) -> None:
    manifest = Manifest.read(folder / "cohort" / "manifest.csv")
    report = check(harmonizer, manifest, workers=0)
    reference = sum(row.domain == "ref" for row in manifest)
    assert (report.reference, report.images) == (reference, len(manifest) - reference)
    assert report.to_json()["reference"] == reference > 0


def test_no_curve_is_computed(harmonizer: ToneCurveHarmonizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToneCurveHarmonizer, "curve", None)
    assert check(harmonizer, today(tmp_path), workers=0).verdicts[0].images == 24


@pytest.mark.parametrize("dark", [0.0, 1.0])
def test_another_class_mix_passes(harmonizer: ToneCurveHarmonizer, tmp_path: Path, dark: float) -> None:
    report = check(harmonizer, today(tmp_path, dark=dark), workers=0)
    assert report.outcome == "alike", report.verdicts[0].line


@pytest.mark.parametrize("response", [1.1, 2.8])
def test_another_response_under_the_same_name_differs(
    harmonizer: ToneCurveHarmonizer, tmp_path: Path, response: float
) -> None:
    report = check(harmonizer, today(tmp_path, response=response), workers=0)
    assert report.outcome == "drift"
    assert "DIFFERENT" in report.verdicts[0].line


def test_too_few_images_are_no_batch_and_the_line_says_so(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    verdict = check(harmonizer, today(tmp_path, n=BATCH - 1, response=2.8), workers=0).verdicts[0]
    assert (verdict.layout, verdict.chance) == (None, None)
    assert f"below {BATCH} images" in verdict.line


def test_images_that_all_look_unlike_the_fit_differ_however_few_they_are(
    harmonizer: ToneCurveHarmonizer, tmp_path: Path
) -> None:
    looks = [x + 100 for x in map(harmonizer.look, _radiographs(today(tmp_path, n=10))) if x is not None]
    verdict = judge("src", *monitors(harmonizer), batch(harmonizer, looks))
    assert verdict.outside == 10
    assert "unlike those of the fit" in verdict.differences[0]


def test_an_unknown_scanner_is_named_and_is_no_drift(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    report = check(harmonizer, today(tmp_path, n=2, domain="another"), workers=0)
    assert {e.code for e in report.refused} == {"E_DOMAIN"}
    assert report.outcome == "unknown"


def test_reference_images_have_nothing_to_be_compared_with(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source domain"):
        check(harmonizer, today(tmp_path, n=1, domain="ref"), workers=0)


def test_one_odd_image_in_a_batch_is_named_and_does_not_make_the_batch_differ(
    harmonizer: ToneCurveHarmonizer, tmp_path: Path
) -> None:
    manifest = today(tmp_path, n=30)
    path = next(iter(manifest)).path
    image = Radiograph.from_array(np.random.default_rng(0).random((32, 32)))
    from PIL import Image

    Image.fromarray(image.stored).save(path)
    report = check(harmonizer, manifest, workers=0)
    assert [e.file for e in report.refused] == [str(path)]
    assert report.verdicts[0].outside == 1
    assert report.outcome == "alike"


def test_a_new_fact_of_the_headers_is_a_difference(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    looks = [x for x in (harmonizer.look(image) for image in _radiographs(today(tmp_path))) if x is not None]
    verdict = judge(
        "src",
        *monitors(harmonizer),
        batch(harmonizer, looks),
        facts=["3 images with W_SEEN_SOFTWARE"],
    )
    assert verdict.differences == ("3 images with W_SEEN_SOFTWARE",)


def test_many_refused_images_make_a_batch_differ(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    looks = [x for x in (harmonizer.look(image) for image in _radiographs(today(tmp_path))) if x is not None]
    verdict = judge("src", *monitors(harmonizer), batch(harmonizer, looks), refused=12)
    assert "unlike those of the fit" in verdict.differences[0]


def _radiographs(manifest: Manifest) -> list[Radiograph]:
    from isotone.imaging.read import read_radiograph

    return [read_radiograph(row.path, domain=row.domain) for row in manifest]


def test_apply_refuses_the_odd_image_unless_the_guard_is_named(harmonizer: ToneCurveHarmonizer, tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "odd.png", response=0.05)
    manifest = Manifest(pd.DataFrame({"path": [str(tmp_path / "in" / "odd.png")], "domain": "src"}))
    report = apply(harmonizer, manifest, tmp_path / "out", workers=0, quiet=True)
    assert [e.code for e in report.refused] == ["E_OOD"]
    assert isinstance(report.refused[0], RadiographError)
    assert not list((tmp_path / "out").glob("*.png"))
    assert apply(harmonizer, manifest, tmp_path / "allowed", workers=0, allow=["look"], quiet=True).harmonized == 1


@pytest.mark.slow
def test_apply_warns_of_a_batch_of_another_response_and_again_when_it_resumes(
    harmonizer: ToneCurveHarmonizer, tmp_path: Path
) -> None:
    manifest = today(tmp_path / "in", response=2.8)
    for _ in range(2):
        report = apply(harmonizer, manifest, tmp_path / "out", workers=0, quiet=True)
        assert [w.split(":")[0] for w in report.warnings] == ["W_BATCH"]
    same = apply(harmonizer, today(tmp_path / "same"), tmp_path / "out2", workers=0, quiet=True)
    assert same.warnings == []


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in ("check", *arguments, "--workers", 1, "--quiet")])


@pytest.mark.slow
def test_the_command_prints_a_line_for_each_scanner_and_exits_3_where_one_drifts(folder: Path, tmp_path: Path) -> None:
    for response, code in ((2.0, 0), (2.8, 3)):
        manifest = today(tmp_path / str(response), response=response)
        manifest.write(tmp_path / str(response) / "manifest.csv")
        result = command(folder / "harmonizer", tmp_path / str(response) / "manifest.csv")
        assert result.exit_code == code, result.output
        assert [line for line in result.stdout.splitlines() if line.startswith("src: ")]


@pytest.mark.parametrize(
    ("found", "outcome", "code"),
    [
        ([], "alike", 0),
        (["E_OOD"], "alike", 0),
        (["E_DECODE"], "unreadable", 1),
        (["E_DECODE", "E_DOMAIN"], "unknown", 4),
        (["E_DECODE", "E_DOMAIN", "E_INTENT"], "drift", 3),
    ],
)
def test_drift_goes_before_unknown_scanners_and_these_before_unreadable_files(
    found: list[str], outcome: str, code: int
) -> None:
    report = CheckReport([], [RadiographError(name, "…") for name in found])
    assert (report.outcome, report.exit_code) == (outcome, code)
    assert CheckReport([Verdict("src", 20, 0, differences=("another response",))], report.refused).exit_code == 3


@pytest.mark.slow
def test_the_command_answers_programs_in_json_lines(folder: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png", response=2.0)
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    result = command(folder / "harmonizer", tmp_path / "in", "--domain", "src", "--json")
    refused, verdict, summary = map(json.loads, result.stdout.splitlines())
    assert {line["schema"] for line in (refused, verdict, summary)} == {1}
    assert (refused["kind"], refused["code"], refused["path"]) == ("image", "E_RASTER", str(tmp_path / "in" / "b.png"))
    assert (verdict["kind"], verdict["domain"], verdict["status"]) == ("verdict", "src", "alike")
    assert (summary["kind"], summary["outcome"], summary["images"], summary["refused"]) == (
        "summary",
        "unreadable",
        2,
        1,
    )
    assert result.exit_code == summary["exit_code"] == 1
    unknown = command(folder / "harmonizer", tmp_path / "in" / "a.png", "--domain", "other", "--json")
    assert unknown.exit_code == json.loads(unknown.stdout.splitlines()[-1])["exit_code"] == 4


def test_a_gate_is_part_of_the_model(folder: Path, tmp_path: Path) -> None:
    """Its numbers are under the digest: altering them is noticed."""
    other = ToneCurveHarmonizer.load(folder / "harmonizer")
    before = other.digest
    other.save(tmp_path / "same")
    assert other.digest == before
    change(other, "src", novelty=replace(monitors(other)[0], limit=99.0))
    other.save(tmp_path / "other")
    assert other.digest != before
