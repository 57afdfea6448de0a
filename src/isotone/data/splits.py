"""Patient-grouped, stratified folds for manifests that state no split."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError

FOLDS = 5
"""One fold tests, one validates, the rest trains: more folds leave fewer patients to test on."""
UNIT = 10**15
"""A whole stratum, as integers count it, so that equal shares are equal: floats would tell ties apart by rounding."""
LARGE = 1 / FOLDS
"""Share of the images above which one patient fills a fold by itself."""


def with_splits(manifest: Manifest, seed: int = 0) -> Manifest:
    """The manifest with every row in a split.

    Rows that have one keep it, and a patient with rows of both kinds follows the stated split. The others are dealt by
    patient into five folds, stratified by domain and label: three are "train", one is "test", one "val". Rows without
    a patient count as patients of their own, and a note and warning says how many they are.

    Parameters
    ----------
    manifest : Manifest
    seed : int
        Of the shuffle; the same seed and rows, in any order, give the same splits. Only whoever writes the split down
        may choose it: were it a run's seed, then `evaluate` could test on patients that `train` or `fit` had seen.

    Raises
    ------
    IsotoneError
        E_DATA: fewer than three patients are to be dealt.
    """
    patients, stated = manifest.column("patient_id"), manifest.column("split")
    split_of = {p: s for p, s in zip(patients, stated, strict=True) if s is not None and p is not None}
    splits = [s if s or p is None else split_of.get(p) for s, p in zip(stated, patients, strict=True)]
    if None not in splits:
        return manifest.with_splits(splits, ())
    paths, domains, labels = (manifest.column(name) for name in ("path", "domain", "label"))
    groups = [p or f"row {path}" for p, path in zip(patients, paths, strict=True)]
    members: dict[str, list[Hashable]] = defaultdict(list)
    one: dict[Hashable, Hashable] = {}  # of equal strata: a hundred thousand tuples cost a third of the time
    for group, split, stratum in zip(groups, splits, zip(domains, labels, strict=True), strict=True):
        if split is None:
            members[group].append(one.setdefault(stratum, stratum))
    split_of |= deal(members, seed)
    notes = _notes(members, sum(p is None and s is None for p, s in zip(patients, splits, strict=True)))
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return manifest.with_splits([s or split_of[group] for s, group in zip(splits, groups, strict=True)], notes)


def deal(groups: Mapping[str, Sequence[Hashable]], seed: int) -> dict[str, str]:
    """The split of each group of images: one fold of `folds_of` tests, one validates, the others train.

    Parameters
    ----------
    groups : mapping of name to sequence of hashables
        The stratum of each image of the group. Nothing depends on the order.
    seed : int

    Returns
    -------
    dict of name to str

    Raises
    ------
    IsotoneError
        E_DATA: fewer than three groups.
    """
    folds = min(FOLDS, len(groups))
    if folds < 3:
        raise IsotoneError(
            "E_DATA",
            f"{len(groups)} patient{'s' * (len(groups) != 1)} cannot be dealt into train, val and test",
            next_step="Add patients, or state the split in the manifest.",
        )
    splits = [*["train"] * (folds - 2), "test", "val"]
    return {name: splits[fold] for name, fold in folds_of(groups, seed, folds).items()}


def folds_of(groups: Mapping[str, Sequence[Hashable]], seed: int, folds: int = FOLDS) -> dict[str, int]:
    """The fold of each group of images, from 0.

    Groups are dealt in random order, the largest first, each to the fold f where Σₛ gₛ nₛ(f) / Nₛ is least, of equal
    ones to that with the fewest images: gₛ, nₛ(f) and Nₛ count the images of stratum s in the group, in the fold and in
    all. That is the least increase of Σₛ Σ_f nₛ(f)² / Nₛ, which is smallest where every fold has the same share of each
    stratum. Of groups that are alike, as many as can be go to each fold at once.

    Parameters
    ----------
    groups, seed
        As `deal` has them.
    folds : int
    """
    ordered = sorted(groups)
    number: dict[Hashable, int] = defaultdict(lambda: len(number))
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for i in np.random.default_rng(seed).permutation(len(ordered)).tolist():
        strata = groups[ordered[i]]
        own = (number[strata[0]],) if len(strata) == 1 else tuple(sorted([number[s] for s in strata]))
        alike[own].append(ordered[i])
    counts = Counter[int]()
    for own, names in alike.items():
        for stratum in own:
            counts[stratum] += len(names)
    table = Folds([UNIT // counts[stratum] for stratum in range(len(number))], folds)
    found: dict[str, int] = {}
    for own, names in sorted(alike.items(), key=lambda item: -len(item[0])):
        each = len(names) // folds
        for fold in range(folds):
            found |= dict.fromkeys(names[fold * each : (fold + 1) * each], fold)
        for name in names[folds * each :]:
            found[name] = table.take(own)
    return found


class Folds:
    """What the folds hold beyond what all of them hold alike.

    Parameters
    ----------
    weight : sequence of int
        Of an image of each stratum, in `UNIT` / images of the stratum.
    folds : int
    """

    def __init__(self, weight: Sequence[int], folds: int) -> None:
        self.weight, self.folds = weight, range(folds)
        self.shares = [[0] * folds for _ in weight]
        self.images = [0] * folds

    def take(self, strata: Sequence[int]) -> int:
        """The fold to which a group with images of these strata goes."""
        load = [sum(fold) for fold in zip(*[self.shares[s] for s in strata], strict=True)]
        least = min(load)
        fold = min([f for f in self.folds if load[f] == least], key=self.images.__getitem__)
        for stratum in strata:
            self.shares[stratum][fold] += self.weight[stratum]
        self.images[fold] += len(strata)
        return fold


def _notes(groups: Mapping[str, Sequence[Hashable]], alone: int) -> list[str]:
    total, largest = sum(map(len, groups.values())), max(map(len, groups.values()))
    notes = []
    if alone:
        what = "no image has a" if alone == total else f"{alone} of {total} images have no"
        notes.append(
            f"{what} patient_id: each was dealt into a split by itself, so images of one patient may be on both sides"
        )
    if largest > LARGE * total and total >= FOLDS * FOLDS:
        notes.append(f"one patient_id stands for {largest} of {total} images: is it a placeholder?")
    return notes
