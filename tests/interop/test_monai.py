"""Harmonizers among MONAI's transforms, run by MONAI itself."""

from pathlib import Path

import numpy as np
import pytest

import dicoms
from harmonizers import CURVE, scanner_harmonizer

pytest.importorskip("monai")
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor, decollate_batch
from monai.transforms import Compose, EnsureTyped, Flipd, Invertd

from isotone.interop.monai import Harmonize, Harmonized, LoadRadiograph, LoadRadiographd

GREY = np.random.default_rng(0).random((1, 24, 20)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved harmonizer of every scanner of these tests."""
    scanner_harmonizer("any", "HOLOGIC, Inc. Selenia Dimensions").save(tmp_path / "harmonizer")
    return tmp_path / "harmonizer"


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, MetaTensor])
def test_arrays_tensors_and_meta_tensors_stay_what_they_are(folder: Path, kind: type) -> None:
    found = Harmonize(folder, "any")(kind(GREY))
    assert type(found) is type(kind(GREY))
    np.testing.assert_allclose(np.asarray(found), CURVE(GREY), atol=1e-6)


def test_the_inverse_undoes_it_and_forgets_it(folder: Path) -> None:
    step = Harmonized(["image", "other"], folder, domain_key="scanner")
    data = {"image": MetaTensor(GREY), "other": MetaTensor(1 - GREY), "scanner": "any"}
    mapped = step(data)
    assert [len(mapped[key].applied_operations) for key in ("image", "other")] == [1, 1]
    undone = step.inverse(mapped)
    np.testing.assert_allclose(undone["image"].numpy(), GREY, atol=1e-5)
    np.testing.assert_allclose(undone["other"].numpy(), 1 - GREY, atol=1e-5)
    assert undone["image"].applied_operations == []
    np.testing.assert_array_equal(data["image"].numpy(), GREY)


def test_it_is_undone_in_turn_with_other_transforms(folder: Path) -> None:
    pipeline = Compose([Harmonized("image", folder, "any"), Flipd("image", 1)])
    undone = pipeline.inverse(pipeline({"image": MetaTensor(GREY)}))
    np.testing.assert_allclose(undone["image"].numpy(), GREY, atol=1e-5)


def test_integers_keep_their_bits_and_come_back_where_levels_stay_apart(folder: Path) -> None:
    stored = torch.arange(0, 4096, 8, dtype=torch.int32).reshape(1, 16, 32)
    step = Harmonize(folder, "any", bits=12)
    mapped = step(MetaTensor(stored))
    assert mapped.dtype == torch.int32
    np.testing.assert_array_equal(np.asarray(mapped), np.rint(4095 * CURVE(stored.numpy() / 4095)))
    assert np.abs(np.asarray(step.inverse(mapped)) - stored.numpy()).max() <= 1


def test_a_file_is_read_with_its_polarity_and_its_scanner(tmp_path: Path, folder: Path) -> None:
    path = dicoms.write(dicoms.radiograph(inverted=True), tmp_path / "image.dcm")
    image = LoadRadiograph()(path)
    assert (image.shape, image.meta["domain"]) == ((1, 48, 64), "HOLOGIC, Inc. Selenia Dimensions")
    mapped = Compose([LoadRadiographd("image"), Harmonized("image", folder)])({"image": path})["image"]
    np.testing.assert_allclose(mapped.numpy(), CURVE(image.numpy()), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
def test_loader_processes_give_the_same_images_and_invertd_undoes_a_batch(folder: Path, persistent: bool) -> None:
    items = [{"image": np.roll(GREY, k, 1)} for k in range(6)]
    pipeline = Compose([EnsureTyped("image"), Harmonized("image", folder, "any")])
    data = CacheDataset(items, pipeline, progress=False)
    loader = DataLoader(data, batch_size=3, num_workers=2, persistent_workers=persistent)
    for _ in range(2):
        batches = list(loader)
        found = torch.cat([batch["image"].as_tensor() for batch in batches])
        np.testing.assert_allclose(found.numpy(), CURVE(np.stack([item["image"] for item in items])), atol=1e-6)
    undo = Invertd("image", pipeline, orig_keys="image", nearest_interp=False)
    for number, item in enumerate(decollate_batch(batches[0])):
        np.testing.assert_allclose(undo(item)["image"].numpy(), items[number]["image"], atol=1e-5)
