"""Looking pixels up in a table, in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from isotone.imaging.grey_levels.lookup import CHUNK, gather, gathered


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (48, 64), (3, CHUNK), (CHUNK + 1, 1)])
@pytest.mark.parametrize("stored", [np.uint8, np.uint16])
@pytest.mark.parametrize("entries", [np.uint16, np.float64, np.bool_])
def test_it_is_plain_indexing_whatever_the_size_and_the_types(shape, stored, entries):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 2, 200).astype(entries) if entries is np.bool_ else rng.integers(0, 9, 200).astype(entries)
    indices = rng.integers(0, 200, shape).astype(stored)
    got = gather(table, indices)
    assert got.dtype == table.dtype
    np.testing.assert_array_equal(got, table[indices])
    pieces = [piece.copy() for piece in gathered(table, indices)]
    np.testing.assert_array_equal(np.concatenate([np.empty(0, table.dtype), *pieces]), got.ravel())


def test_a_view_that_is_not_contiguous_is_looked_up_alike():
    table, indices = np.arange(100, dtype=np.uint16)[::-1], np.arange(100, dtype=np.uint16).reshape(10, 10)[::2, ::3]
    np.testing.assert_array_equal(gather(table, indices), table[indices])
