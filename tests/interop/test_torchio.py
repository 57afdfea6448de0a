"""Harmonizers among TorchIO's transforms, run by TorchIO itself."""

from pathlib import Path

import numpy as np
import pytest

from harmonizers import CURVE, scanner_harmonizer

pytest.importorskip("torchio")
import torch
import torchio as tio

from isotone.interop.torchio import ApplyToneCurve, Harmonize

GREY = torch.as_tensor(np.random.default_rng(0).random((1, 20, 24, 1)), dtype=torch.float32)


@pytest.fixture
def step(tmp_path: Path) -> Harmonize:
    scanner_harmonizer("any").save(tmp_path)
    return Harmonize(tmp_path, "any")


def subject() -> tio.Subject:
    return tio.Subject(image=tio.ScalarImage(tensor=GREY), mask=tio.LabelMap(tensor=(GREY > 0.5).float()))


def test_scalar_images_are_mapped_and_label_maps_are_not(step: Harmonize) -> None:
    mapped = step(subject())
    np.testing.assert_allclose(mapped.image.data.numpy(), CURVE(GREY.numpy()), atol=1e-6)
    assert torch.equal(mapped.mask.data, (GREY > 0.5).float())


def test_the_history_repeats_and_undoes_what_was_applied(step: Harmonize) -> None:
    mapped = tio.Compose([step, tio.Flip(0)])(subject())
    first, _ = mapped.history
    assert isinstance(first, ApplyToneCurve)
    again = mapped.get_composed_history()(subject())
    assert torch.equal(again.image.data, mapped.image.data)
    np.testing.assert_allclose(mapped.apply_inverse_transform().image.data.numpy(), GREY.numpy(), atol=1e-5)


def test_the_subject_may_name_the_scanner_and_tensors_go_in_as_they_are(tmp_path: Path, step: Harmonize) -> None:
    named = subject()
    named["domain"] = "any"
    np.testing.assert_allclose(Harmonize(tmp_path)(named).image.data.numpy(), CURVE(GREY.numpy()), atol=1e-6)
    np.testing.assert_allclose(step(GREY).numpy(), CURVE(GREY.numpy()), atol=1e-6)


def test_volumes_and_colours_are_refused(step: Harmonize) -> None:
    for shape in ((3, 8, 8, 1), (1, 8, 8, 2)):
        with pytest.raises(ValueError, match="one channel and one slice"):
            step(torch.rand(shape))
