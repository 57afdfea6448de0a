"""Metrics, intervals and distances: each against scikit-learn, SciPy, its definition or a known case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binned_statistic, brunnermunzel, false_discovery_control, norm, wasserstein_distance
from sklearn import metrics as sk

from isotone.evaluation import distance, metrics
from isotone.evaluation.bootstrap import holm, interval, p_value, patient_weights, verdict
from isotone.evaluation.delong import delong


def task(seed: int = 0, n: int = 120, classes: int = 4, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, np.round(scores, 2) if ties else scores


@pytest.mark.parametrize("seed", range(3))
def test_auc_is_that_of_scikit_learn_with_ties_and_weights(seed: int) -> None:
    labels, scores = task(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(labels))).astype(float)
    positive = labels == 1
    found = metrics.auc(positive, scores[:, 1], weights)
    expected = [sk.roc_auc_score(positive, scores[:, 1], sample_weight=w) for w in weights]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_macro_auc_is_that_of_scikit_learn() -> None:
    labels, scores = task()
    scores /= scores.sum(1, keepdims=True)
    expected = sk.roc_auc_score(labels, scores, multi_class="ovr")
    assert metrics.macro_auc(labels, scores)[0] == pytest.approx(expected)
    labels, scores = task(classes=2)
    assert metrics.macro_auc(labels, scores)[0] == pytest.approx(sk.roc_auc_score(labels, scores[:, 1]))


def test_macro_auc_is_over_the_classes_present() -> None:
    labels, scores = task()
    here = labels < 2
    expected = np.mean([sk.roc_auc_score(labels[here] == c, scores[here, c]) for c in (0, 1)])
    assert metrics.macro_auc(labels[here], scores[here])[0] == pytest.approx(expected)


def test_a_constant_score_has_an_auc_of_one_half() -> None:
    assert metrics.auc(np.array([True, False, True]), np.full(3, 0.3))[0] == 0.5


def test_with_one_class_alone_there_is_no_auc() -> None:
    assert np.isnan(metrics.macro_auc(np.zeros(4, int), task(n=4)[1])[0])
    assert np.isnan(metrics.macro_auc(np.zeros(4, int), task(n=4, classes=2)[1])[0])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_auc_counts_pairs(cases: list[tuple[bool, int]]) -> None:
    positive, scores = np.array([c[0] for c in cases]), np.array([c[1] for c in cases], float)
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    found = metrics.auc(positive, scores)[0]
    assert found == pytest.approx(np.mean(pairs)) if pairs else np.isnan(found)


def test_confusion_recall_and_precision_are_those_of_scikit_learn() -> None:
    labels, scores = task()
    predicted = scores.argmax(1)
    matrix = metrics.confusion(labels, predicted, 4)[0]
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(labels, predicted))
    np.testing.assert_allclose(metrics.recalls(matrix), sk.recall_score(labels, predicted, average=None))
    np.testing.assert_allclose(metrics.precisions(matrix), sk.precision_score(labels, predicted, average=None))
    assert metrics.worst_group_accuracy(matrix) == sk.recall_score(labels, predicted, average=None).min()


def test_a_class_that_is_absent_has_no_recall_and_does_not_count() -> None:
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 4]], float)
    assert np.isnan(metrics.recalls(matrix)[1])
    assert metrics.worst_group_accuracy(matrix) == 0.75
    assert np.isnan(metrics.worst_group_accuracy(np.zeros((3, 3))))
    assert np.isnan(metrics.precisions(np.array([[2.0, 0], [1, 0]]))[1])


def test_quadratic_kappa_is_that_of_scikit_learn_and_undefined_where_all_agree_on_one_class() -> None:
    labels, scores = task()
    expected = sk.cohen_kappa_score(labels, scores.argmax(1), weights="quadratic")
    assert metrics.quadratic_kappa(labels, scores.argmax(1), range(4)) == pytest.approx(expected)
    assert np.isnan(metrics.quadratic_kappa(np.ones(5, int), np.ones(5, int), range(4)))


def test_quadratic_kappa_follows_the_order_of_classes_and_not_how_they_are_listed() -> None:
    labels, scores = task()
    predicted, ranks = scores.argmax(1), [0, 3, 1, 2]  # as "1", "10", "2", "3" are listed
    place = np.array(ranks)
    expected = metrics.quadratic_kappa(place[labels], place[predicted], range(4))
    assert metrics.quadratic_kappa(labels, predicted, ranks) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_score_is_that_of_scikit_learn(classes: int) -> None:
    labels, scores = task(classes=classes, ties=False)
    expected = sk.brier_score_loss(labels, scores if classes > 2 else scores[:, 1], labels=list(range(classes)))
    assert metrics.brier(labels, scores) == pytest.approx(expected)


def test_expected_calibration_error_is_its_definition_by_scipy() -> None:
    labels, scores = task(n=400, ties=False)
    confidence, correct = scores.max(1), scores.argmax(1) == labels
    gap = binned_statistic(confidence, correct - confidence, "sum", bins=10, range=(0, 1)).statistic
    expected = np.abs(gap).sum() / len(labels)
    assert metrics.expected_calibration_error(labels, scores) == pytest.approx(expected)
    assert sum(n for *_, n in metrics.reliability(labels, scores)) == 400


def test_youden_threshold_maximises_sensitivity_plus_specificity() -> None:
    labels, scores = task(classes=2)
    positive = labels == 1
    best = metrics.youden_threshold(positive, scores[:, 1])
    sums = [sum(metrics.sensitivity_specificity(positive, scores[:, 1], t))[0] for t in np.unique(scores[:, 1])]
    assert sum(metrics.sensitivity_specificity(positive, scores[:, 1], best))[0] == pytest.approx(max(sums))
    assert np.isnan(metrics.youden_threshold(np.ones(3, bool), np.ones(3)))


def test_sensitivity_and_specificity_are_shares_at_a_threshold() -> None:
    positive, scores = np.array([True, True, False, False]), np.array([0.9, 0.3, 0.3, 0.1])
    assert metrics.sensitivity_specificity(positive, scores, 0.3) == (1.0, 0.5)
    assert np.isnan(metrics.sensitivity_specificity(np.ones(2, bool), np.ones(2), 0.5)[1]).all()


def naive_delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """The p-value by the formulas of DeLong et al. (1988), pair by pair."""
    ups, downs = [], []
    for s in (first, second):
        kernel = (s[positive][:, None] > s[~positive]) + 0.5 * (s[positive][:, None] == s[~positive])
        ups.append(kernel.mean(1))
        downs.append(kernel.mean(0))
    covariance = np.cov(ups) / positive.sum() + np.cov(downs) / (~positive).sum()
    z = (np.mean(ups[1]) - np.mean(ups[0])) / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return float(2 * norm.sf(abs(z)))


def test_delong_is_its_definition() -> None:
    labels, scores = task(classes=2)
    _, other = task(seed=5, classes=2)
    test = delong(labels == 1, scores[:, 1], other[:, 1])
    assert test is not None
    assert test.p == pytest.approx(naive_delong(labels == 1, scores[:, 1], other[:, 1]))
    assert test.auc[0] == pytest.approx(sk.roc_auc_score(labels, scores[:, 1]))
    assert test.interval[0] < test.difference < test.interval[1]


@given(st.integers(0, 2**32 - 1))
def test_delong_against_a_constant_score_is_scipys_brunner_munzel_test(seed: int) -> None:
    """Its placements are DeLong's: the published test of whether an AUC is a half."""
    rng = np.random.default_rng(seed)
    positive = np.arange(40) < 15
    score = rng.normal(size=40).round(1) + 0.5 * positive  # with ties
    test = delong(positive, np.zeros(40), score)
    published = brunnermunzel(score[~positive], score[positive], distribution="normal")
    assert test is not None
    assert test.difference / test.standard_error == pytest.approx(published.statistic)
    assert test.p == pytest.approx(published.pvalue)


