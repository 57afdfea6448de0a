"""Folders of the Hugging Face Hub, without a connection."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from harmonizers import CURVE, NARROW, change, scanner_harmonizer
from isotone.errors import IsotoneError, ModelError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import ScannerMapper
from isotone.interop.hub import from_pretrained, push_to_hub, save_pretrained

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def harmonizer() -> ToneCurveHarmonizer:
    made = scanner_harmonizer("Birch | Two", "Cedar")
    change(made, "Cedar", mapper=ScannerMapper(NARROW))
    return made


def test_the_folder_is_a_harmonizer_with_a_model_card(tmp_path: Path) -> None:
    made = harmonizer()
    save_pretrained(made, tmp_path)
    assert from_pretrained(tmp_path).digest == ToneCurveHarmonizer.load(tmp_path).digest == made.digest
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    head = dict(line.split(": ", 1) for line in card.split("---\n")[1].splitlines())
    assert json.loads(head["library_name"]) == "isotone"
    assert "isotone" in json.loads(head["tags"])
    for said in (made.digest, "## Birch | Two", "not for diagnostic reading", f"{CURVE.coefficients[0]:+.6f}"):
        assert said in card


def test_the_front_matter_is_what_the_hub_reads(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    save_pretrained(harmonizer(), tmp_path)
    card = hub.ModelCard.load(tmp_path / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("isotone", "image-to-image")


def test_a_classifier_goes_along_without_the_record_of_its_patients(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from isotone.data.trained_on import FILE, TrainingRecord
    from isotone.networks.classifier import Classifier
    from isotone.networks.small import SmallNet

    classifier = Classifier.from_module(
        SmallNet(2, 0.0), classes=["a", "b"], image_size=32, channels=1, backbone="small"
    )
    classifier.trained_on = TrainingRecord.new()
    save_pretrained(harmonizer(), tmp_path, classifier)
    assert Classifier.load(tmp_path / "classifier").config.classes == ("a", "b")
    assert not list(tmp_path.rglob(FILE))
    assert classifier.trained_on is not None
    assert "## Classifier" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_it_is_loaded_from_the_cache_of_the_hub_at_a_commit(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    repository = tmp_path / "models--me--curve"
    save_pretrained(harmonizer(), repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for revision in (None, COMMIT):
        found = from_pretrained("me/curve", revision=revision, cache_dir=tmp_path, local_files_only=True)
        assert found.digest == harmonizer().digest


def test_what_is_pushed_is_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    calls = {}

    def create_repo(self: object, repo_id: str, **settings: object) -> None:
        calls["created"] = (repo_id, settings)

    def upload_folder(self: object, *, folder_path: str, **settings: object) -> SimpleNamespace:
        shutil.copytree(folder_path, tmp_path / "hub")
        calls["uploaded"] = settings
        return SimpleNamespace(commit_url="https://hub/commit")

    monkeypatch.setattr(hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(hub.HfApi, "upload_folder", upload_folder)
    assert push_to_hub(harmonizer(), "me/curve") == "https://hub/commit"
    assert calls["created"] == ("me/curve", {"private": True, "exist_ok": True})
    assert from_pretrained(tmp_path / "hub").digest == harmonizer().digest


def test_nothing_there_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    for name in ("me/nothing", "no such/repo/name", str(tmp_path / "nowhere")):
        with pytest.raises(IsotoneError) as refused:
            from_pretrained(name, cache_dir=tmp_path, local_files_only=True)
        assert refused.value.code == "E_READ"
    with pytest.raises(ModelError, match="holds no harmonizer"):
        from_pretrained(tmp_path)
