"""Harmonizers and baselines among scikit-learn's estimators, run by scikit-learn itself."""

import numpy as np
import pytest

from harmonizers import CURVE, REFERENCE, scanner_harmonizer

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from isotone.baselines.by_name import BASELINES, HistogramMatching, Percentile, ZScore, baseline
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph
from isotone.interop.sklearn import ImageTransformer

BATCH = np.random.default_rng(0).random((12, 16, 16))
LABELS = np.arange(12) % 2
FLAT = FunctionTransformer(lambda x: x.reshape(len(x), -1))


@pytest.mark.parametrize("name", BASELINES)
def test_a_clone_of_a_baseline_has_its_parameters_and_is_not_fitted(name: str) -> None:
    method = baseline(name)
    copy = clone(method)
    assert copy is not method
    assert (copy.get_params(), copy.name) == (method.get_params(), name)  # type: ignore[attr-defined]


def test_parameters_are_read_and_set_by_name() -> None:
    assert Percentile(2, 98).get_params() == {"low": 2, "high": 98}
    assert Percentile().set_params(high=90).high == 90
    with pytest.raises(ValueError, match="no parameter 'middle'"):
        Percentile().set_params(middle=50)


def test_a_clone_of_a_harmonizer_is_one_to_be_fitted() -> None:
    copy = clone(scanner_harmonizer("a", "b"))
    assert isinstance(copy, ToneCurveHarmonizer)
    assert (copy.reference_domains, copy.source_domains) == ((REFERENCE,), ("a", "b"))
    assert copy.scanners == {}


def test_a_fitted_harmonizer_keeps_its_curves_through_cross_validation() -> None:
    steps = Pipeline([("harmonize", ImageTransformer(scanner_harmonizer("any"), domain="any")), ("flat", FLAT)])
    np.testing.assert_allclose(clone(steps).fit_transform(BATCH), CURVE(BATCH).reshape(12, -1))
    stored = np.rint(4095 * BATCH).astype(np.uint16)
    steps.set_params(harmonize__bits=12)
    np.testing.assert_array_equal(steps.fit_transform(stored), np.rint(4095 * CURVE(stored / 4095)).reshape(12, -1))


def test_a_baseline_is_fitted_with_each_fold() -> None:
    steps = Pipeline(
        [("image", ImageTransformer(HistogramMatching())), ("flat", FLAT), ("model", LogisticRegression())]
    )
    assert len(cross_val_score(steps, BATCH, LABELS, cv=3)) == 3
    search = GridSearchCV(steps, {"image__method": [ZScore(), Percentile()]}, cv=2).fit(BATCH, LABELS)
    assert search.best_estimator_.predict(BATCH).shape == (12,)


def test_radiographs_come_back_as_radiographs_and_arrays_in_their_shape() -> None:
    step = ImageTransformer(ZScore())
    images = Radiograph.from_batch(BATCH)
    found = step.fit(images).transform(images)
    assert all(isinstance(image, Radiograph) for image in found)
    array = step.fit(BATCH[:, None]).transform(BATCH[:, None])
    assert array.shape == (12, 1, 16, 16)
    np.testing.assert_allclose(array[:, 0], np.stack([image.pixels for image in found]))