def test_delong_on_doubled_images_of_one_patient_is_as_wide_as_on_single_ones() -> None:
    labels, scores = task(classes=2)
    _, other = task(seed=5, classes=2)
    single = delong(labels == 1, scores[:, 1], other[:, 1])
    twice = np.tile(np.arange(len(labels)), 2)
    doubled = delong(labels[twice] == 1, scores[twice, 1], other[twice, 1], list(twice))
    naive = delong(labels[twice] == 1, scores[twice, 1], other[twice, 1])
    assert single is not None
    assert doubled is not None
    assert naive is not None
    assert doubled.standard_error == pytest.approx(single.standard_error)
    assert naive.standard_error < 0.8 * single.standard_error


def test_delong_of_equal_scores_finds_no_difference_and_of_one_class_nothing() -> None:
    labels, scores = task(classes=2)
    same = delong(labels == 1, scores[:, 1], scores[:, 1])
    assert same is not None
    assert (same.difference, same.p) == (0.0, 1.0)
    assert delong(np.ones(4, bool), np.arange(4.0), np.arange(4.0)) is None


def test_resamples_draw_patients_whole_and_repeat_with_the_seed() -> None:
    patients = [0, 0, 1, 2, 2, 2, 3, 4]
    weights = patient_weights(patients, draws=50, seed=3)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    assert (weights[:, [0, 2, 3, 6, 7]].sum(1) == 5).all()
    np.testing.assert_array_equal(weights, patient_weights(patients, draws=50, seed=3))


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(size=400)
    weights = patient_weights(range(400), draws=4000)
    found = interval(weights @ values / weights.sum(1))
    half = 1.96 * values.std() / 20
    assert found is not None
    np.testing.assert_allclose(found, (values.mean() - half, values.mean() + half), atol=0.012)


