"""Intervals of shares: exact where nothing differs, by patients where they have several images, never of no width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotone.evaluation.evaluate import compare_methods
from isotone.evaluation.proportions import change_interval, exact, paired, share_interval, unpaired
from isotone.evaluation.scores import Scores
from made_scores import REFERENCE, SOURCE, scores


def of(labels: list[int], said: dict[str, list[int]], patients: list[int] | None = None) -> Scores:
    """Two classes; what each method calls each image of the source."""
    n = len(labels)
    return Scores(
        classes=("A", "B"),
        image=np.array([f"{i:016x}" for i in range(n)]),
        patient=np.arange(n) if patients is None else np.array(patients),
        domain=np.full(n, SOURCE),
        view=np.full(n, ""),
        label=np.array(labels),
        probabilities={
            m: np.abs(np.eye(2)[called] - 0.1 - 0.01 * np.random.default_rng(k).random((n, 1)))
            for k, (m, called) in enumerate(said.items())
        },
    )


def test_none_of_twelve_has_the_exact_interval() -> None:
    """Clopper and Pearson: 1 − 0.025^(1/12)."""
    assert exact(0, 12) == pytest.approx((0, 1 - 0.025 ** (1 / 12)))
    row = compare_methods(of([0] * 12 + [1] * 12, {"none": [1] * 24}), [], {}).row(SOURCE, "none")
    assert row.accuracy_per_class == {"A": 0.0, "B": 1.0}
    assert row.accuracy_per_class_ci["A"] == pytest.approx(exact(0, 12))
    assert row.accuracy_per_class_ci["B"] == pytest.approx(exact(1, 12))
    assert row.worst_group_accuracy_ci == pytest.approx(exact(0, 12))
    assert row.precision_per_class_ci == {"A": None, "B": pytest.approx(exact(0.5, 24))}


def test_a_perfect_auc_of_few_images_is_not_certain() -> None:
    """Twelve disjoint pairs, all in order."""
    row = compare_methods(of([0] * 12 + [1] * 20, {"none": [0] * 12 + [1] * 20}), [], {}).row(SOURCE, "none")
    assert (row.auc, row.worst_group_accuracy) == (1, 1)
    assert row.auc_ci == pytest.approx(exact(1, 12))
    assert row.worst_group_accuracy_ci == pytest.approx(exact(1, 12))


def test_the_auc_of_equal_scores_is_a_half_with_certainty() -> None:
    made = of([0] * 12 + [1] * 12, {"none": [0] * 24})
    made.probabilities["none"][:] = [0.6, 0.4]
    row = compare_methods(made, [], {}).row(SOURCE, "none")
    assert (row.auc, row.auc_ci) == (0.5, (0.5, 0.5))


def test_equal_predictions_of_few_images_do_not_exclude_a_loss() -> None:
    made = of([0] * 12 + [1] * 12, {"none": [0] * 12 + [1] * 12, "curve": [0] * 12 + [1] * 12})
    row = compare_methods(made, [], {}).row(SOURCE, "curve")
    assert row.worst_group_accuracy_gain.difference == 0
    assert row.worst_group_accuracy_gain.ci == pytest.approx(paired(0, 0, 12))
    assert row.worst_group_accuracy_gain.verdict == "undecided"
    assert row.accuracy_per_class_change["A"].ci == pytest.approx(paired(0, 0, 12))


def test_images_of_one_patient_do_not_narrow_an_exact_interval() -> None:
    patients = [i // 4 for i in range(48)]
    row = compare_methods(of([0] * 24 + [1] * 24, {"none": [1] * 48}, patients), [], {}).row(SOURCE, "none")
    assert row.accuracy_per_class_ci["A"] == pytest.approx(exact(0, 6))


def test_sensitivity_and_specificity_have_intervals() -> None:
    made = of([0] * 12 + [1] * 12, {"none": [0] * 6 + [1] * 18})
    row = compare_methods(made, [], {"B": 0.5}).row(SOURCE, "none")
    assert row.sensitivity_ci["B"] == pytest.approx(exact(1, 12))
    assert row.specificity_ci["B"] == pytest.approx(exact(0.5, 12))


def test_a_shift_from_all_to_none_of_few_is_not_certain() -> None:
    made = scores({(REFERENCE, "none"): 9.0, (SOURCE, "none"): 9.0}, patients=30)
    made.probabilities["none"][made.domain == SOURCE] = [1, 0, 0]
    shift = next(s for s in compare_methods(made, [REFERENCE], {}).shifts if s.metric == "worst_group_accuracy")
    assert shift.difference == -1
    assert shift.ci == pytest.approx(unpaired(1, 10, 0, 10))
    assert -1 < shift.ci[1] < -0.5


@given(st.integers(1, 60), st.data())
def test_every_interval_holds_its_share_and_has_a_width(n: int, data: st.DataObject) -> None:
    gained = data.draw(st.integers(0, n))
    lost = data.draw(st.integers(0, n - gained))
    low, high = exact(gained / n, n)
    assert 0 <= low <= gained / n <= high <= 1
    assert low < high
    low, high = paired(gained, lost, n)
    assert -1 <= low < high <= 1
    low, high = unpaired(gained / n, n, lost / n, n)
    assert -1 <= low < high <= 1


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_the_intervals_cover_what_they_should(share: float) -> None:
    """At least 95 % of samples of 20, up to the noise of 2000 samples."""
    hits = np.random.default_rng(1).binomial(20, share, 2000)
    cover = [low <= share <= high for low, high in (exact(h / 20, 20) for h in hits)]
    assert np.mean(cover) > 0.94
    cells = np.random.default_rng(2).multinomial(20, [0.2, 0.1, 0.7], 2000)
    cover = [low <= 0.1 <= high for low, high in (paired(g, c, 20) for g, c, _ in cells)]
    assert np.mean(cover) > 0.94


def test_a_few_patients_with_several_images_have_no_interval_between_none_and_all() -> None:
    assert share_interval(np.array([0.5, 0.4, 0.6]), 8, 4) is None
    assert share_interval(np.array([np.nan, 0.4]), 0, 0) is None
    assert share_interval(np.array([0.0, 0.0]), 8, 4) == exact(0, 4)
    assert change_interval(np.zeros(3), 0, 0, 8, 4) is None
    assert change_interval(np.zeros(11), 0, 0, 12, 6) == paired(0, 0, 6)
