"""The page: what it says, that it is alone and safe, and that it invents nothing."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harmonizers import kept_harmonizer
from isotone.data.phantom.scanners import ALDER, DOGWOOD
from isotone.estimation.report import PredictedGain
from isotone.evaluation.answer import answers, not_proven, question, simulated
from isotone.evaluation.cautions import fit_notes
from isotone.evaluation.evaluate import compare_methods
from isotone.evaluation.headline import headline, hurt, lines, primary_method
from isotone.evaluation.report import write_report
from isotone.evaluation.results import FitNote, Results
from isotone.evaluation.scores import Scores
from made_scores import HELPS, REFERENCE, SOURCE, results, scores


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    write_report(results(HELPS), folder)
    return (folder / "report.html").read_text(encoding="utf-8"), folder


def test_the_answer_is_by_the_first_method_that_is_no_baseline() -> None:
    found = results(HELPS)
    assert primary_method(found) == "curve"
    pattern = (
        rf"“curve” helps on {SOURCE} \(worst-group accuracy \+0\.\d\d \[\+0\.\d\d, \+0\.\d\d\], "
        r"AUC \+0\.\d\d \[\+0\.\d\d, \+0\.\d\d\]\); images of the reference pass unchanged\."
    )
    assert re.fullmatch(pattern, headline(found))
    assert hurt(found).startswith("The shift hurts, untouched images against the reference: worst-group accuracy −")
    assert "of the oracle's gain" in lines(found)[0]


def undecided(quality: dict[tuple[str, str], float], domain: str) -> Scores:
    """There the curve is as good as nothing, with other noise."""
    made, other = scores(quality), scores(quality, seed=1)
    inside = made.domain == domain
    made.probabilities["curve"][inside] = other.probabilities["none"][inside]
    return made


def test_a_gain_whose_interval_holds_zero_is_undecided() -> None:
    pattern = rf"Whether “curve” helps on {SOURCE} is undecided \(worst-.* \[−0\.\d\d, \+0\.\d\d\], AUC "
    made = undecided(HELPS | {(SOURCE, "none"): 0.3}, SOURCE)
    assert re.match(pattern, headline(compare_methods(made, [REFERENCE], {}, seed=0)))


def test_a_difference_within_the_margin_is_none() -> None:
    found = results(HELPS)
    row = found.row(SOURCE, "curve")
    for gain in (row.auc_gain, row.worst_group_accuracy_gain):
        gain.difference, gain.ci, gain.verdict = 0.0, (-0.01, 0.01), "not worse"
    assert headline(found).startswith(f"“curve” makes no difference above 0.02 on {SOURCE}")


def test_every_scanner_gets_its_own_verdict() -> None:
    others = {("Src 2", "none"): 0.8, ("Src 2", "curve"): 0.1, ("Src 3", "none"): 0.3, ("Src 3", "curve"): 0.3}
    found = headline(compare_methods(undecided(HELPS | others, "Src 3"), [REFERENCE], {}, seed=0))
    assert found.startswith(f"“curve” helps on {SOURCE} (")
    assert "; it harms on Src 2 (worst-group accuracy −" in found
    assert "; whether it helps on Src 3 is undecided (" in found


def test_a_recall_that_fell_is_named_with_its_interval() -> None:
    """The worst-group accuracy gains, and still class C is lost."""
    made = scores({(REFERENCE, "none"): 0.8, (SOURCE, "none"): 0.9, (SOURCE, "curve"): 0.9})
    made.probabilities["none"][(made.domain == SOURCE) & (made.label == 0)] = [0.2, 0.4, 0.4]
    lost = np.flatnonzero((made.domain == SOURCE) & (made.label == 2))[::2]
    made.probabilities["curve"][lost] = [0.35, 0.34, 0.31]
    found = compare_methods(made, [REFERENCE], {}, seed=0)
    assert re.search(
        rf"helps on .*, but the recall of C fell on {SOURCE} \(−0\.\d\d \[−0\.\d\d, −0\.\d\d\]\)", headline(found)
    )
    assert re.search(r"The recall of C fell: −0\.\d\d \[−.*\], \d+ images became wrong and 0 right", lines(found)[0])
    assert "recall of A" not in lines(found)[0]
    assert "The recall of C fell: −0." in answers(found)[0].sentence


def test_a_recall_that_may_have_fallen_is_named_too() -> None:
    made = scores({(REFERENCE, "none"): 0.8, (SOURCE, "none"): 0.9, (SOURCE, "curve"): 0.9})
    lost = np.flatnonzero((made.domain == SOURCE) & (made.label == 2))[:2]
    made.probabilities["curve"][lost] = [1, 0, 0]
    found = compare_methods(made, [REFERENCE], {}, seed=0)
    assert "The recall of C may have fallen: −0.10 [−0." in lines(found)[0]
    assert "The recall of C may have fallen: −0.10 [−0." in answers(found)[0].sentence
    assert "fell" not in headline(found)


def test_uncertain_images_are_said_beside_the_gain() -> None:
    found = results(HELPS)
    for share, there in ((0.034, True), (0.004, False), (0.0, False)):
        found.fits = [FitNote(domain=SOURCE, method="curve", sentences=["."], uncertain_share=share)]
        assert ("3\u00a0% of the images of the fit change class under the curves" in lines(found)[0]) is there
        assert ("band" in lines(found)[0]) is there


def test_the_predicted_gain_is_said_beside_the_measured_one_and_kept() -> None:
    found = results(HELPS)
    gains = {"auc": 0.12, "auc_interval": (0.05, 0.2), "worst_recall": 0.3, "worst_recall_interval": (0.1, 0.4)}
    predicted = PredictedGain(**gains, images=80, patients=40)
    found.fits = [FitNote(domain=SOURCE, method="curve", sentences=["."], predicted=predicted)]
    assert "worst-group accuracy +0.30 [+0.10, +0.40], AUC +0.12 [+0.05, +0.20]." in lines(found)[0]
    assert Results.model_validate_json(found.model_dump_json(by_alias=True), strict=True).fits == found.fits


def test_a_scanner_whose_images_are_kept_is_not_judged(tmp_path: Path) -> None:
    found = results(HELPS | {(SOURCE, "curve"): 0.1})
    harmonizer = kept_harmonizer(SOURCE)
    found.fits = fit_notes({"curve": harmonizer})
    (answer,) = answers(found)
    assert answer.verdict == "kept"
    for said in (answer.sentence, lines(found)[0]):
        assert "as they are (W_HARMS), so nothing can change" in said
        assert "--allow harm" in said
        assert not re.search("undecided|redicted|\\[", said.replace('["harm"]', ""))
    assert headline(found).startswith(
        f"“curve” leaves the images of {SOURCE} as they are (W_HARMS), so it has no effect"
    )
    assert any("what its curve does" in line for line in not_proven(found))
    write_report(found, tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count('<span class="verdict">kept</span>') == 2
    found.fits = fit_notes({"curve": harmonizer.overruling(["harm"])})
    assert answers(found)[0].verdict != "kept"


def test_each_scanner_s_line_begins_with_its_verdict() -> None:
    others = {("Src 2", "none"): 0.8, ("Src 2", "curve"): 0.1, ("Src 3", "none"): 0.1, ("Src 3", "curve"): 0.8}
    found = results(HELPS | others)
    assert [line.partition(". ")[0] for line in lines(found)] == ["Src 2: harms", "Src 3: helps", f"{SOURCE}: helps"]


def test_too_few_patients_are_undecided_without_an_interval() -> None:
    said = headline(results(HELPS, patients=3))
    assert said.startswith(f"Whether “curve” helps on {SOURCE} is undecided (worst-group accuracy")
    assert "[too few patients]" in said


def test_equal_scores_of_two_patients_prove_nothing_and_the_reference_still_passes_unchanged() -> None:
    made = scores(HELPS | {(SOURCE, "curve"): 0.1}, patients=6, classes=2)
    made.patient[:] = made.patient // 3
    found = compare_methods(made, [REFERENCE], {}, seed=0)
    row = found.row(SOURCE, "curve")
    assert row.unchanged
    assert [g.ci for g in (row.auc_gain, row.worst_group_accuracy_gain, *row.accuracy_per_class_change.values())] == [
        None
    ] * 4
    assert "+0.00 [too few patients]" in lines(found)[0]
    assert headline(found).endswith("; images of the reference pass unchanged.")
    assert not any("a reference scanner" in line for line in not_proven(found))


def test_a_scanner_with_one_class_has_no_worst_group_accuracy_and_no_shift() -> None:
    made = scores(HELPS)
    found = compare_methods(made.at((made.domain == REFERENCE) | (made.label == 1)), [REFERENCE], {}, seed=0)
    row = found.row(SOURCE, "curve")
    assert (row.worst_group_accuracy, row.worst_group_accuracy_ci, row.worst_group_accuracy_gain.ci) == (None,) * 3
    assert row.accuracy_per_class["B"] is not None
    assert [s.difference for s in found.shifts] == [None, None]
    assert hurt(found) == f"{SOURCE} and the reference are not comparable: no test image of class A, C."
    assert "worst-group accuracy undefined, AUC undefined" in headline(found)
    assert "is undefined, with test images of one class alone" in answers(found)[0].sentence


def test_a_class_that_the_reference_lacks_is_not_compared_either() -> None:
    made = scores(HELPS)
    found = compare_methods(made.at((made.domain == SOURCE) | (made.label != 2)), [REFERENCE], {}, seed=0)
    assert "not comparable: the reference has no test image of class C." in hurt(found)


def test_harm_is_said() -> None:
    assert "it harms the reference (worst-group accuracy −" in headline(results(HELPS | {(REFERENCE, "curve"): 0.1}))
    assert "harms on" in headline(results(HELPS | {(SOURCE, "none"): 0.8, (SOURCE, "curve"): 0.1}))


def test_harm_on_the_reference_that_is_not_excluded_is_said() -> None:
    assert "harm on the reference is not excluded (" in headline(results(HELPS | {(REFERENCE, "curve"): 0.79}))


def test_what_was_not_scored_is_said() -> None:
    assert "of the reference alone" in headline(results({(REFERENCE, "none"): 0.5}))
    assert "has no curve for" in headline(results({k: v for k, v in HELPS.items() if k != (SOURCE, "curve")}))
    assert "cannot be said" in hurt(results({(SOURCE, "none"): 0.5}))
    assert headline(results({(SOURCE, "none"): 0.1, (REFERENCE, "none"): 0.9})).startswith("The shift hurts")


def test_the_first_screen_answers_for_each_scanner_in_a_sentence_with_its_interval() -> None:
    found = results(HELPS)
    (said,) = answers(found)
    pattern = (
        rf"On {SOURCE} “curve” helps: the AUC rises from 0\.\d\d to [01]\.\d\d \(95 % interval of the change: "
        r"\+0\.\d\d to \+0\.\d\d\) and the recall of the weakest class rises .*\)\."
    )
    assert re.fullmatch(pattern, said.sentence)
    assert question(found) == f"Does “curve” make images of {SOURCE} usable for a classifier trained on {REFERENCE}?"


def test_a_plain_method_that_is_as_good_is_said() -> None:
    found = results(HELPS)
    curve, plain = found.row(SOURCE, "curve"), found.row(SOURCE, "z-score")
    curve.auc_ci, plain.auc_ci = (0.8, 0.9), (0.5, 0.7)
    assert not any("plain" in line for line in not_proven(found))
    plain.auc_ci = (0.7, 0.85)
    assert f"that it is better than plain “z-score” on {SOURCE}" in "; ".join(not_proven(found))


def test_a_page_of_the_phantom_says_that_its_images_are_simulated(tmp_path: Path) -> None:
    assert not simulated(results(HELPS))
    made = scores(HELPS)
    made = replace(made, domain=np.where(made.domain == SOURCE, DOGWOOD.domain, ALDER.domain))
    found = compare_methods(made, [ALDER.domain], {}, seed=0)
    assert not_proven(found)[0] == "that it works on real images: these are simulated"
    write_report(found, tmp_path)
    assert "evaluation of a frozen classifier on simulated images" in (tmp_path / "report.html").read_text("utf-8")


def test_each_scanner_is_said_to_be_hurt_or_not() -> None:
    assert hurt(results(HELPS | {(SOURCE, "none"): 0.8})).startswith("The shift is not shown to hurt: worst-group")
    said = hurt(results(HELPS | {("Src 2", "none"): 0.8}))
    assert re.match(
        rf"The shift hurts, .* on {SOURCE}\. The shift is not shown to hurt elsewhere: .* on Src 2\.$", said
    )


def test_the_policy_allows_this_style_and_script_alone(page: tuple[str, Path]) -> None:
    text, _ = page
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none';")
    assert "unsafe" not in allowed
    for tag in ("style", "script"):
        bodies = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(bodies) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed


def test_the_page_refers_to_nothing_outside(page: tuple[str, Path]) -> None:
    text = page[0].replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//cdn|@import|url\(", text)
    assert not re.search(r'\b(?:src|action)="', text)
    assert set(re.findall(r'href="([^"#]*)', text)) <= {"", "data:,"}
    assert " style=" not in text
    assert " onclick" not in text


def test_names_from_a_header_are_escaped(page: tuple[str, Path]) -> None:
    assert SOURCE not in page[0]
    assert "Src &lt;Two&gt; &amp; Sons" in page[0]


def test_what_a_committee_needs_is_on_the_page(page: tuple[str, Path]) -> None:
    text = page[0]
    for words in ("not for diagnostic reading", "not a medical device", "Not tested here", "seed 0", "oracle", "Holm"):
        assert words in text


def test_figures_are_files_of_fixed_names_and_well_formed(page: tuple[str, Path]) -> None:
    names = {"performance.svg", "confusion.svg", "reliability.svg"}
    assert {p.name for p in (page[1] / "figures").iterdir()} == names
    for name in names:
        root = ET.parse(page[1] / "figures" / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "Src <Two> & Sons" in "".join(root.itertext())


def test_undefined_metrics_are_called_so(tmp_path: Path) -> None:
    made = scores({(REFERENCE, "none"): 0.5, (SOURCE, "none"): 0.5}, patients=3, classes=3)
    found = compare_methods(made.at(made.label == 0), [REFERENCE], {}, seed=0)
    write_report(found, tmp_path)
    assert found.row(SOURCE, "none").auc is None
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "undefined" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_scores_survive_a_round_trip(tmp_path: Path) -> None:
    made = scores(HELPS)
    made.write(tmp_path / "scores.csv")
    read = Scores.read(tmp_path / "scores.csv")
    assert read.classes == made.classes
    np.testing.assert_array_equal(read.label, made.label)
    np.testing.assert_array_equal(read.domain, made.domain)
    for method, table in made.probabilities.items():
        np.testing.assert_allclose(read.probabilities[method], table, atol=1e-8)


def test_results_hold_no_number_that_is_not_finite() -> None:
    body = json.loads(results(HELPS).model_dump_json(by_alias=True))
    assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_a_loss_of_auc_alone_hurts_too() -> None:
    """One class is never predicted, so the worst-group accuracy is 0 before and after."""
    made = scores({(REFERENCE, "none"): 0.8, (SOURCE, "none"): 0.2}, patients=120)
    made.probabilities["none"][:, 0] *= 1e-6
    assert hurt(compare_methods(made, [REFERENCE], {}, seed=0)).startswith(
        "The shift hurts, untouched images against the reference: AUC"
    )


def test_equal_scores_of_few_patients_have_no_interval_and_are_told_by_their_row() -> None:
    made = scores({(REFERENCE, m): 0.8 for m in ("none", "curve")} | {(SOURCE, "none"): 0.1}, patients=3)
    row = compare_methods(made, [REFERENCE], {}, seed=0).row(REFERENCE, "curve")
    assert (row.auc_gain.difference, row.auc_gain.ci, row.unchanged) == (0.0, None, True)