def test_images_of_one_patient_that_agree_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=100), 4)
    widths = []
    for patients in (np.arange(400), np.repeat(np.arange(100), 4)):
        weights = patient_weights(list(patients))
        low, high = interval(weights @ values / weights.sum(1)) or (0, 0)
        widths.append(high - low)
    assert 1.7 < widths[1] / widths[0] < 2.3


def test_no_interval_where_the_metric_is_often_undefined() -> None:
    draws = np.where(np.arange(100) < 15, np.nan, 1.0)
    assert interval(draws) is None
    assert p_value(draws) is None


def test_holm_is_the_step_down_rule() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    p = list(np.random.default_rng(0).random(20) ** 3)
    assert (
        np.array(holm(p)) >= false_discovery_control(p) - 1e-12
    ).all()  # Holm is never milder than Benjamini-Hochberg


@pytest.mark.parametrize(
    ("ci", "p", "expected"),
    [
        ((0.01, 0.2), 0.01, "better"),
        ((-0.2, -0.01), 0.01, "worse"),
        ((-0.01, 0.1), 0.3, "not worse"),
        ((0.01, 0.2), 0.2, "not worse"),
        ((-0.05, 0.1), 0.6, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_a_verdict_needs_its_interval(ci: tuple[float, float] | None, p: float | None, expected: str) -> None:
    assert verdict(ci, p) == expected


def test_grey_level_distance_is_that_of_scipy_on_the_pixels() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.beta(2, 5, 5000), rng.beta(4, 3, 5000)
    histograms = [np.histogram(x, 512, (0, 1))[0].astype(float) for x in (a, b)]
    assert distance.grey_level_distance(*histograms) == pytest.approx(wasserstein_distance(a, b), abs=1e-3)


def test_mean_discrepancy_is_near_zero_for_one_law_and_grows_with_a_shift() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(150, 3)), rng.normal(size=(150, 3))
    width = distance.median_distance(np.concatenate([a, b]))
    values = [distance.maximum_mean_discrepancy(a, b + shift, width) for shift in (0, 0.5, 1)]
    assert values[0] is not None
    assert values[0] < 0.08
    assert values[0] < values[1] < values[2]
    assert distance.maximum_mean_discrepancy(a[:1], b, width) is None


def test_a_probe_tells_a_shift_and_no_more() -> None:
    rng = np.random.default_rng(0)
    features, which = rng.normal(size=(200, 4)), np.arange(200) % 2
    assert 0.35 < distance.grouped_auc(features, which, list(range(200))) < 0.65
    features[which == 1] += 2
    assert distance.grouped_auc(features, which, list(range(200))) > 0.95


def test_a_probe_cannot_profit_from_recognising_patients() -> None:
    """Each patient has features and a label of its own: split by image the AUC would be near 1."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 6)
    features = rng.normal(size=(40, 60))[patients] + 0.01 * rng.normal(size=(240, 60))
    labels = rng.integers(0, 2, 40)[patients]
    assert distance.grouped_auc(features, labels, list(patients)) < 0.75


def test_a_probe_says_nothing_on_too_few_patients() -> None:
    assert distance.grouped_auc(np.zeros((8, 2)), np.arange(8) % 2, [0, 1, 2, 3] * 2) is None
