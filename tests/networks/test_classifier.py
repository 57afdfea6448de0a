"""A classifier is a network with what it wants to see, and a folder that cannot be altered unnoticed."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isotone.errors import ModelError, UsageError
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.resize import to_square
from isotone.networks.backbones import build
from isotone.networks.classifier import Classifier
from isotone.networks.prepare import Prepare

SIZE = 16


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 5, 3, padding=1)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()).relu().mean((2, 3)))


@pytest.fixture
def mynet(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An importable module of a user's own."""
    module = ModuleType("mynet")
    module.build = lambda: TwoLayers()  # type: ignore[attr-defined]
    module.broken = lambda: 1 / 0  # type: ignore[attr-defined]
    module.number = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mynet", module)
    return module


def small() -> Classifier:
    torch.manual_seed(0)
    return Classifier.from_module(
        build("small", 3), backbone="small", classes="ABC", image_size=SIZE, channels=1, reference_domains=["Ref One"]
    )


def own(**changes: object) -> Classifier:
    torch.manual_seed(0)
    facts = {"classes": ["no", "yes"], "image_size": SIZE, "backbone": "mynet:build"} | changes
    return Classifier.from_module(TwoLayers(), **facts)  # type: ignore[arg-type]


def grey(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).random((n, SIZE, SIZE)).astype(np.float32)


def test_what_is_saved_is_loaded_with_the_same_scores(tmp_path: Path) -> None:
    classifier = small()
    classifier.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c")
    np.testing.assert_array_equal(loaded.predict(grey()), classifier.predict(grey()))
    assert loaded.config == classifier.config
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["config.json", "model.safetensors"]


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    small().save(tmp_path / "a")
    small().save(tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_users_own_network_comes_back_through_its_module_and_function(tmp_path: Path, mynet: ModuleType) -> None:
    classifier = own(mean=[0.1, 0.2, 0.3], std=0.5, inverted=True)
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path, allow_code="mynet:build")
    assert isinstance(loaded.module, TwoLayers)
    np.testing.assert_array_equal(loaded.predict(grey()), classifier.predict(grey()))


def test_the_config_states_resize_channels_scaling_polarity_and_classes(tmp_path: Path, mynet: ModuleType) -> None:
    own(mean=[0.1, 0.2, 0.3], std=0.5, inverted=True).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    wanted = {"schema": 1, "image_size": SIZE, "channels": 3, "mean": [0.1, 0.2, 0.3], "std": [0.5] * 3}
    assert config.items() >= (wanted | {"inverted": True, "classes": ["no", "yes"], "backbone": "mynet:build"}).items()


def test_logits_are_the_networks_on_the_repeated_inverted_and_scaled_image() -> None:
    classifier = own(mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7], inverted=True)
    x = torch.from_numpy(grey())[:, None]
    scaled = torch.cat([(1 - x - m) / s for m, s in zip((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), strict=True)], 1)
    torch.testing.assert_close(classifier.logits(x), classifier.module(scaled))


