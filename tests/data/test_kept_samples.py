"""What the cache knows of images: by their content alone, nothing of a patient, and the same as worked out anew."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dicoms import radiograph, write
from isotone._runtime import disk_cache
from isotone._runtime.disk_cache import DiskCache, digest
from isotone.data import file_digest, sample
from isotone.data.descriptors.image_set import ImageSet
from isotone.data.kept_samples import kept_samples
from isotone.data.known import pack, unpack
from isotone.data.manifests.manifest import Row
from isotone.data.sample import TakeSample, load_samples, parted
from isotone.errors import RadiographError
from isotone.monitoring.header_novelty import seen_in
from isotone.networks.prepare import Prepare
from make_images import write_png

TAKE = TakeSample(Prepare(16), identify=True)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Two DICOM files, two PNG files; all changed long enough ago."""
    monkeypatch.setattr(file_digest, "SETTLED", -60)
    rows = []
    for i in range(4):
        path = tmp_path / "in" / f"Doe-{i}.{'dcm' if i < 2 else 'png'}"
        path.parent.mkdir(exist_ok=True)
        if i < 2:
            write(radiograph(PatientID=f"Secret-{i}", SoftwareVersions="Free Text", StationName="Ward 7"), path)
        else:
            write_png(path, seed=i)
        rows.append(Row(path, None if i < 2 else "ref", "AB"[i % 2], f"Patient-{i}", "train"))
    return rows


def load(rows: list[Row], folder: Path, take: TakeSample = TAKE) -> ImageSet:
    """The samples, with all that is known of them written down."""
    samples, refused = parted(kept_samples(rows, take, DiskCache(folder / "cache"), workers=0, quiet=True))
    assert not refused
    found = ImageSet(samples)
    found.looks_with(True), found.descriptors_with(False)
    for s in found:
        s.known.keep(DiskCache(folder / "cache"))
    return found


