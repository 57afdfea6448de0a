"""The images of a manifest, read in crash-isolated processes."""

from __future__ import annotations

import numpy as np
import pytest

from dicoms import pixels, radiograph, write
from isotone.data.images import SECONDS, map_images, progress, time_limit
from isotone.data.manifests.manifest import Row
from isotone.errors import RadiographError
from isotone.imaging.radiograph import Radiograph


def look(image: Radiograph) -> tuple[str | None, int]:
    return image.header.domain, int(image.stored.sum())


def row(path, domain=None) -> Row:
    return Row(path, domain, None, None, None)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_in_order_with_refusals_in_their_places(tmp_path, workers):
    good = [write(radiograph(pixels(seed=seed), seed=seed), tmp_path / f"{seed}.dcm") for seed in range(3)]
    (tmp_path / "bad.dcm").write_bytes(b"no image")
    paths = [good[0], tmp_path / "bad.dcm", good[1], tmp_path / "gone.dcm", good[2]]
    results = list(map_images([row(path) for path in paths], look, workers=workers, quiet=True))
    assert [r.path for r, _ in results] == paths
    codes = [result.code for _, result in results if isinstance(result, RadiographError)]
    assert codes == ["E_NOT_DICOM", "E_READ"]
    sums = [result[1] for _, result in results if isinstance(result, tuple)]
    assert sums == [int(pixels(seed=seed).sum(dtype=np.int64)) for seed in range(3)]


def test_the_manifest_s_domain_goes_before_the_header_s(tmp_path):
    path = write(radiograph(), tmp_path / "a.dcm")
    results = [result for _, result in map_images([row(path), row(path, "brand X")], look, workers=0, quiet=True)]
    assert [domain for domain, _ in results] == ["HOLOGIC, Inc. Selenia Dimensions", "brand X"]


def test_larger_files_have_more_time(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(10**6))
    assert time_limit(row(path)) > SECONDS == time_limit(row(tmp_path / "gone"))


def test_to_close_a_progress_ends_the_work_that_it_shows():
    ended = []

    def work():
        try:
            yield from range(3)
        finally:
            ended.append(True)

    items = work()  # somebody holds it, as a caller that was stopped does
    shown = progress(items, 3, label="work", quiet=True)
    next(shown)
    shown.close()
    assert ended