def test_gradients_reach_the_image_and_not_the_frozen_weights() -> None:
    classifier = small()
    x = torch.from_numpy(grey())[:, None].requires_grad_()
    classifier.logits(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not classifier.module.training
    assert all(p.grad is None and not p.requires_grad for p in classifier.module.parameters())


def test_scores_are_probabilities_whatever_the_batch_size() -> None:
    classifier = small()
    one, many = classifier.predict(grey(), batch_size=1), classifier.predict(grey(), batch_size=64)
    assert one.dtype == np.float64
    np.testing.assert_allclose(one.sum(1), 1)
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_features_are_what_enters_the_last_linear_layer() -> None:
    classifier = own()
    features = classifier.embed(grey(), batch_size=2)
    logits = classifier.logits(torch.from_numpy(grey())[:, None])
    got = features @ classifier.module.last.weight.numpy().T + classifier.module.last.bias.numpy()
    np.testing.assert_allclose(got, logits.numpy(), atol=1e-5)


def test_one_pass_gives_scores_and_features() -> None:
    classifier, passes = own(), []
    classifier.module.register_forward_hook(lambda *_: passes.append(1))
    scores, features = classifier.predict_and_embed(grey(), batch_size=2)
    assert len(passes) == -(-len(grey()) // 2)
    np.testing.assert_array_equal(scores, classifier.predict(grey(), batch_size=2))
    np.testing.assert_array_equal(features, classifier.embed(grey(), batch_size=2))


def test_the_first_stage_is_the_second_convolution_or_the_layer_named() -> None:
    x = torch.from_numpy(grey())[:, None]
    first = own().module.first(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(own(first_stage="first").stage(x), first)
    torch.testing.assert_close(own().stage(x), own().module.second(first.relu()))
    with pytest.raises(ModelError, match="third"):
        own(first_stage="third").stage(x)


def test_preparation_is_the_antialiased_resize() -> None:
    radiograph = Radiograph.from_array(np.random.default_rng(0).random((40, 30)))
    np.testing.assert_array_equal(small().prepare(radiograph), to_square(radiograph.pixels, SIZE))
    assert small().prepare == Prepare(SIZE)


def test_preparation_needs_no_torch() -> None:
    code = "import sys, isotone.networks.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_network_without_a_name_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="module:function"):
        own(backbone="").save(tmp_path)


@pytest.mark.parametrize("wrong", [{"mean": [0.1]}, {"std": 0.0}, {"std": float("nan")}, {"classes": ["a", "a"]}])
def test_a_description_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        own(**wrong)


def test_a_network_of_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ModelError, match="Name 2 classes"):
        own(classes=["a", "b", "c"])


def test_scores_that_are_not_finite_are_refused() -> None:
    classifier = own()
    with torch.no_grad():
        classifier.module.last.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="finite"):
        classifier.predict(grey())


def _flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def _edit(**changes: object):
    def damage(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return damage


def _replace(folder: Path, old: str, new: str) -> None:
    text = (folder / "config.json").read_text()
    assert old in text
    (folder / "config.json").write_text(text.replace(old, new))


def _without(folder: Path, name: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config[name]
    (folder / "config.json").write_text(json.dumps(config))


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "altered weights": _flip_a_byte,
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "not JSON": lambda folder: (folder / "config.json").write_bytes(b"\x80\x04."),
    "a harmonizer's config": lambda folder: (folder / "config.json").write_text('{"method": "scanner"}'),
    "a later schema": _edit(schema=2),
    "a field nobody knows": _edit(extra=1),
    "a scale that is no number": _edit(std=[float("nan")]),
    "a scale beyond float32": _edit(mean=[1e300]),
    "a number beyond float64": lambda folder: _replace(folder, '"image_size": 16', '"image_size": 1e999'),
    "an integer of 5,000 digits": lambda folder: _replace(folder, '"image_size": 16', f'"image_size": {"9" * 5000}'),
    "a text in the place of a list": _edit(classes="ABC"),
    "a list in the place of a text": _edit(backbone=["small"]),
    "a list in the place of the whole": lambda folder: (folder / "config.json").write_text("[]"),
    "lists in lists in lists": lambda folder: (folder / "config.json").write_text("[" * 100_000),
    "no backbone": lambda folder: _without(folder, "backbone"),
    "no classes": lambda folder: _without(folder, "classes"),
    "no checksum": lambda folder: _without(folder, "sha256"),
    "letters that move the cursor": _edit(backbone="small\x1b[2J"),
    "a folder in the place of the config": lambda folder: _as_folder(folder / "config.json"),
    "a pipe in the place of the config": lambda folder: _as_pipe(folder / "config.json"),
    "a pipe in the place of the weights": lambda folder: _as_pipe(folder / "model.safetensors"),
    "a record that is no record": lambda folder: (folder / "trained_on.json").write_text("{}"),
    "a record of a later schema": lambda folder: (folder / "trained_on.json").write_text('{"schema": 2}'),
    "a pipe in the place of the record": lambda folder: os.mkfifo(folder / "trained_on.json"),
    "other classes": _edit(classes=["A", "B"]),
    "another network": _edit(backbone="resnet50", channels=3, mean=[0, 0, 0], std=[1, 1, 1]),
    "an unknown network": _edit(backbone="mynet"),
    "the standard library": _edit(backbone="os:getcwd"),
    "a module that is not there": _edit(backbone="no_such_module:build"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_or_foreign_folder_is_refused_with_one_line(tmp_path: Path, damage: object) -> None:
    small().save(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(ModelError) as caught:
        Classifier.load(tmp_path, allow_code=["os:getcwd", "no_such_module:build"])
    assert caught.value.code == "E_MODEL"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mynet:broken", "mynet:number", "mynet:absent", "mynet:build.x"])
def test_a_users_function_that_builds_no_network_is_refused(tmp_path: Path, mynet: ModuleType, name: str) -> None:
    own().save(tmp_path)
    _edit(backbone=name)(tmp_path)
    with pytest.raises(ModelError, match="mynet"):
        Classifier.load(tmp_path, allow_code=name)


def test_code_that_a_folder_names_runs_only_where_the_user_names_it(tmp_path: Path, mynet: ModuleType) -> None:
    ran = []
    mynet.build = lambda: ran.append(1) or TwoLayers()  # type: ignore[attr-defined]
    own().save(tmp_path)
    for allowed in ((), "mynet", "mynet:other", ["other:build"]):
        with pytest.raises(ModelError, match='allow_code="mynet:build"'):
            Classifier.load(tmp_path, allow_code=allowed)
    assert not ran
    Classifier.load(tmp_path, allow_code=["mynet:build"])
    assert ran


def test_a_folder_without_leave_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    own(backbone="trap:build").save(tmp_path / "c")
    with pytest.raises(ModelError, match="trap:build"):
        Classifier.load(tmp_path / "c")


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.onnx", "net.safetensors"])
def test_a_file_of_weights_leads_to_the_recipe(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(ModelError, match="Bring your own classifier"):
        Classifier.load(tmp_path / name)
    with pytest.raises(ModelError, match="Bring your own classifier"):
        Classifier.load(tmp_path)  # nor does a folder that holds one make a classifier


def test_weights_that_are_not_finite_are_refused_even_with_the_right_checksum(tmp_path: Path) -> None:
    classifier = small()
    with torch.no_grad():
        classifier.module.head[1].weight[0, 0] = float("inf")
    classifier.save(tmp_path)
    with pytest.raises(ModelError, match="finite"):
        Classifier.load(tmp_path)


def test_a_pickle_in_the_place_of_the_weights_is_not_opened(tmp_path: Path) -> None:
    small().save(tmp_path)
    torch.save(small().module.state_dict(), tmp_path / "model.safetensors")
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    _edit(sha256=digest)(tmp_path)
    with pytest.raises(ModelError, match="safetensors"):
        Classifier.load(tmp_path)
