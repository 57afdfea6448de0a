"""Decoded images on disk: the same as decoded anew, decoded once, and no more in memory than are looked at."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dicoms import radiograph, write
from isotone.data import cache as module
from isotone.data.cache import ArrayCache
from isotone.data.manifests.manifest import Row
from isotone.data.sample import Sample, load_samples
from isotone.errors import IsotoneError
from isotone.networks.prepare import Prepare
from make_images import write_png

PREPARE = Prepare(16)


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Two DICOM and three PNG files."""
    rows = []
    for i in range(5):
        path = tmp_path / "in" / (f"{i}.dcm" if i < 2 else f"{i}.png")
        path.parent.mkdir(exist_ok=True)
        if i < 2:
            write(radiograph(PatientID=f"Secret-{i}", StudyInstanceUID=f"1.2.3.{i}"), path)
        else:
            write_png(path, seed=i)
        rows.append(Row(path, None if i < 2 else "ref", "AB"[i % 2], f"p{i}", "train"))
    return rows


def load(rows: list[Row], cache: Path | None, prepare: Callable | None = PREPARE) -> list[Sample]:
    samples, refused = load_samples(rows, prepare, workers=0, quiet=True, cache=cache)
    assert not refused
    return samples


def test_samples_from_the_cache_are_those_decoded_anew(rows: list[Row], tmp_path: Path) -> None:
    load(rows, tmp_path / "cache")
    for ours, plain in zip(load(rows, tmp_path / "cache"), load(rows, None), strict=True):
        for name in ("pixels", "valid", "prepared"):
            a, b = getattr(ours, name), getattr(plain, name)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        for name in ("label", "patient", "domain", "split"):
            assert getattr(ours, name) == getattr(plain, name)
        assert ours.header == replace(plain.header, patient_id=None, study_uid=None, instance_uid=None)


def test_each_file_is_decoded_once_and_again_when_it_changes(
    rows: list[Row], tmp_path: Path, decoded: list[str]
) -> None:
    load(rows, tmp_path / "cache")
    assert decoded == [row.path.name for row in rows]
    decoded.clear()
    before = load(rows, tmp_path / "cache")
    assert not decoded
    write_png(rows[3].path, seed=77)
    after = load(rows, tmp_path / "cache")
    assert decoded == ["3.png"]
    differ = [not np.array_equal(a.prepared, b.prepared) for a, b in zip(before, after, strict=True)]
    assert differ == [False, False, False, True, False]


def test_a_moved_file_is_known_and_another_size_domain_or_polarity_is_not(
    rows: list[Row], tmp_path: Path, decoded: list[str]
) -> None:
    load(rows, tmp_path / "cache")
    decoded.clear()
    moved = rows[3].path.rename(tmp_path / "moved.png")
    rows[3] = replace(rows[3], path=moved, label="C", patient_id="other", split="val")
    (known,) = load(rows[3:4], tmp_path / "cache")
    assert not decoded
    assert (known.header.path, known.label, known.split, known.patient) == (moved, "C", "val", "other")
    load(rows[3:4], tmp_path / "cache", Prepare(8))
    load(rows[3:4], tmp_path / "cache", None)
    load([replace(rows[3], domain="src")], tmp_path / "cache")
    load([replace(rows[3], inverted=True)], tmp_path / "cache")
    assert decoded == ["moved.png"] * 4


def test_what_cannot_be_read_is_refused_each_time(rows: list[Row], tmp_path: Path) -> None:
    rows[0].path.write_bytes(b"no image")
    rows[4].path.unlink()
    for _ in range(2):
        samples, refused = load_samples(rows, PREPARE, workers=0, quiet=True, cache=tmp_path / "cache")
        assert len(samples) == 3
        assert [(error.file, error.code) for error in refused] == [
            (str(rows[0].path), "E_NOT_DICOM"),
            (str(rows[4].path), "E_READ"),
        ]


def test_no_identifier_is_in_the_cache(rows: list[Row], tmp_path: Path) -> None:
    load(rows, tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in (b"Secret-", b"1.2.3.", b"Doe", str(tmp_path).encode()) if secret in data]


