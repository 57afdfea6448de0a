"""Class-balanced batches and their pairs."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isotone.data.sampling import balanced_batches, paired_batches

counts = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def labels_of(counts: list[int]) -> list[str]:
    return [chr(65 + i) for i, n in enumerate(counts) for _ in range(n)]


@given(counts, st.integers(2, 24), st.integers(0, 99))
def test_every_batch_is_balanced_and_no_image_comes_twice(counts: list[int], size: int, seed: int) -> None:
    labels = labels_of(counts)
    batches = balanced_batches(labels, size, np.random.default_rng(seed))
    together = np.concatenate(batches)
    assert len(set(together.tolist())) == len(together)
    for batch in batches:
        seen = Counter(labels[i] for i in batch)
        assert max(seen.values()) - min(seen.get(c, 0) for c in set(labels)) <= 1


@given(counts, st.integers(2, 24))
def test_the_smallest_class_sets_the_number_of_batches(counts: list[int], size: int) -> None:
    batches = balanced_batches(labels_of(counts), size, np.random.default_rng(0))
    total = min(counts) * len(counts)
    if total < size:
        assert [len(b) for b in batches] == [total]
    else:
        assert [len(b) for b in batches] == [size] * (total // size)


def test_a_stated_number_per_class_repeats_the_images_of_a_smaller_one() -> None:
    labels = labels_of([20, 5])
    batches = balanced_batches(labels, 10, np.random.default_rng(0), per_class=15)
    seen = Counter(np.concatenate(batches).tolist())
    assert len(batches) == 3
    assert all(seen[i] == 3 for i in range(20, 25))
    assert all(seen[i] <= 1 for i in range(20))


def test_the_same_seed_gives_the_same_batches_and_another_seed_others() -> None:
    labels = labels_of([30, 30])
    first, again, other = (balanced_batches(labels, 12, np.random.default_rng(s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pairs_are_of_equal_length_and_stop_with_the_shorter_domain() -> None:
    source, reference = labels_of([13, 24]), labels_of([30, 30, 30, 30])
    pairs = paired_batches(source, reference, 12, np.random.default_rng(0))
    assert [(len(s), len(r)) for s, r in pairs] == [(12, 12)] * 2


def test_a_source_smaller_than_a_batch_still_gives_one_pair_of_equal_length() -> None:
    pairs = paired_batches(labels_of([2, 3]), labels_of([30, 30]), 12, np.random.default_rng(0))
    assert [(len(s), len(r)) for s, r in pairs] == [(4, 4)]


def test_paired_images_join_every_class_with_every_other() -> None:
    source, reference = labels_of([60, 60]), labels_of([60, 60, 60, 60])
    pairs = paired_batches(source, reference, 12, np.random.default_rng(0))
    joined = {(source[i], reference[j]) for s, r in pairs for i, j in zip(s, r, strict=True)}
    assert len(joined) == 8
