"""A network is asked once about an input, whatever evaluation the input is part of."""

import os
from pathlib import Path

import numpy as np
import pytest

from discs import Brightness
from isotone._runtime.disk_cache import PART, DiskCache
from isotone._runtime.run_options import RunOptions
from isotone.errors import ModelError
from isotone.evaluation.kept_scores import BATCH, KeptScores
from isotone.evaluation.predict import observe


class Counting(Brightness):
    """Notes how many inputs it is asked about."""

    digest: str | None = "b7"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: list[int] = []

    def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
        self.asked.append(len(prepared))
        return super().predict(prepared, batch_size)


INPUTS = list(np.random.default_rng(0).integers(0, 65536, (6, 16, 16)).astype(np.uint16))


def ask(network: Brightness, cache: DiskCache | None, n: int = 6, wanted: bool = False) -> list[tuple]:
    return KeptScores(cache).ask(network, INPUTS[:n], [wanted] * n)


def test_a_later_evaluation_asks_about_new_inputs_alone(tmp_path: Path) -> None:
    network, cache = Counting(), DiskCache(tmp_path)
    plain = ask(Brightness(), None)
    assert len(ask(network, cache, 4)) == 4
    for _ in range(2):
        for ours, theirs in zip(ask(network, cache), plain, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
    assert network.asked == [BATCH] * 2


def test_features_are_asked_for_where_only_scores_were_kept(tmp_path: Path) -> None:
    network, cache = Counting(), DiskCache(tmp_path)
    ask(network, cache)
    for _ in range(2):
        assert [len(known) for known in ask(network, cache, wanted=True)] == [2] * 6
    assert network.asked == [BATCH] * 2


def test_another_network_is_asked_and_one_without_digest_each_time(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    ask(Counting(), cache)
    for digest, times in (("b8", 1), (None, 2)):
        other = Counting()
        other.digest = digest
        for _ in range(2):
            ask(other, cache)
        assert other.asked == [BATCH] * times


def test_an_evaluation_keeps_the_cache_within_its_bounds(tmp_path: Path) -> None:
    old = tmp_path / "00" / f"{PART}left"
    old.parent.mkdir()
    old.touch()
    os.utime(old, (0, 0))
    observe([], {}, Brightness(), run=RunOptions(workers=0, quiet=True, cache=tmp_path))
    assert not old.exists()


def test_scores_that_are_no_numbers_are_refused_each_time(tmp_path: Path) -> None:
    class Broken(Counting):
        def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
            return super().predict(prepared, batch_size) * np.nan

    for _ in range(2):
        with pytest.raises(ModelError, match="finite"):
            ask(Broken(), DiskCache(tmp_path))


def test_what_was_kept_before_changes_no_bit_of_a_score(tmp_path: Path) -> None:
    class Rounding(Counting):
        """Rounds by how many inputs it gets, as the libraries under a network do."""

        def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
            return super().predict(prepared, batch_size) + 1e-9 * len(prepared)

    cache = DiskCache(tmp_path)
    ask(Rounding(), cache, 5)
    for kept, plain in zip(ask(Rounding(), cache), ask(Rounding(), None), strict=True):
        np.testing.assert_array_equal(kept[0], plain[0])
