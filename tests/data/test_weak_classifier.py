"""A classifier that barely tells its own classes is named; one that does is not."""

import numpy as np
import pytest

from isotone.data.weak_classifier import WEAK, auc_with_interval, weak_record, weak_sentence
from isotone.evaluation.bootstrap import interval, patient_weights
from isotone.evaluation.metrics import macro_auc


def scored(classes: int, images: int, skill: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    scores = rng.normal(size=(images, classes)).round(1)  # with ties
    scores[np.arange(images), labels] += skill
    if classes == 2:
        scores[:, 0] = -scores[:, 1]
    return labels, scores


@pytest.mark.parametrize("classes", [2, 4])
def test_the_area_is_that_of_the_tables_and_the_interval_near_that_of_resampled_patients(classes: int) -> None:
    labels, scores = scored(classes, 120, 0.7)
    patients = np.arange(120) // 2
    auc, ends = auc_with_interval(labels, scores, patients)
    assert auc == pytest.approx(float(macro_auc(labels, scores)[0]))
    resampled = interval(macro_auc(labels, scores, patient_weights(patients.tolist())))
    assert ends == pytest.approx(resampled, abs=0.03)


def test_images_of_few_patients_leave_more_open() -> None:
    labels, scores = scored(2, 60, 1.0)
    apart = auc_with_interval(labels, scores, range(60))[1]
    twice = auc_with_interval(np.repeat(labels, 2), np.repeat(scores, 2, 0), np.repeat(np.arange(60), 2))[1]
    naive = auc_with_interval(np.repeat(labels, 2), np.repeat(scores, 2, 0), range(120))[1]
    assert twice == pytest.approx(apart, abs=1e-9)
    assert naive[0] > twice[0]


def test_one_class_has_no_area() -> None:
    assert auc_with_interval(np.zeros(5, int), np.ones((5, 2)), range(5)) is None


def test_a_weak_classifier_is_told_by_the_lower_end() -> None:
    assert weak_sentence("x", 0.8, (WEAK + 0.01, 0.9)) is None
    assert weak_sentence("x", None, None) is None
    assert weak_sentence("x", 0.7, None) is None
    assert "0.50 (too few patients for an interval)" in (weak_sentence("x", 0.5, None) or "")
    said = weak_sentence("its images", 0.7, (WEAK, 0.8))
    assert said is not None
    assert said.startswith("W_WEAK on its images, the classifier's AUC is 0.70 [0.60, 0.80]")


def test_the_record_of_a_training_says_the_same() -> None:
    assert weak_record({}) is None
    assert weak_record({"val_auc": 0.9, "val_auc_low": 0.8, "val_auc_high": 1.0}) is None
    assert "0.55 [0.40, 0.70]" in (weak_record({"val_auc": 0.55, "val_auc_low": 0.4, "val_auc_high": 0.7}) or "")