def test_what_is_known_of_an_image_is_what_is_worked_out_anew(
    rows: list[Row], tmp_path: Path, decoded: list[str]
) -> None:
    load(rows, tmp_path)
    decoded.clear()
    kept = load(rows, tmp_path)
    assert not decoded
    plain = ImageSet(load_samples(rows, TAKE.prepare, workers=0, identify=True)[0])
    np.testing.assert_array_equal(kept.looks_with(True), plain.looks_with(True))
    for name in ("structure", "quantiles", "air", "labels", "patients"):
        np.testing.assert_array_equal(
            getattr(kept.descriptors_with(False), name), getattr(plain.descriptors_with(False), name)
        )
    for ours, theirs in zip(kept, plain, strict=True):
        for name in ("label", "patient", "domain", "split", "identity"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert seen_in([ours.header]) == seen_in([theirs.header])


def test_pixels_that_somebody_asks_for_are_read_once(rows: list[Row], tmp_path: Path, decoded: list[str]) -> None:
    load(rows, tmp_path)
    decoded.clear()
    kept = load(rows, tmp_path)
    plain = load_samples(rows, TAKE.prepare, workers=0)[0]
    decoded.clear()
    for ours, theirs in zip(kept, plain, strict=True):
        for name in ("pixels", "valid", "prepared"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert sorted(decoded) == sorted(row.path.name for row in rows)


def test_a_file_that_changed_between_is_refused_where_its_pixels_are_asked_for(rows: list[Row], tmp_path: Path) -> None:
    load(rows, tmp_path)
    kept = load(rows, tmp_path)
    write_png(rows[3].path, seed=77)
    with pytest.raises(RadiographError, match="changed"):
        kept[0].pixels  # noqa: B018


def other(data: bytes) -> bytes:
    """As many bytes, another last pixel."""
    return data[:-1] + bytes([data[-1] ^ 1])


def edited(path: Path) -> None:
    path.write_bytes(other(path.read_bytes()))


def edited_with_the_old_date(path: Path) -> None:
    before = path.stat()
    edited(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_with_the_old_date(path: Path) -> None:
    new, before = path.with_name("new"), path.stat()
    new.write_bytes(other(path.read_bytes()))
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize("change", [edited, edited_with_the_old_date, replaced_with_the_old_date])
def test_an_edited_file_is_another_image(
    rows: list[Row], tmp_path: Path, decoded: list[str], change: Callable[[Path], None]
) -> None:
    before = load(rows, tmp_path)
    change(rows[1].path)
    decoded.clear()
    after = load(rows, tmp_path)
    assert decoded == [rows[1].path.name]
    assert before[1].known.key != after[1].known.key


def test_a_file_that_has_just_changed_is_read_again_to_be_known(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    """Two writes within one tick of the clock leave the same times."""
    monkeypatch.setattr(file_digest, "SETTLED", 3600)
    digests = []
    monkeypatch.setattr(sample, "content_digest", lambda row: digests.append(row) or file_digest.content_digest(row))
    load(rows, tmp_path)
    load(rows, tmp_path)
    assert len(digests) == 8
    assert len(decoded) == 4


def test_a_file_put_in_the_place_of_another_while_that_is_read_is_not_taken_for_it(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is turned from one folder to another changes no date of either."""
    link, folders = tmp_path / "link", [tmp_path / "old", tmp_path / "new"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        write_png(folder / "a.png", seed=seed)
    link.symlink_to(folders[0])

    def turned(row: Row) -> str:
        found = file_digest.content_digest(row)
        link.unlink()
        link.symlink_to(folders[1])
        return found

    inputs = [replace(rows[3], path=folder / "a.png") for folder in (link, folders[0])]
    with monkeypatch.context() as patch:
        patch.setattr(sample, "content_digest", turned)
        load(inputs[:1], tmp_path)
    for row in inputs:
        kept, plain = load([row], tmp_path), ImageSet(load_samples([row], TAKE.prepare, workers=0)[0])
        np.testing.assert_array_equal(kept.looks_with(True), plain.looks_with(True))


def test_what_another_process_deletes_meanwhile_is_read(rows: list[Row], tmp_path: Path) -> None:
    class Vanishing(DiskCache):
        def get(self, key: str) -> bytes | None:
            found = super().get(key)
            self._path(key).unlink(missing_ok=True)
            return found

    whole = load(rows, tmp_path)
    copies = [replace(row, path=row.path.with_stem(f"copy-{n}")) for n, row in enumerate(rows)]
    for row, copy in zip(rows, copies, strict=True):
        copy.path.write_bytes(row.path.read_bytes())
    found, refused = parted(kept_samples(copies, TAKE, Vanishing(tmp_path / "cache"), workers=0, quiet=True))
    assert not refused
    np.testing.assert_array_equal(ImageSet(found).looks_with(True), whole.looks_with(True))


def test_a_copied_file_is_known_and_another_domain_polarity_or_code_is_not(
    rows: list[Row], tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(rows, tmp_path)
    decoded.clear()
    copied = tmp_path / "copied.png"
    copied.write_bytes(rows[3].path.read_bytes())
    row = replace(rows[3], path=copied, label="C", patient_id="other")
    assert load([row], tmp_path)[0].label == "C"
    assert not decoded
    load([replace(row, domain="src")], tmp_path)
    load([replace(row, inverted=True)], tmp_path)
    monkeypatch.setattr(disk_cache, "build", lambda: "another version")
    load([row], tmp_path)
    assert decoded == ["copied.png"] * 3


def test_no_identifier_and_no_pixel_is_in_the_cache(rows: list[Row], tmp_path: Path) -> None:
    found = load(rows, tmp_path)
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            data = path.read_bytes()[disk_cache.SUM :]
            text = repr(unpack(data)).encode() if len(data) > 64 else data
            assert not [
                s for s in (b"Secret", b"Patient", b"Doe", b"Free", b"Ward", bytes(tmp_path)) if s in data + text
            ]
    for known in found:
        for group in known.known.arrays.values():
            assert all(array.dtype == bool or array.size < known.pixels.size // 2 for array in group)


@pytest.mark.parametrize("damage", ["cut", "empty", "zeros", "gone"])
def test_a_damaged_entry_is_worked_out_again(rows: list[Row], tmp_path: Path, decoded: list[str], damage: str) -> None:
    whole = load(rows, tmp_path)
    for path in (tmp_path / "cache").glob("??/*"):
        data = path.read_bytes()
        path.unlink()
        if damage != "gone":
            path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "zeros": bytes(len(data))}[damage])
    decoded.clear()
    np.testing.assert_array_equal(load(rows, tmp_path).looks_with(True), whole.looks_with(True))
    assert len(decoded) == 4


def test_a_cache_that_cannot_be_written_is_no_obstacle(rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load(rows, tmp_path)) == 4


def test_a_user_without_a_home_has_the_named_cache_or_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ISOTONE_CACHE", raising=False)
    assert disk_cache.user_folder() is None
    monkeypatch.setenv("ISOTONE_CACHE", str(tmp_path))
    assert disk_cache.user_folder() == tmp_path


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit=8 * disk_cache.BLOCK)  # small files take whole blocks
    for i in range(10):
        cache.put(digest(i), bytes(120))
        os.utime(tmp_path / digest(i)[:2] / digest(i), (i, i))
    cache.get(digest(0))  # used now
    cache.trim()
    left = [i for i in range(10) if cache.get(digest(i))]
    assert left == [0, 5, 6, 7, 8, 9]
    cache.trim()
    assert [i for i in range(10) if cache.get(digest(i))] == left


NUMBERS = st.sampled_from([np.float64, np.float32, np.uint16, np.int64, np.bool_]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9))
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), st.lists(NUMBERS).map(tuple)), st.dictionaries(st.text(), st.text()))
@settings(max_examples=50)
def test_what_is_packed_comes_back(arrays: dict, notes: dict) -> None:
    found, told = unpack(pack(arrays, notes))
    assert told == notes
    assert found.keys() == arrays.keys()
    for name, group in arrays.items():
        assert len(group) == len(found[name])
        for ours, theirs in zip(found[name], group, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
