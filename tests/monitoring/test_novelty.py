"""The gate: images like those of the fit pass, others are named with a score; batches of another response differ."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from breasts import breast, toned
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.appearance import LAYOUT, SIZE, look, through
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample
from isotone.errors import ModelError, RadiographError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph
from isotone.monitoring.novelty import BATCH, LAYOUT_LIMIT, LIMIT, Novelty
from make_images import write_cohort

GAMMA = 1.8


@cache
def drawn(classes: str, n: int, start: int) -> np.ndarray:
    """Looks of so many images, as the source scanner writes them."""
    samples = [breast(start + i, classes[i % len(classes)]) for i in range(n)]
    return np.stack([look(toned(s, lambda x: x**GAMMA)) for s in samples])


@cache
def gate(n: int = 60, labelled: bool = True) -> Novelty:
    """Fitted on classes B and C of the source; the reference has all four."""
    reference = [breast(1000 + i, "ABCD"[i % 4]) for i in range(80)]
    lent = through(np.stack([look(s) for s in reference]), lambda x: x**GAMMA)
    labels = [s.label if labelled else None for s in reference]
    return Novelty.fit(drawn("BC", n, 0), [str(i) for i in range(n)], lent, labels)


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 25])
@pytest.mark.parametrize("labelled", [True, False])
def test_at_most_one_in_twenty_images_is_a_false_alarm_unseen_classes_included(n: int, labelled: bool) -> None:
    """The main case of the product: classes A and D were never in the source's fit."""
    alarms = [gate(n, labelled).complaint(x) is not None for x in drawn("ABCD", 80, 5000)]
    assert np.mean(alarms) <= 0.05


PLANTED = {
    "inverted polarity": lambda s: toned(s, lambda x: 1 - x),
    "raw linear data": lambda s: toned(s, lambda x: np.exp(-4 * x)),
    "8-bit values in 12 bits": lambda s: toned(s, lambda x: np.rint(255 * x) / 4095),
    "8 bits shifted into 12": lambda s: replace(s, pixels=(s.pixels >> 8 << 8).astype(np.uint16)),
    "noise": lambda s: replace(
        s, pixels=np.random.default_rng(0).permutation(s.pixels.ravel()).reshape(s.pixels.shape)
    ),
    "constant": lambda s: replace(s, pixels=np.full_like(s.pixels, 20000)),
    "another anatomy": lambda s: replace(s, pixels=np.roll(s.pixels, s.pixels.shape[1] // 2, axis=1)),
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("n", [60, 25])
def test_what_does_not_belong_is_caught(kind: str, n: int) -> None:
    images = [toned(breast(7000 + i, "ABCD"[i % 4]), lambda x: x**GAMMA) for i in range(20)]
    caught = [gate(n).complaint(look(PLANTED[kind](s))) is not None for s in images]
    assert np.mean(caught) >= 0.95


@pytest.mark.parametrize("classes", ["ABCD", "BC", "A", "D"])
@pytest.mark.parametrize("tone", [lambda x: x, lambda x: x**1.3, lambda x: 0.08 + 0.92 * x])
def test_neither_another_class_mix_nor_another_response_is_another_layout(classes: str, tone: object) -> None:
    assert gate().layout(through(drawn(classes, BATCH, 9000), tone)) < LAYOUT_LIMIT  # type: ignore[arg-type]


def test_a_batch_of_another_view_is_another_layout() -> None:
    batch = [PLANTED["another anatomy"](breast(9000 + i, "BC"[i % 2])) for i in range(BATCH)]
    assert gate().layout(np.stack([look(toned(s, lambda x: x**GAMMA)) for s in batch])) > LAYOUT_LIMIT


def test_the_layout_is_the_same_through_every_curve_and_the_tone_goes_through_it() -> None:
    """So that a response and an anatomy can be told apart."""
    sample, curve = breast(3, "C"), ToneCurve([0.6, -0.3, 0.4])
    before, after = look(sample), look(toned(sample, curve))
    np.testing.assert_allclose(after[:LAYOUT], before[:LAYOUT], atol=1e-9)
    np.testing.assert_allclose(after[:SIZE], through(before[None], curve)[0, :SIZE], atol=2e-3)


def test_a_mirrored_image_looks_the_same() -> None:
    sample = breast(4, "B")
    mirrored = replace(sample, pixels=sample.pixels[:, ::-1].copy(), valid=sample.valid[:, ::-1].copy())
    np.testing.assert_allclose(look(mirrored), look(sample), atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(npst.arrays(np.uint16, st.tuples(st.integers(1, 24), st.integers(1, 24))), st.booleans())
def test_every_image_has_a_finite_look_and_a_finite_score(pixels: np.ndarray, valid: bool) -> None:
    """Tiny, constant, or all padding."""
    found = look(Sample(pixels, np.full(pixels.shape, valid)))
    assert found.shape == (SIZE + 1,)
    assert np.isfinite(found).all()
    assert np.isfinite(gate().score(found))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_fit_of_a_few_images_gives_a_gate_that_works(n: int) -> None:
    reference = drawn("ABCD", 3, 1000)
    few = Novelty.fit(drawn("BC", n, 0), ["a"] * n, reference, [None] * 3)
    assert LIMIT <= few.limit < np.inf
    assert np.isfinite(few.score(reference[0]))


def test_a_gate_survives_json_and_damage_is_found() -> None:
    entry = gate().to_json()
    again = Novelty.from_json(entry)
    x = drawn("BC", 60, 0)[0]
    assert again.score(x) == gate().score(x)
    assert again.to_json() == entry
    for damage in ({"within": entry["within"][:3]}, {"own": (-np.eye(SIZE)).tolist()}, {"limit": float("nan")}):
        with pytest.raises(ModelError):
            Novelty.from_json(entry | damage)


@pytest.fixture(scope="module")
def harmonizer(tmp_path_factory: pytest.TempPathFactory) -> tuple[ToneCurveHarmonizer, Manifest]:
    manifest = Manifest.read(write_cohort(tmp_path_factory.mktemp("cohort"), patients=40))
    return ToneCurveHarmonizer("ref", "src").fit(manifest, workers=0), manifest


def radiograph(path: Path, domain: str = "src", *, inverted: bool = False) -> Radiograph:
    from isotone.imaging.read import read_radiograph

    image = read_radiograph(path, domain=domain)
    return image.map_tone(lambda x: 1 - x) if inverted else image


def test_a_harmonizer_refuses_an_image_unlike_the_fit_with_its_score(
    harmonizer: tuple[ToneCurveHarmonizer, Manifest],
) -> None:
    fitted, manifest = harmonizer
    paths = [row.path for row in manifest.select(domains=["src"], splits=["test"])]
    refused = 0
    for path in paths:
        with pytest.raises(RadiographError, match=r"E_OOD.*") as caught:
            fitted.transform(radiograph(path, inverted=True))
        assert "score" in str(caught.value)
        assert "limit" in str(caught.value)
        assert str(path) in str(caught.value)
        try:
            fitted.transform(radiograph(path))
        except RadiographError:
            refused += 1
    assert refused <= 1


def test_the_guard_overruled_applies_all_the_same_and_the_reference_is_never_judged(
    harmonizer: tuple[ToneCurveHarmonizer, Manifest],
) -> None:
    fitted, manifest = harmonizer
    path = next(iter(manifest.select(domains=["src"]))).path
    odd = radiograph(path, inverted=True)
    assert fitted.curve(odd, allow=["look"]) == fitted.scanners["src"].mapper.curve(odd)
    assert fitted.curve(odd.with_domain("ref")) == ToneCurve()
