"""A fitted baseline is saved, and loaded in another place, without a change."""

import json
from pathlib import Path

import numpy as np
import pytest

from isotone.baselines.baseline import FILE, _checksum
from isotone.baselines.by_name import BASELINES, HistogramMatching, Nyul, ZScore, baseline, load_baseline
from isotone.errors import IsotoneError, ModelError
from isotone.imaging.radiograph import Radiograph

RNG = np.random.default_rng(0)
Y, X = np.mgrid[:64, :64] / 64 - 0.5


def disc(level: float, domain: str = "ref") -> Radiograph:
    grey = np.where(X**2 + Y**2 < 0.1, level + 0.2 * RNG.random((64, 64)), 0.01 * RNG.random((64, 64)))
    return Radiograph.from_array(grey, domain=domain)


REFERENCE = [disc(0.5), disc(0.6), disc(0.4)]
IMAGE = disc(0.3, "src")


@pytest.mark.parametrize("name", BASELINES)
def test_the_loaded_baseline_does_what_the_saved_one_did(tmp_path: Path, name: str) -> None:
    if name == "clahe":
        pytest.importorskip("skimage")
    method = baseline(name).fit(REFERENCE)
    if hasattr(method, "fit_source"):
        method.fit_source([IMAGE])
    method.save(tmp_path / "model")  # type: ignore[attr-defined]
    found = load_baseline(tmp_path / "model")
    assert (type(found), found.name) == (type(method), name)
    np.testing.assert_array_equal(found.transform(IMAGE).pixels, method.transform(IMAGE).pixels)


@pytest.mark.parametrize("name", ["z-score", "histogram-matching", "nyul", "constant-curve"])
def test_what_is_not_fitted_is_not_saved(tmp_path: Path, name: str) -> None:
    with pytest.raises(IsotoneError, match="not fitted"):
        baseline(name).save(tmp_path)  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


def test_another_baseline_a_foreign_and_an_altered_file_are_refused(tmp_path: Path) -> None:
    ZScore().fit(REFERENCE).save(tmp_path)
    with pytest.raises(ModelError, match="no histogram-matching"):
        HistogramMatching.load(tmp_path)
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"std": 0.', '"std": 1.'))
    with pytest.raises(ModelError, match="altered"):
        load_baseline(tmp_path)
    for text in ("{}", "[", '{"kind": "isotone-harmonizer"}'):
        path.write_text(text)
        with pytest.raises(ModelError, match="holds no baseline"):
            load_baseline(tmp_path)
    with pytest.raises(IsotoneError, match="no such baseline"):
        load_baseline(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "learned",
    [
        {},
        None,
        {"air": False, "whole": [1, 2]},
        {"air": True, "whole": [0.1] * 11},
        {"air": False, "whole": ["a"] * 11},
    ],
)
def test_numbers_that_are_none_of_the_method_are_refused(tmp_path: Path, learned: object) -> None:
    Nyul().fit(REFERENCE).save(tmp_path)
    body = json.loads((tmp_path / FILE).read_text())
    del body["sha256"]
    body["learned"] = learned
    (tmp_path / FILE).write_text(json.dumps(body | {"sha256": _checksum(body)}))
    with pytest.raises(ModelError, match="damaged"):
        load_baseline(tmp_path)
