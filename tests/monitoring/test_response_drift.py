"""A batch behind another response is told from chance and from another class mix."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from breasts import breast, toned
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import image_set
from isotone.data.sample import Sample
from isotone.deployment.check import TONE_CHANCE
from isotone.errors import ModelError
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.tone_residual import ToneResidual
from isotone.monitoring.response_drift import ResponseDrift, effective

LIMIT = TONE_CHANCE
BATCH = 20


def darker(sample: Sample, tone: object = lambda x: x) -> Sample:
    """As the source scanner writes it, perhaps behind a further response."""
    written = toned(sample, tone)
    return toned(written, ToneCurve([0.6, -0.3, 0.4]).inverse())


@cache
def drift(classes: str = "BC", n: int = 60) -> ResponseDrift:
    reference = image_set([breast(1000 + i, "ABCD"[i % 4]) for i in range(80)])
    source = image_set([darker(breast(i, classes[i % len(classes)])) for i in range(n)])
    model, curve = ReferenceModel(reference), ToneCurve([0.6, -0.3, 0.4])
    ours = source.descriptors_with(model.air)
    residual = ToneResidual.fit(model.tone, ours, curve(ours.quantiles), model.air)
    return ResponseDrift.of_fit(SimpleNamespace(images=source, curves=[curve], residual=residual, reference=model))


def batch(classes: str, start: int, tone: object = lambda x: x) -> np.ndarray:
    samples = [darker(breast(start + i, classes[i % len(classes)]), tone) for i in range(BATCH)]
    return np.stack([drift().of(s, regions(s)) for s in samples])


@pytest.mark.parametrize("classes", ["ABCD", "BC", "A", "D"])
@pytest.mark.parametrize("fitted", ["BC", "B"])
def test_another_class_mix_is_not_another_response_not_even_of_classes_that_the_fit_never_saw(
    classes: str, fitted: str
) -> None:
    found = drift(fitted)
    samples = [darker(breast(9000 + i, classes[i % len(classes)])) for i in range(BATCH)]
    assert found.chance(np.stack([found.of(s, regions(s)) for s in samples])) > LIMIT


@pytest.mark.slow
@pytest.mark.parametrize(
    "tone", [lambda x: x**1.3, lambda x: x**0.77, lambda x: 0.08 + 0.92 * x, lambda x: 0.05 + 0.7 * x]
)
@pytest.mark.parametrize("classes", ["BC", "ABCD"])
def test_a_batch_behind_another_response_is_no_chance(tone: object, classes: str) -> None:
    assert drift().chance(batch(classes, 9000, tone)) < LIMIT


@pytest.mark.slow
def test_few_batches_of_the_same_response_are_called_another() -> None:
    found = np.concatenate([batch("BC", start) for start in range(20_000, 20_200, BATCH)])
    rng = np.random.default_rng(0)
    draws = [drift().chance(found[rng.choice(len(found), BATCH, replace=False)]) for _ in range(200)]
    assert np.mean(np.array(draws) < LIMIT) <= 0.05


def test_a_smooth_change_is_caught_more_often_than_another_as_far_from_chance() -> None:
    noisy = replace(drift(), spread=100 * drift().spread)
    factor, grey = np.linalg.cholesky(noisy.spread), noisy.residual.regression.mean
    cubic = np.linalg.solve(factor, noisy.residual.regression.axes @ np.stack([grey, grey**2, grey**3], 1))
    directions = np.linalg.qr(cubic, mode="complete")[0]
    rng = np.random.default_rng(0)
    caught = []
    for direction in (directions[:, 1], directions[:, 4]):
        draws = (rng.standard_normal((BATCH, 6)) + 1.2 * direction for _ in range(100))
        caught.append(np.mean([noisy.chance(each @ factor.T) < LIMIT for each in draws]))
    assert caught[0] > caught[1] + 0.1


def test_a_patient_with_many_images_counts_for_no_more_than_the_others_together() -> None:
    assert effective(np.repeat(np.arange(4), 3)) == 4
    assert effective(np.repeat(np.arange(4), [97, 1, 1, 1])) < 1.1


def test_images_of_one_patient_count_for_one() -> None:
    one = drift()
    several = replace(one, per_patient=4.0)
    found = batch("BC", 9000, lambda x: x**1.15)
    assert several.chance(found) > one.chance(found)


def test_a_drift_survives_json_and_damage_is_found() -> None:
    entry = drift().to_json()
    again = ResponseDrift.from_json(entry)
    found = batch("BC", 9000)
    assert again.chance(found) == drift().chance(found)
    assert again.to_json() == entry
    for damage in ({"centres": [[0.0]]}, {"curves": []}, {"spread": (-np.eye(6)).tolist()}, {"patients": float("nan")}):
        with pytest.raises(ModelError):
            ResponseDrift.from_json(entry | damage)
