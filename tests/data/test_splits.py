"""Patients are dealt into splits whole, evenly, and the same way each time."""

import warnings
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import deal, with_splits
from isotone.errors import IsotoneError

IMAGES = st.lists(st.tuples(st.integers(0, 30).map(str), st.sampled_from("ABC")), min_size=3, max_size=60).filter(
    lambda images: len({patient for patient, _ in images}) >= 3
)


def groups_of(patients: Iterable[str], strata: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for patient, stratum in zip(patients, strata, strict=True):
        groups.setdefault(patient, []).append(stratum)
    return groups


def table(rows: int = 12, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"path": [f"{i}.png" for i in range(rows)], **columns})


@given(IMAGES, st.integers(0, 5), st.randoms())
def test_every_patient_is_in_one_split_in_whatever_order_the_rows_come(images: list, seed: int, random: object) -> None:
    found = deal(groups_of(*zip(*images, strict=True)), seed)
    assert found.keys() == {patient for patient, _ in images}
    assert set(found.values()) == {"train", "val", "test"}
    random.shuffle(images)  # type: ignore[attr-defined]
    assert deal(groups_of(*zip(*images, strict=True)), seed) == found


@given(st.lists(st.sampled_from("AAAAAB"), min_size=5, max_size=80), st.integers(0, 5))
def test_of_patients_with_one_image_each_split_has_its_share(labels: list[str], seed: int) -> None:
    """To within an image for each fold."""
    found = deal({str(i): [label] for i, label in enumerate(labels)}, seed)
    for label, total in Counter(labels).items():
        dealt = Counter(found[str(i)] for i, own in enumerate(labels) if own == label)
        for split, folds in (("train", 3), ("val", 1), ("test", 1)):
            assert folds * (total // 5) <= dealt[split] <= folds * -(-total // 5)


def test_patients_of_several_images_are_dealt_as_evenly_as_by_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(0)
    patients = rng.integers(0, 200, 1000).astype(str)
    labels = np.where(rng.random(1000) < 0.1, "A", np.where(patients.astype(int) % 3 == 0, "B", "C"))

    def unevenness(split: np.ndarray) -> float:
        return max(abs(np.mean(split[labels == label] == "test") - 0.2) for label in "ABC")

    ours = deal(groups_of(patients.tolist(), labels.tolist()), 0)
    theirs = next(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, patients))[1]
    theirs_split = np.full(1000, "train")
    theirs_split[theirs] = "test"
    assert unevenness(np.array([ours[p] for p in patients])) <= max(unevenness(theirs_split), 0.02)


def test_another_seed_deals_otherwise() -> None:
    manifest = Manifest(table(60, patient_id=[str(i // 2) for i in range(60)]))
    first, same, other = (with_splits(manifest, seed=seed).column("split") for seed in (3, 3, 4))
    assert first == same != other


def test_a_manifest_without_patients_says_so_where_it_is_dealt() -> None:
    with pytest.warns(UserWarning, match="no image has a patient_id"):
        dealt = with_splits(Manifest(table(12)))
    assert len(dealt.notes) == 1
    with pytest.warns(UserWarning, match="1 of 12 images have no patient_id"):
        with_splits(Manifest(table(12, patient_id=["nan", *map(str, range(11))])))


def test_a_missing_patient_collects_no_other_images() -> None:
    manifest = Manifest(table(40, patient_id=["nan"] * 20 + [str(i) for i in range(20)]))
    assert Counter(with_splits(manifest).column("split")[:20])["train"] == pytest.approx(12, abs=2)


def test_a_patient_that_is_a_placeholder_is_said() -> None:
    with pytest.warns(UserWarning, match="one patient_id stands for 30 of 40 images") as caught:
        with_splits(Manifest(table(40, patient_id=["ANON"] * 30 + [str(i) for i in range(10)])))
    assert not any("ANON" in str(warning.message) for warning in caught)


def test_stated_splits_give_no_warning_and_stay() -> None:
    manifest = Manifest(table(3, split=["train", "val", "test"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_splits(manifest).column("split") == ["train", "val", "test"]


@pytest.mark.parametrize("patients", [1, 2])
def test_fewer_than_three_patients_cannot_be_dealt(patients: int) -> None:
    with pytest.raises(IsotoneError, match=rf"{patients} patients? cannot be dealt.*\[E_DATA\]"):
        with_splits(Manifest(table(8, patient_id=[str(i % patients) for i in range(8)])))