@pytest.mark.parametrize("damage", ["cut", "empty", "zeros"])
def test_a_damaged_volume_is_decoded_again(rows: list[Row], tmp_path: Path, decoded: list[str], damage: str) -> None:
    whole = load(rows, tmp_path / "cache")
    kept = [s.prepared.copy() for s in whole]
    (volume,) = (tmp_path / "cache").rglob("*.safetensors")
    data = volume.read_bytes()
    volume.unlink()  # the mapped one stays as it is
    volume.write_bytes({"cut": data[:3000], "empty": b"", "zeros": bytes(len(data))}[damage])
    decoded.clear()
    for _ in range(2):
        again = load(rows, tmp_path / "cache")
        assert len(decoded) == 5
        for array, ours in zip(kept, again, strict=True):
            np.testing.assert_array_equal(array, ours.prepared)


def test_full_volumes_are_on_disk_before_the_end(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    """So an interruption costs the last volume alone."""
    monkeypatch.setattr(module, "VOLUME", 1)
    put = ArrayCache.put

    def stop(self: ArrayCache, *arguments: object) -> None:
        if len(decoded) == 4:
            raise KeyboardInterrupt
        put(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ArrayCache, "put", stop)
        with pytest.raises(KeyboardInterrupt):
            load(rows, tmp_path / "cache")
    decoded.clear()
    load(rows, tmp_path / "cache")
    assert decoded == ["3.png", "4.png"]


def test_a_full_disk_is_one_line(rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(IsotoneError) as caught:
        load(rows, tmp_path / "cache")
    assert caught.value.code == "E_WRITE"


ARRAYS = st.sampled_from([np.float32, np.uint16, np.bool_]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
)


@pytest.mark.slow
@given(st.dictionaries(st.text("0123456789abcdef", min_size=1), st.dictionaries(st.text("xyz", min_size=1), ARRAYS)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_is_put_comes_back(tmp_path_factory: pytest.TempPathFactory, entries: dict) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = ArrayCache(folder)
    for key, arrays in entries.items():
        cache.put(key, arrays, {"of": key})
    cache.flush()
    for found in (cache, ArrayCache(folder)):
        assert set(found) == set(entries)
        for key, arrays in entries.items():
            ours, notes = found[key]
            assert notes == {"of": key}
            assert ours.keys() == arrays.keys()
            for name, array in arrays.items():
                assert ours[name].dtype == array.dtype
                np.testing.assert_array_equal(ours[name], array)
                assert not ours[name].flags.writeable


BIGGER_THAN_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from isotone.data import cache
from isotone.data.cache import ArrayCache
from isotone.data.sample import Sample
from isotone.networks.training.train import TrainSettings, fit_classifier
cache.VOLUME = 2**23
kept = ArrayCache(Path(sys.argv[1]))
rng = np.random.default_rng(0)
none = np.zeros((1, 1), np.uint16), np.ones((1, 1), bool)
for i in range(90):  # 90 MB
    kept.put(f"{i:03}", {"prepared": (0.3 + 0.3 * (i % 2) + 0.1 * rng.random((512, 512), np.float32))}, {})
kept.flush()
data = [Sample(*none, kept[f"{i:03}"][0]["prepared"], label="ab"[i % 2]) for i in range(90)]
settings = TrainSettings.small(image_size=512, epochs=1, batch_size=8)
fit_classifier(data[:8], data[8:16], settings, quiet=True)  # what torch itself takes
def own():  # bytes that are not backed by a file
    return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1]) * 1024
before = own()
fit_classifier(data[:80], data[80:], settings, quiet=True)
print(own() - before)
"""


FREED_AT_ONCE = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "OMP_NUM_THREADS": "1",
}
"""Else what glibc keeps for later, tens of MB and never the same, would be counted as held."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_holds_no_more_than_a_few_batches_of_90_mb(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BIGGER_THAN_MEMORY, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | FREED_AT_ONCE,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 * 2**20
