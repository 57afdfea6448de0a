"""The readers of ``results.json`` and ``scores.csv``: what was written comes back; all else is one line with a code."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isotone.errors import IsotoneError, UsageError
from isotone.evaluation.metric_table import METRICS, PAIRED
from isotone.evaluation.report import DISTANCES
from isotone.evaluation.results import LARGEST, ResultRow, Results
from isotone.evaluation.scores import Scores
from made_scores import GOOD

BODY = json.loads(GOOD.model_dump_json(by_alias=True))


def read(folder: Path, text: str | bytes) -> Results:
    file = folder / "results.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Results.read(file)


def changed(**fields: Any) -> str:
    return json.dumps({**BODY, "rows": [{**BODY["rows"][0], **fields}]})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    GOOD.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == GOOD


def test_a_row_holds_the_metrics_of_the_table_and_few_other_facts() -> None:
    described = {m.field for m in METRICS} | {f"{m.field}_ci" for m in METRICS if m.kind == "share"}
    paired = {f"{m.field}{end}" for m in PAIRED for end in ("", "_ci", "_gain")}
    facts = {"domain", "method", "reference", "n", "patients", "refused", "unchanged", "confusion", "reliability"}
    others = {"accuracy_per_class_change", "delong_p", "label_probe_auc", *(field for field, _ in DISTANCES)}
    assert ResultRow.model_fields.keys() == described | paired | facts | others


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"schema": 1, "rows": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' * 100_000,
        changed(auc="high"),
        changed(auc="0.5"),
        changed(n=1.5),
        changed(n="4"),
        changed(n=True),
        changed(reference="yes"),
        changed(auc_ci=[0.1]),
        changed(auc_gain=[]),
        changed(more=1),
        changed(auc=0.5).replace("0.5", "1e999"),
        changed(auc=0.5).replace("0.5", "NaN"),
        changed(auc=0.5).replace("0.5", "-Infinity"),
        changed(auc=0.5).replace("0.5", "9" * 400),
        changed(auc=0.5).replace("0.5", "9" * 10_000),
        changed(n=4).replace('"n": 4', '"n": ' + "9" * 10_000),
        changed(confusion=[[1, 10**30]]),
        json.dumps({k: v for k, v in BODY.items() if k != "provenance"}),
        json.dumps({k: v for k, v in BODY.items() if k != "schema"}),
        json.dumps(BODY | {"rows": None}),
        json.dumps(BODY | {"schema": True}),
        json.dumps(BODY | {"schema": "1\n" * 500}),
        "",
        "null",
        "[]",
        "7",
        '"schema"',
        b"\xff\xfe\x00{",
        b"\x00" * 100,
        '{"schema": 1, "\ud800": 1}'.encode("utf-8", "surrogatepass"),
    ],
)
def test_what_is_no_result_is_one_line_with_its_code(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert caught.value.code == "E_RESULTS"
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_huge_file_a_folder_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.touch()
    os.truncate(file, LARGEST + 1)
    with pytest.raises(UsageError, match="E_RESULTS"):
        Results.read(file)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="E_READ"):
            Results.read(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(BODY)) | st.text(), inner),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_but_a_refusal_leaves_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes cut, changed and put in; fields that are missing, of another kind, or elsewhere."""
    text = json.dumps({**BODY, data.draw(st.sampled_from(sorted(BODY))): data.draw(JSON)}).encode()
    cut = data.draw(st.integers(0, len(text)))
    text = data.draw(st.sampled_from([text, text[:cut], text[:cut] + data.draw(st.binary(max_size=6)) + text[cut:]]))
    with suppress(IsotoneError):
        found = read(tmp_path, text)
        found.write(tmp_path / "again.json")
        assert Results.read(tmp_path / "again.json") == found


SCORES = "image,patient,domain,view,label,method,A,B\n0a,0,Ref,,A,none,0.5,0.5\n0b,1,Ref,,B,none,0.1,0.9\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("image,", "file,"),
        (",A,B\n", ",A\n"),
        ("0.5,0.5", "0.5"),
        ("0.1", "nan"),
        ("0.1", "-1"),
        ("0.1", "1e999"),
        (",B,none", ",C,none"),
        ("0b,1", '"0b,1'),
        ("0b,1,Ref,,B,none", "0a,0,Ref,,B,fix"),
        ("0b", "\0"),
        (SCORES, ""),
        (SCORES, "image,patient,domain,view,label,method,A,A\n"),
    ],
)
def test_what_is_no_table_of_scores_is_one_line_with_its_code(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(SCORES)
    assert Scores.read(file).classes == ("A", "B")
    file.write_text(SCORES.replace(old, new))
    with pytest.raises(UsageError) as caught:
        Scores.read(file)
    assert caught.value.code == "E_RESULTS"
    assert "\n" not in str(caught.value)


def test_two_files_of_the_same_pixels_stay_two(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(SCORES.replace("0b,1", "0a,1"))
    found = Scores.read(tmp_path / "scores.csv")
    assert found.label.tolist() == [0, 1]
    assert found.keys() == [("Ref", "0a", 0), ("Ref", "0a", 1)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(SCORES)), st.integers(0, len(SCORES)), st.binary(max_size=8))
def test_nothing_but_a_refusal_leaves_the_reader_of_scores(tmp_path: Path, start: int, end: int, put: bytes) -> None:
    file = tmp_path / "scores.csv"
    file.write_bytes(SCORES.encode()[:start] + put + SCORES.encode()[end:])
    with suppress(IsotoneError):
        Scores.read(file)
