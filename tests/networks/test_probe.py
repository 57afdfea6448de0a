"""A network that cannot serve as a classifier is refused in one line that says what to change."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isotone.errors import ModelError
from isotone.networks.classifier import Classifier

SIZE = 16
GREY = np.random.default_rng(1).random((5, SIZE, SIZE)).astype(np.float32)


class Net(nn.Module):
    """Two convolutions, then `change` of what a linear layer makes of their mean."""

    def __init__(self, change: Callable[[Tensor], object] = lambda x: x, outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2)
        self.second = nn.Conv2d(8, 8, 3)
        self.last = nn.Linear(8, outputs)
        self.change = change

    def forward(self, x: Tensor) -> object:
        return self.change(self.last(self.body(x)))

    def body(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu()).relu().mean((2, 3))


class Dropping(Net):
    def forward(self, x: Tensor) -> object:
        return self.last(F.dropout(self.body(x)))  # training=True is what it does where nothing is said


class Retraining(Net):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout()

    def forward(self, x: Tensor) -> object:
        self.drop.train()
        return self.last(self.drop(self.body(x)))


class Noisy(Net):
    def forward(self, x: Tensor) -> object:
        return super().forward(x + 0.1 * torch.randn_like(x))


class Counting(Net):
    calls = 0

    def forward(self, x: Tensor) -> object:
        self.calls += 1
        return self.calls * super().forward(x)  # type: ignore[operator]


class BatchStatistics(Net):
    def forward(self, x: Tensor) -> object:
        features = self.body(x)
        return self.last(F.batch_norm(features, None, None, training=True))


class NoRunningStatistics(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x: Tensor) -> object:
        return super().forward(self.norm(x))


class Centred(Net):
    def forward(self, x: Tensor) -> object:
        return super().forward(x - x.mean(0))


class OneChannel(Net):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3)


class OfSize(Net):
    def forward(self, x: Tensor) -> object:
        assert x.shape[2] == 224, "expected 224"
        return super().forward(x)


class OnCuda(Net):
    def forward(self, x: Tensor) -> object:
        return super().forward(x.to("cuda") if torch.cuda.is_available() else x.cuda())


class OnMeta(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = [torch.ones(3, 1, 1, device="meta")]  # no parameter, so that it stays where it is

    def forward(self, x: Tensor) -> object:
        return super().forward(x * self.scale[0])


class WithoutChannels(Net):
    def forward(self, x: Tensor) -> object:
        _n, _height, _width = x.shape
        return self.last(x.mean((1, 2)))


class TwoInputs(Net):
    def forward(self, x: Tensor, age: Tensor) -> object:
        return super().forward(x)


def halves() -> nn.Module:
    return Net().half()


FLAT = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "functional dropout": (Dropping, "dropout"),
    "a layer that is set to training in forward": (Retraining, "drop is set to training"),
    "added noise": (Noisy, "random"),
    "dropout of one logit in a thousand": (lambda: Net(lambda x: F.dropout(x, 0.001)), "dropout"),
    "a counter of calls": (lambda: Counting(), "that changes"),
    "logits sorted over the batch": (lambda: Net(lambda x: x.sort(0, descending=True).values), "others of its batch"),
    "functional batch statistics": (BatchStatistics, "batch"),
    "normalization without running statistics": (NoRunningStatistics, r"batch statistics.*\(norm\)"),
    "the mean of the batch taken off": (Centred, "others of its batch"),
    "a tuple": (lambda: Net(lambda x: (x, x)), "returns tuple"),
    "a list": (lambda: Net(lambda x: [x]), "returns list"),
    "a dict": (lambda: Net(lambda x: {"logits": x}), "returns dict"),
    "nothing": (lambda: Net(lambda x: None), "returns NoneType"),
    "an array": (lambda: Net(lambda x: x.numpy()), "returns ndarray"),
    "a sparse tensor": (lambda: Net(lambda x: x.to_sparse()), "sparse"),
    "a tensor elsewhere": (lambda: Net(lambda x: x.to("meta")), "on meta"),
    "an exit": (lambda: Net(lambda x: sys.exit("enough")), "SystemExit: enough"),
    "no network": (lambda: {"weights": torch.zeros(1)}, "a dict, not a torch.nn.Module"),  # type: ignore[dict-item]
    "lazy layers": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), "lazy"),
    "a class number": (lambda: Net(lambda x: x.argmax(1)), "int64"),
    "half precision": (halves, r"float16.*\.float\(\)"),
    "double precision": (lambda: Net().double(), r"float64.*\.float\(\)"),
    "a .cuda() inside": (OnCuda, r"\.cuda\(\)"),
    "a tensor on another device": (OnMeta, "E_MODEL"),
    "another size": (OfSize, "expected 224.*image_size"),
    "one channel": (OneChannel, "channels is 3"),
    "no channel dimension": (WithoutChannels, r"\(3, 3, 16, 16\)"),
    "another input beside the image": (TwoInputs, "age"),
    "more classes": (lambda: Net(outputs=5), "Name 5 classes"),
    "logits per pixel": (lambda: Net(lambda x: x[:, :, None, None]), "shape"),
    "NaN": (lambda: Net(lambda x: x / 0 * 0), "not finite"),
    "softmax at the end": (lambda: Net(lambda x: x.softmax(1)), 'output="probabilities"'),
    "sigmoid at the end": (lambda: nn.Sequential(Net(), nn.Sigmoid()), "sigmoid off"),
    "one sigmoid at the end": (lambda: nn.Sequential(Net(outputs=1), nn.Sigmoid()), 'output="probabilities"'),
    "a function's sigmoids at the end": (lambda: Net(torch.sigmoid), "sigmoid off"),
    "a function's sigmoid, reshaped": (
        lambda: Net(lambda x: x.sigmoid().view(-1).clone(), 1),
        'output="probabilities"',
    ),
    "a sigmoid in TorchScript": (lambda: torch.jit.script(nn.Sequential(*FLAT, nn.Sigmoid())), "sigmoid off"),
    "sigmoids of two heads": (lambda: Net(lambda x: torch.cat([F.sigmoid(x[:, :1]), x[:, 1:].sigmoid_()], 1)), "sigm"),
    "one column of a softmax": (lambda: Net(lambda x: x.softmax(1)[:, 1]), 'output="probabilities"'),
}


@pytest.mark.parametrize(("build", "says"), REFUSED.values(), ids=REFUSED)
def test_a_network_that_cannot_serve_is_refused_as_it_is_wrapped(build: Callable[[], nn.Module], says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        Classifier.from_module(build(), classes=["no", "yes"], image_size=SIZE)
    assert caught.value.code == "E_MODEL"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [Dropping, NoRunningStatistics, halves, OnCuda])
def test_a_function_that_builds_such_a_network_is_refused_on_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[], nn.Module]
) -> None:
    module = ModuleType("mynet")
    module.build = lambda: wrong()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mynet", module)
    facts = {"classes": ["no", "yes"], "image_size": SIZE, "backbone": "mynet:build"}
    classifier = Classifier.from_module(Net(), **facts)  # type: ignore[arg-type]
    classifier.module = wrong()
    classifier.save(tmp_path)
    with pytest.raises(ModelError):
        Classifier.load(tmp_path, allow_code="mynet:build")


def test_one_logit_scores_the_second_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mynet")
    module.build = lambda: Net(outputs=1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mynet", module)
    network = Net(outputs=1)
    classifier = Classifier.from_module(network, classes=["no", "yes"], image_size=SIZE, backbone="mynet:build")
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path, allow_code="mynet:build")
    with torch.no_grad():
        z = network(torch.from_numpy(GREY)[:, None].expand(-1, 3, -1, -1))[:, 0].double().numpy()
    np.testing.assert_allclose(loaded.predict(GREY)[:, 1], 1 / (1 + np.exp(-z)), rtol=1e-6)
    np.testing.assert_allclose(loaded.predict(GREY[:1]), loaded.predict(GREY)[:1], rtol=1e-5)
    assert loaded.embed(GREY).shape == (5, 8)


@pytest.mark.parametrize("change", [lambda x: x.squeeze(1), lambda x: x.squeeze()], ids=["(n,)", "() of one image"])
def test_one_logit_may_come_without_its_axis(change: Callable[[Tensor], object]) -> None:
    flat, plain = (
        Classifier.from_module(Net(c, 1), classes=["no", "yes"], image_size=SIZE) for c in (change, lambda x: x)
    )
    np.testing.assert_array_equal(flat.predict(GREY, 2), plain.predict(GREY, 2))


@pytest.mark.parametrize("outputs", [1, 2])
def test_probabilities_stay_what_they_are_where_they_are_declared(outputs: int) -> None:
    last = (lambda x: x.sigmoid()) if outputs == 1 else (lambda x: x.softmax(1))
    plain = Classifier.from_module(Net(outputs=outputs), classes=["no", "yes"], image_size=SIZE)
    declared = Classifier.from_module(
        Net(last, outputs), classes=["no", "yes"], image_size=SIZE, output="probabilities"
    )
    np.testing.assert_allclose(declared.predict(GREY), plain.predict(GREY), atol=1e-6)


SMALL = [lambda x: x.relu() / 100, lambda x: x * x.sigmoid() * 0.1 + 0.5, lambda x: x.log_softmax(1)]


@pytest.mark.parametrize("change", SMALL, ids=["rectified", "swish", "logarithms"])
def test_logits_that_happen_to_lie_between_0_and_1_are_taken(change: Callable[[Tensor], object]) -> None:
    Classifier.from_module(Net(change), classes=["no", "yes"], image_size=SIZE)


def test_logits_declared_as_probabilities_are_refused() -> None:
    with pytest.raises(ModelError, match="declared as probabilities"):
        Classifier.from_module(Net(), classes=["no", "yes"], image_size=SIZE, output="probabilities")


def test_certain_probabilities_stay_finite() -> None:
    sure = Net(lambda x: torch.cat([torch.zeros_like(x[:, :1]), torch.ones_like(x[:, :1])], 1))
    classifier = Classifier.from_module(sure, classes=["no", "yes"], image_size=SIZE, output="probabilities")
    np.testing.assert_allclose(classifier.predict(GREY), [[0, 1]] * 5, atol=1e-9)


def test_a_later_failure_of_the_network_is_one_line_too() -> None:
    classifier = Classifier.from_module(Net(), classes=["no", "yes"], image_size=SIZE)
    classifier.module.forward = lambda x: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        classifier.predict(GREY)


def test_features_come_from_the_last_linear_layer_that_runs() -> None:
    class Auxiliary(Net):
        def __init__(self) -> None:
            super().__init__()
            self.auxiliary = nn.Linear(3, 2)  # serves training alone

    classifier = Classifier.from_module(Auxiliary(), classes=["no", "yes"], image_size=SIZE)
    assert classifier.embed(GREY, 2).shape == (5, 8)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_network_serves() -> None:
    scripted = torch.jit.script(nn.Sequential(*FLAT))
    classifier = Classifier.from_module(scripted, classes=["no", "yes"], image_size=SIZE)
    assert classifier.predict(GREY).shape == (5, 2)
