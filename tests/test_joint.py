"""Class mix and curve at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotone.joint import joint_mix
from isotone.views import Views

SHARES = st.tuples(*[st.integers(1, 4)] * 3)
"""Of three classes: two of them in any shares look like two others, behind the right curve."""


def views(rng, counts, response=lambda x: x):
    """Images whose classes have grey levels about 0.3, 0.5 and 0.7, and a contrast of their own."""
    labels = np.repeat(["dark", "mid", "bright"], counts)
    middle = np.repeat([0.3, 0.5, 0.7], counts) + rng.normal(0, 0.03, len(labels))
    width = np.repeat([0.05, 0.1, 0.2], counts) + rng.uniform(-0.02, 0.02, len(labels))
    grey = np.clip(middle[:, None] + width[:, None] * np.linspace(-1, 1, 64), 0, 1)
    none = np.zeros((len(labels), 0))
    return Views(none, response(grey), none, labels, np.arange(len(labels)))


@pytest.fixture(scope="module")
def reference():
    return views(np.random.default_rng(0), [60, 60, 60])


@settings(max_examples=10, deadline=None)
@given(shares=SHARES, power=st.floats(0.4, 2.5))
def test_the_mix_is_found_behind_any_response_and_explains_the_images(reference, shares, power):
    counts = np.round(90 * np.array(shares) / sum(shares)).astype(int)
    joint = joint_mix(views(np.random.default_rng(1), counts, lambda x: x**power), reference, 0.0)
    wanted = dict(zip(["dark", "mid", "bright"], counts / counts.sum(), strict=True))
    assert all(abs(joint.mix[name] - share) < 0.15 for name, share in wanted.items())
    assert joint.explained
    assert joint.distance <= joint.unmixed


def test_the_mix_of_the_reference_itself_is_no_news(reference):
    joint = joint_mix(views(np.random.default_rng(2), [40, 40, 40], np.sqrt), reference, 0.0)
    assert joint.explained
    assert not joint.believed


def test_a_reference_of_one_class_has_no_other_mix_than_its_own(reference):
    alone = views(np.random.default_rng(3), [0, 200, 0])
    joint = joint_mix(views(np.random.default_rng(4), [0, 200, 0], np.square), alone, 0.0)
    assert joint.mix == {}
    assert joint.explained
    assert not joint.believed


def test_settings_of_each_image_are_explained_by_no_mix(reference):
    rng = np.random.default_rng(5)
    source = views(rng, [20, 20, 20])
    powers = np.exp(0.6 * rng.standard_normal((60, 1)))
    varied = Views(source.structure, source.quantiles**powers, source.air, source.labels, source.patients)
    joint = joint_mix(varied, reference, 0.0)
    assert not joint.explained
    assert not joint.believed


def test_one_image_is_no_error(reference):
    assert np.isfinite(joint_mix(views(np.random.default_rng(6), [0, 1, 0]), reference, 0.0).distance)
