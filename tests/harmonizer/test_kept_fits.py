"""A fit with the cache is bit for bit the fit without it, and looks for the regions of each image once."""

from collections import Counter
from copy import copy
from pathlib import Path

import pandas as pd
import pytest

from discs import Brightness
from isotone.data.descriptors import image_set
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import TakeSample
from isotone.data.trained_on import TrainingRecord
from isotone.harmonizer import pipeline
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from make_images import write_cohort


class OfDigest(Brightness):
    """A classifier that is known by its digest."""

    digest = "b7"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.read(write_cohort(tmp_path_factory.mktemp("cohort"), responses={"ref": 1.0, "src": 2.0}))


def fitted(manifest: Manifest, cache: Path | None, classifier: object = None, **how: object) -> str:
    harmonizer = ToneCurveHarmonizer("ref", "src", **how.pop("init", {}))  # type: ignore[arg-type]
    return harmonizer.fit(manifest, classifier, workers=0, cache=cache, **how).digest  # type: ignore[arg-type]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often images were decoded and looked at for regions, and scanners fitted."""
    found: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        plain = getattr(owner, name)

        def counting(*given: object, **more: object) -> object:
            found[name] += 1
            return plain(*given, **more)

        monkeypatch.setattr(owner, name, counting)

    count(TakeSample, "__call__")
    count(image_set, "regions")
    count(pipeline, "fit_source")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("classifier", [None, OfDigest(("dark", "bright"))])
def test_a_second_fit_decodes_nothing_and_is_the_same(
    manifest: Manifest, tmp_path: Path, counts: Counter[str], classifier: object
) -> None:
    plain = fitted(manifest, None, classifier)
    read = counts["__call__"]
    assert counts == {"__call__": read, "regions": read, "fit_source": 1}
    for _ in range(2):
        counts.clear()
        assert fitted(manifest, tmp_path, classifier) == plain
    assert not counts


@pytest.mark.slow
def test_with_other_settings_or_images_what_is_known_of_each_image_is_used(
    manifest: Manifest, tmp_path: Path, counts: Counter[str]
) -> None:
    fitted(manifest, tmp_path)
    less = Manifest(manifest.table.iloc[:-4].assign(label=pd.NA))
    others = {"labels": "none", "seed": 1, "init": {"settings": {"num_iterations": 4}}}
    for rows, how in ((less, {}), (manifest, others)):
        counts.clear()
        found = fitted(rows, tmp_path, **copy(how))
        assert counts == {"fit_source": 1}
        assert found == fitted(rows, None, **copy(how))


def test_a_record_of_the_training_that_was_added_is_known(manifest: Manifest, tmp_path: Path) -> None:
    classifier = OfDigest(("dark", "bright"))
    without = fitted(manifest, tmp_path, classifier)
    classifier.trained_on = TrainingRecord.new()  # type: ignore[attr-defined]
    found = fitted(manifest, tmp_path, classifier)
    assert found == fitted(manifest, None, classifier) != without


def test_another_classifier_or_one_without_a_digest_is_asked(
    manifest: Manifest, tmp_path: Path, counts: Counter[str]
) -> None:
    asked = OfDigest(("dark", "bright"))
    fitted(manifest, tmp_path, asked)
    for other in (OfDigest(("dark", "bright")), Brightness(("dark", "bright"))):
        other.digest = None if type(other) is Brightness else "b8"  # type: ignore[misc, assignment, attr-defined]
        counts.clear()
        fitted(manifest, tmp_path, other)
        assert counts["fit_source"] == 1
