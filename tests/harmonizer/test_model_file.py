"""A harmonizer's file is checked field by field: its checksum says nothing of whoever wrote it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmonizers import change, scanner_harmonizer
from isotone.errors import IsotoneError, ModelError
from isotone.harmonizer.fit_report import fit_sentences
from isotone.harmonizer.fitted_scanner import NetworkReport
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.model_file import CONFIG, checksum

DOMAIN = "Some Scanner"
NOTES = {
    "method": "scanner",
    "labels_used": True,
    "leans_on": {},
    "images": 30,
    "patients": 20,
    "reference_images": 50,
    "mix": {"A": 1.0},
    "mix_from": "labels",
    "window": 1.0,
    "band": {"x": [0.0, 1.0], "low": [0.0, 1.0], "high": [0.1, 1.0]},
    "score_interval": {},
    "free": False,
    "projection_rmse_levels_8bit": 0.2,
    "clipped_share": 0.0,
    "warnings": [],
}
"""As builds without typed reports wrote them."""


def written(folder, change):
    """A harmonizer's folder with its config changed and signed again."""
    harmonizer = scanner_harmonizer(DOMAIN)
    harmonizer.save(folder)
    body = json.loads((folder / CONFIG).read_text())
    body.pop("sha256")
    body["notes"] = {DOMAIN: dict(NOTES)}
    change(body)
    (folder / CONFIG).write_text(json.dumps(body | {"sha256": checksum(body)}))
    return folder


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(body):
        for name in path:
            body = body[name]
        body[last] = value

    return change


def drop(*path):
    *path, last = path

    def change(body):
        for name in path:
            body = body[name]
        del body[last]

    return change


def test_what_was_saved_is_read_again_and_written_as_it_was(tmp_path):
    harmonizer = ToneCurveHarmonizer.load(written(tmp_path, lambda body: None))
    report = harmonizer.scanners[DOMAIN].report
    assert (report.images, report.mix, report.band.high, report.score_interval) == (30, {"A": 1.0}, (0.1, 1.0), None)
    for name in ("once", "twice"):
        harmonizer.save(tmp_path / name)
        harmonizer = ToneCurveHarmonizer.load(tmp_path / name)
    assert harmonizer.scanners[DOMAIN].report == report
    assert (tmp_path / "once" / CONFIG).read_bytes() == (tmp_path / "twice" / CONFIG).read_bytes()


def test_modes_that_earlier_builds_called_presets_are_read(tmp_path):
    part = {name: NOTES[name] for name in ("band", "free", "projection_rmse_levels_8bit", "clipped_share", "warnings")}
    presets = [part | {"images": n, "score_interval": {}} for n in (20, 10)]
    report = (
        ToneCurveHarmonizer.load(written(tmp_path, put("notes", DOMAIN, "presets", presets))).scanners[DOMAIN].report
    )
    assert [mode.images for mode in report.modes] == [20, 10]
    assert report.modes[0].score_interval is None


def test_the_report_of_a_network_is_read_again(tmp_path):
    epochs = ({"epoch": 0, "learning_rate": 1e-3, "worst_group_accuracy": 0.5, "kept": 1.0},)
    harmonizer = scanner_harmonizer(DOMAIN)
    change(harmonizer, DOMAIN, report=NetworkReport(epochs=epochs, warnings=("W_FEW few",)))
    harmonizer.save(tmp_path)
    loaded = ToneCurveHarmonizer.load(tmp_path)
    assert loaded.scanners[DOMAIN].report == harmonizer.scanners[DOMAIN].report
    assert loaded.digest == harmonizer.digest


def test_a_curve_that_was_not_fitted_has_no_report(tmp_path):
    for nothing in ({}, None):
        assert (
            ToneCurveHarmonizer.load(written(tmp_path, put("notes", DOMAIN, nothing))).scanners[DOMAIN].report is None
        )


WRONG = {
    "seen is a number": put("seen", 5),
    "seen counts in words": put("seen", DOMAIN, {"view": {"CC": "many"}}),
    "no gate entry": put("gates", {}),
    "no seen entry": put("seen", {}),
    "a gate of words": put("gates", DOMAIN, {"centres": "none"}),
    "a gate of one number": put("gates", DOMAIN, dict.fromkeys(("centres", "within", "own", "patients"), 1)),
    "a drift of nothing": put("drifts", DOMAIN, {"deviation": {}, "curves": []}),
    "a number beyond float range": put("notes", DOMAIN, "window", 10**400),
    "notes without images": drop("notes", DOMAIN, "images"),
    "notes are a list": put("notes", [1]),
    "a band of unequal lengths": put("notes", DOMAIN, "band", {"x": [0.0], "low": [0.0, 1.0], "high": [1.0]}),
    "a band without its sides": put("notes", DOMAIN, "band", {"x": 0.5}),
    "a warning is a number": put("notes", DOMAIN, "warnings", [3]),
    "no mapper": put("mappers", {}),
    "a mapper is a list": put("mappers", DOMAIN, [1]),
    "a curve of huge numbers": put("mappers", DOMAIN, "curve", "stages", [["step", 10**400]]),
    "labels of another kind": put("labels", "some"),
    "a seed that is no number": put("seed", "0"),
    "another method": put("method", "magic"),
    "settings are text": put("settings", "x"),
    "no version": drop("version"),
    "the reference is a number": put("reference_domains", 7),
    "the reference is the source": put("reference_domains", [DOMAIN]),
    "a field nobody knows": put("surprise", 1),
    "a later schema": put("schema", 99),
    "a schema that is a list": put("schema", []),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_a_model_error_in_one_line(tmp_path, change):
    folder = written(tmp_path, change)
    with pytest.raises(ModelError) as error:
        ToneCurveHarmonizer.load(folder)
    assert error.value.code in {"E_MODEL", "E_CURVE"}
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", [b"", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"NaN", b"[1e999]", b"{}", b"7"]
)
def test_what_is_no_such_json_is_a_model_error(tmp_path, text):
    (tmp_path / CONFIG).write_bytes(text)
    with pytest.raises(ModelError):
        ToneCurveHarmonizer.load(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = st.sampled_from(
    [
        (name,)
        for name in ("mappers", "seen", "gates", "drifts", "notes", "settings", "labels", "seed", "method", "version")
    ]
    + [(name, DOMAIN) for name in ("mappers", "seen", "gates", "notes")]
    + [("notes", DOMAIN, name) for name in NOTES]
    + [("mappers", DOMAIN, "curve", "stages")]
)


@pytest.mark.slow
@given(PLACES, JSON)
def test_any_value_in_any_place_loads_or_is_refused(tmp_path_factory, place, value):
    folder = tmp_path_factory.mktemp("model")
    try:
        harmonizer = ToneCurveHarmonizer.load(written(folder, put(*place, value)))
        fit_sentences(harmonizer.scanners[DOMAIN].report, harmonizer.labels)
    except IsotoneError:
        pass


def test_a_model_of_an_earlier_build_keeps_no_free_text_of_a_view(tmp_path):
    folder = written(tmp_path, put("seen", DOMAIN, {"view": {"CC": 3, "SMITH JOHN": 2}}))
    seen = ToneCurveHarmonizer.load(folder).scanners[DOMAIN].headers["view"]
    assert "SMITH JOHN" not in seen
    assert seen["CC"] == 3
    assert sum(seen.values()) == 5
