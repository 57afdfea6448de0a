"""The harmonizer's folder: what it maps, what it refuses, and that nobody altered it."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from discs import Brightness
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.anatomy import Anatomy, draw_breast
from isotone.data.phantom.scanners import reference_presentation
from isotone.errors import IsotoneError, ModelError, RadiographError, UsageError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import ScannerMapper
from isotone.imaging.radiograph import Header, Radiograph
from isotone.monitoring.header_novelty import differences, refuse_other_data, seen_in
from make_images import write_cohort


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"), responses={"ref": 1.0, "src": 2.0, "third": 0.6})


@pytest.fixture(scope="module")
def fitted(manifest: Path) -> ToneCurveHarmonizer:
    return ToneCurveHarmonizer("ref", ["src", "third"]).fit(Manifest.read(manifest), workers=0)


def image(domain: str | None) -> Radiograph:
    return Radiograph.from_array(np.linspace(0, 1, 100).reshape(10, 10), domain=domain)


def test_each_source_gets_the_inverse_of_its_own_response(fitted: ToneCurveHarmonizer) -> None:
    x = np.linspace(0.2, 0.8, 7)
    np.testing.assert_allclose(fitted.curve(image("src"), allow=["look"])(x**2.0), x, atol=0.04)
    np.testing.assert_allclose(fitted.curve(image("third"), allow=["look"])(x**0.6), x, atol=0.04)


def test_reference_images_pass_through_unchanged(fitted: ToneCurveHarmonizer) -> None:
    assert fitted.curve(image("ref")) == ToneCurve()
    np.testing.assert_array_equal(fitted.transform(image("ref")).pixels, image("ref").pixels)


@pytest.mark.parametrize("domain", ["unknown", None])
def test_an_unknown_scanner_is_refused_never_guessed(fitted: ToneCurveHarmonizer, domain: str | None) -> None:
    with pytest.raises(RadiographError, match="E_DOMAIN") as caught:
        fitted.transform(image(domain))
    assert "src" in caught.value.next_step


def test_what_is_saved_is_loaded_and_has_the_same_digest(fitted: ToneCurveHarmonizer, tmp_path: Path) -> None:
    fitted.save(tmp_path / "h")
    loaded = ToneCurveHarmonizer.load(tmp_path / "h")
    assert loaded.digest == fitted.digest
    assert loaded.name == "h"
    assert loaded.curve(image("src"), allow=["look"]) == fitted.curve(image("src"), allow=["look"])
    for domain, scanner in fitted.scanners.items():
        again = loaded.scanners[domain]
        assert (again.report, again.headers) == (scanner.report, scanner.headers)


def test_test_rows_change_no_byte_of_the_model(manifest: Path, fitted: ToneCurveHarmonizer, tmp_path: Path) -> None:
    table = Manifest.read(manifest).table
    without = Manifest(table[table["split"] != "test"])
    again = ToneCurveHarmonizer("ref", ["src", "third"]).fit(without, workers=0)
    fitted.save(tmp_path / "all")
    again.save(tmp_path / "without")
    assert (tmp_path / "all/config.json").read_bytes() == (tmp_path / "without/config.json").read_bytes()


def test_an_odd_image_among_many_is_left_out_of_the_fit_and_that_is_said(
    manifest: Path, fitted: ToneCurveHarmonizer, tmp_path: Path
) -> None:
    table = Manifest.read(manifest).table
    noise = tmp_path / "flat.png"
    Image.fromarray(np.random.default_rng(0).integers(30000, 31000, (64, 56)).astype(np.uint16)).save(noise)
    odd = table[table["domain"] == "src"].head(1).assign(path=str(noise), patient_id="odd", split="train")
    again = ToneCurveHarmonizer("ref", ["src", "third"]).fit(Manifest(pd.concat([table, odd])), workers=0)
    assert again.mapper(image("src").header).curve(image("src")) == fitted.mapper(image("src").header).curve(
        image("src")
    )
    before, after = (set(each.scanners["src"].report.warnings) for each in (fitted, again))
    assert [w.split()[0] for w in after - before] == ["W_ODD"]


def test_images_without_air_beside_others_that_show_some_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = []
    for number in range(16):
        rng, domain = np.random.default_rng(number), "ref" if number < 8 else "src"
        field = 70.0 if number in (6, 13, 14) else 240.0
        shown = reference_presentation(draw_breast(rng, Anatomy.draw(rng, "C"), 64, field_mm=field))
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.rint(65535 * shown ** (1 + number // 8)).astype(np.uint16)).save(path)
        rows.append({"path": str(path), "patient_id": f"p{number}", "domain": domain, "split": "train", "label": "C"})
    said = ToneCurveHarmonizer("ref", "src").fit(Manifest(pd.DataFrame(rows)), workers=0).scanners["src"].report
    assert [w.split(" show")[0] for w in said.warnings if w.startswith("W_AIR")] == [
        "W_AIR 2 of 8 images of the source",
        "W_AIR 1 of 8 images of the reference",
    ]
    assert (said.images, said.reference_images) == (6, 7)


def test_without_labels_no_source_label_matters(manifest: Path) -> None:
    table = Manifest.read(manifest).table
    table.loc[table["domain"] == "src", "label"] = "dark"
    scrambled = ToneCurveHarmonizer("ref", "src").fit(Manifest(table), labels="none", workers=0)
    honest = ToneCurveHarmonizer("ref", "src").fit(Manifest.read(manifest), labels="none", workers=0)
    assert scrambled.digest == honest.digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"step"', '"affine"'),
        lambda text: text.replace("0.", "1.", 1),
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps(json.loads(text) | {"schema": 99}),
        lambda text: json.dumps(json.loads(text) | {"kind": "something else"}),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused(fitted: ToneCurveHarmonizer, tmp_path: Path, damage: object) -> None:
    fitted.save(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(damage(config.read_text()))  # type: ignore[operator]
    with pytest.raises(ModelError) as caught:
        ToneCurveHarmonizer.load(tmp_path)
    assert caught.value.exit_code == 1
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_model_and_no_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        ToneCurveHarmonizer.load(tmp_path)
    with pytest.raises(UsageError):
        ToneCurveHarmonizer.load(tmp_path / "nothing")


def test_a_model_file_holds_no_path_and_no_patient(fitted: ToneCurveHarmonizer, manifest: Path, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    for row in Manifest.read(manifest):
        assert str(row.path) not in text
        assert f'"{row.patient_id}"' not in text


def test_labels_are_read_only_where_that_was_asked_for(manifest: Path) -> None:
    with pytest.raises(IsotoneError, match="labels is 'no'"):
        ToneCurveHarmonizer("ref", "src").fit(Manifest.read(manifest), labels="no", workers=0)  # type: ignore[arg-type]


def test_one_image_is_too_few_and_says_so(manifest: Path) -> None:
    table = Manifest.read(manifest).table
    few = table[(table["domain"] == "ref") | (table.index == table.index[table["domain"] == "src"][0])]
    with pytest.raises(IsotoneError, match="E_DATA"):
        ToneCurveHarmonizer("ref", "src").fit(Manifest(few), workers=0)


@pytest.mark.parametrize("patients", [1, 2])
def test_a_reference_of_too_few_patients_is_refused_however_many_images_they_have(
    manifest: Path, patients: int
) -> None:
    table = Manifest.read(manifest).table
    ours = table["domain"] == "ref"
    table.loc[ours, "patient_id"] = [f"ref-{i % patients}" for i in range(ours.sum())]
    table["split"] = "train"
    with pytest.raises(IsotoneError, match=rf"of {patients} patients .*E_DATA.*3 patients"):
        ToneCurveHarmonizer("ref", "src").fit(Manifest(table), workers=0)


@pytest.mark.parametrize("labels", ["alike", "one patient's", "none"])
def test_three_patients_of_the_reference_are_enough_whatever_their_labels(manifest: Path, labels: str) -> None:
    table = Manifest.read(manifest).table
    ours = table["domain"] == "ref"
    table.loc[ours, "patient_id"] = [f"ref-{i % 3}" for i in range(ours.sum())]
    table["split"] = "train"
    if labels == "one patient's":
        table.loc[ours, "label"] = ["dark" if i % 3 else "bright" for i in range(ours.sum())]
    elif labels == "none":
        table.loc[ours, "label"] = None
    fit = ToneCurveHarmonizer("ref", "src").fit(Manifest(table), workers=0, labels="none")
    assert fit.scanners["src"].report.mix_from == "none"


def test_adaptive_says_so_where_the_reference_is_too_small_to_learn_from(manifest: Path) -> None:
    table = Manifest.read(manifest).table
    few = table[(table["domain"] == "src") | table["patient_id"].isin([f"ref-{i}" for i in range(8)])]
    with pytest.raises(IsotoneError, match=r"E_DATA.*10 patients"):
        ToneCurveHarmonizer("ref", "src", method="adaptive").fit(Manifest(few), Brightness(), workers=0)


def test_a_domain_cannot_be_both_reference_and_source() -> None:
    with pytest.raises(UsageError, match="both"):
        ToneCurveHarmonizer("a", ["b", "a"])


def test_without_scikit_learn_a_fit_is_refused_before_an_image_is_read(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    table = Manifest.read(manifest).table
    absent = Manifest(table.assign(path=table["path"] + ".absent"))
    with pytest.raises(IsotoneError, match="E_EXTRA"):
        ToneCurveHarmonizer("ref", "src").fit(absent, workers=0)


def test_gdce_needs_a_classifier_and_labels(manifest: Path) -> None:
    with pytest.raises(UsageError, match="classifier and source labels"):
        ToneCurveHarmonizer("ref", "src", method="gdce").fit(Manifest.read(manifest), workers=0)


HEADER = Header(path=Path("a"), format="dicom", domain="src", bits_stored=12, rows=1, columns=1, modality="MG")


def test_an_image_like_those_of_the_fit_is_not_warned_of() -> None:
    assert differences(HEADER, seen_in([HEADER])) == ()
    refuse_other_data(HEADER, seen_in([HEADER]))


@pytest.mark.parametrize(("fact", "value"), [("view", "MLO"), ("software", "2.0"), ("window", "LINEAR 1/2")])
def test_another_view_software_or_window_is_warned_of(fact: str, value: str) -> None:
    before = replace(HEADER, view="CC", software="1.0", window="LINEAR 3/4")
    assert differences(replace(before, **{fact: value}), seen_in([before])) == (f"W_SEEN_{fact.upper()}",)


@pytest.mark.parametrize(
    ("fact", "value", "code"),
    [("intent", "FOR PROCESSING", "E_INTENT"), ("modality", "CR", "E_OOD"), ("bits_stored", 8, "E_OOD")],
)
def test_another_modality_intent_or_bit_depth_is_refused(fact: str, value: object, code: str) -> None:
    seen = seen_in([replace(HEADER, intent="FOR PRESENTATION")])
    with pytest.raises(RadiographError, match=code):
        refuse_other_data(replace(HEADER, **{fact: value}), seen)


def test_what_a_model_keeps_of_headers_holds_no_free_text() -> None:
    header = replace(HEADER, software="Doe^Jane 1.0")
    seen = seen_in([header])
    assert "Doe" not in str(seen)
    assert differences(header, seen) == ()
    assert differences(header, {"software": {"Doe^Jane 1.0": 3}}) == ()  # a model of an earlier version


def test_a_refusal_shows_terms_of_the_standard_alone() -> None:
    with pytest.raises(RadiographError) as caught:
        refuse_other_data(replace(HEADER, modality="DOE JANE"), {"modality": {"MG": 3, "ROE RICHARD": 1}})
    assert caught.value.what == "modality is an unknown value, the curve was fitted on MG and an unknown value"


def test_a_mapper_of_one_curve_ignores_the_image() -> None:
    curve = ToneCurve([0.3])
    assert ScannerMapper(curve).curve(image("x")) is curve


def test_a_bare_network_is_refused_with_the_way_to_wrap_it(manifest: Path) -> None:
    with pytest.raises(UsageError, match="from_module"):
        ToneCurveHarmonizer("ref", "src").fit(Manifest.read(manifest), classifier=object())


def test_a_guard_that_there_is_not_is_refused(fitted: ToneCurveHarmonizer) -> None:
    for allow in (["looks"], "look"):
        with pytest.raises(UsageError, match="no guard 'look"):
            fitted.curve(image("src"), allow=allow)


def test_a_model_fitted_by_another_rule_of_air_is_read_and_compares_no_image(
    fitted: ToneCurveHarmonizer, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "h")
    config = tmp_path / "h" / "config.json"
    body = json.loads(config.read_text())
    del body["sha256"], body["air_rule"]
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    config.write_text(json.dumps(body | {"sha256": digest}))
    old = ToneCurveHarmonizer.load(tmp_path / "h")
    assert old.look(image("src")) is None
    with pytest.raises(ModelError, match=r"E_MODEL.*Fit it again"):
        old.curve(image("src"))
    assert old.curve(image("src"), allow=["look"]) == fitted.curve(image("src"), allow=["look"])
