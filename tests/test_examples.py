"""The examples in the docstrings of the public names run, on a small phantom cohort, as the reference shows them."""

from __future__ import annotations

import doctest
import importlib
import shutil
import warnings
from pathlib import Path

import pytest

import isotone

PUBLIC = [name for name in isotone.__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples find in their working directory: docs/api.md names it."""
    made = tmp_path_factory.mktemp("examples")
    manifest = isotone.make_phantom(made / "phantom", patients=72, size=64, workers=0, quiet=True)
    harmonizer = isotone.ToneCurveHarmonizer("Alder Mammo One", "Birch Mammo Two").fit(manifest, quiet=True)
    harmonizer.save(made / "harmonizer")
    settings = isotone.TrainSettings.small(image_size=32, epochs=1)
    classifier = isotone.train_classifier(
        manifest, ["Alder Mammo One"], settings, folder=made / "classifier", quiet=True
    )
    isotone.evaluate(manifest, classifier, harmonizers={"scanner": harmonizer}, output=made / "evaluation", quiet=True)
    shutil.copytree(made / "evaluation", made / "evaluation-again")
    return made


def example_of(name: str) -> doctest.DocTest:
    home = importlib.import_module(getattr(isotone, name).__module__)
    finder = doctest.DocTestFinder(recurse=False, exclude_empty=False)
    (found,) = finder.find(getattr(isotone, name), name, module=home)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example_that_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = example_of(name)
    assert test.examples
    assert not any(doctest.SKIP in example.options for example in test.examples)
    monkeypatch.chdir(folder)
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not failed, "".join(said)
