"""ResNet-50 is torchvision's, and the pretrained files that circulate load into it strictly."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isotone.errors import IsotoneError, ModelError
from isotone.networks.pretrained import load_pretrained, read_pretrained
from isotone.networks.resnet import ResNet50, paper_head

State = dict[str, Tensor]
BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 6, "layer4": 3}


@pytest.fixture(scope="module")
def torchvision_state() -> State:
    """Made-up weights under torchvision's names, with running statistics that matter."""
    torch.manual_seed(0)
    return randomized(ResNet50(nn.Linear(2048, 1000)))


@pytest.fixture(scope="module")
def keras_state() -> State:
    torch.manual_seed(1)
    state = randomized(ResNet50(nn.Identity(), keras=True))
    return {name: value for name, value in state.items() if not name.startswith("fc")}


def randomized(network: nn.Module) -> State:
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn3.weight", "downsample.1.weight")):
            value.uniform_(0.5, 1.5)
        elif name.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1)
    return state


def literally(state: State, x: Tensor, *, stride_first: bool, eps: float) -> Tensor:
    """ResNet-50 up to the pooled features, written out with torch's functions from a state dict."""

    def conv(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (state[f"{name}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    x = F.max_pool2d(norm(conv(x, "conv1", 2, 3), "bn1").relu(), 3, 2, 1)
    for layer, blocks in BLOCKS.items():
        for block in range(blocks):
            at = f"{layer}.{block}"
            stride = 2 if block == 0 and layer != "layer1" else 1
            first, second = (stride, 1) if stride_first else (1, stride)
            y = norm(conv(x, f"{at}.conv1", first, 0), f"{at}.bn1").relu()
            y = norm(conv(y, f"{at}.conv2", second, 1), f"{at}.bn2").relu()
            y = norm(conv(y, f"{at}.conv3", 1, 0), f"{at}.bn3")
            short = x if block else norm(conv(x, f"{at}.downsample.0", stride, 0), f"{at}.downsample.1")
            x = (y + short).relu()
    return x.mean((2, 3))


def features_of(network: nn.Module, images: Tensor) -> Tensor:
    """What enters the head."""
    head, network.fc = network.fc, nn.Identity()
    with torch.no_grad():
        features = network.eval()(images)
    network.fc = head
    return features


def test_it_has_torchvisions_320_names_and_its_number_of_parameters() -> None:
    network = ResNet50(nn.Linear(2048, 1000))
    names = set(network.state_dict())
    assert len(names) == 320
    assert {"conv1.weight", "layer3.5.bn2.num_batches_tracked", "layer4.0.downsample.1.running_var", "fc.bias"} <= names
    assert sum(p.numel() for p in network.parameters()) == 25_557_032  # torchvision's documentation


def test_its_arithmetic_is_resnet_50_written_out(torchvision_state: State) -> None:
    network = ResNet50(nn.Linear(2048, 1000)).eval()
    network.load_state_dict(torchvision_state, strict=True)
    images = torch.randn(2, 3, 64, 64)
    features = literally(torchvision_state, images, stride_first=False, eps=1e-5)
    wanted = F.linear(features, torchvision_state["fc.weight"], torchvision_state["fc.bias"])
    with torch.no_grad():
        torch.testing.assert_close(network(images), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_its_arithmetic_is_that_of_monais_resnet_50(torchvision_state: State) -> None:
    nets = pytest.importorskip("monai.networks.nets", reason="needs MONAI")
    theirs = nets.resnet50(
        spatial_dims=2, n_input_channels=3, num_classes=1000, conv1_t_stride=2, bias_downsample=False
    )
    theirs.load_state_dict(torchvision_state, strict=True)
    ours = ResNet50(nn.Linear(2048, 1000))
    ours.load_state_dict(torchvision_state, strict=True)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-5, atol=1e-5)


def test_the_head_is_the_papers() -> None:
    head = paper_head(4)
    sizes = [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)]
    assert sizes == [(2048, 1024), (1024, 512), (512, 4)]
    assert [m.p for m in head if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def official(state: State) -> State:
    """The same weights as the official RadImageNet file names them."""
    children = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    renamed = {}
    for name, value in state.items():
        child, _, rest = name.partition(".")
        if child != "fc":
            renamed[f"backbone.{children[child]}.{rest}"] = value
    return renamed


def test_the_official_radimagenet_file_loads_strictly_with_its_scaling(
    tmp_path: Path, torchvision_state: State
) -> None:
    state = official(torchvision_state)
    assert len(state) == 318
    torch.save(state, tmp_path / "ResNet50.pt")
    pretrained = read_pretrained(tmp_path / "ResNet50.pt")
    assert (pretrained.origin, pretrained.backbone) == ("radimagenet-official", "resnet50")
    assert (pretrained.mean, pretrained.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # [0, 1] to [-1, 1]
    network = ResNet50(paper_head(3))
    load_pretrained(network, pretrained, "ResNet50.pt")
    images = torch.randn(1, 3, 64, 64)
    wanted = literally(torchvision_state, images, stride_first=False, eps=1e-5)
    torch.testing.assert_close(features_of(network, images), wanted, rtol=1e-4, atol=1e-4)


def test_the_keras_conversion_loads_into_keras_variant_with_its_scaling(tmp_path: Path, keras_state: State) -> None:
    torch.save(keras_state, tmp_path / "RadImageNet-ResNet50_notop.pth")
    pretrained = read_pretrained(tmp_path / "RadImageNet-ResNet50_notop.pth")
    assert (pretrained.origin, pretrained.backbone) == ("radimagenet-keras", "resnet50-keras")
    # BGR in 0..255 minus the mean, and all of it divided by 255.
    assert pretrained.mean == pytest.approx((103.939 / 255, 116.779 / 255, 123.68 / 255))
    assert pretrained.std == (1, 1, 1)
    network = ResNet50(paper_head(3), keras=True)
    load_pretrained(network, pretrained, "x.pth")
    images = torch.randn(1, 3, 64, 64)
    wanted = literally(keras_state, images, stride_first=True, eps=1.001e-5)
    torch.testing.assert_close(features_of(network, images), wanted, rtol=1e-4, atol=1e-4)
    plain = literally(keras_state, images, stride_first=False, eps=1.001e-5)
    assert not torch.allclose(wanted, plain, rtol=1e-2)


def test_the_165_way_checkpoint_loads_strictly_with_imagenets_scaling(tmp_path: Path, torchvision_state: State) -> None:
    head = {"fc.weight": torch.zeros(165, 2048), "fc.bias": torch.zeros(165)}
    model = {f"_orig_mod.{n}": v for n, v in (torchvision_state | head).items()}
    torch.save({"model": model, "epoch": 3}, tmp_path / "resnet50.pth")
    pretrained = read_pretrained(tmp_path / "resnet50.pth")
    assert pretrained.backbone == "resnet50"
    assert (pretrained.mean, pretrained.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    network = ResNet50(paper_head(3))
    load_pretrained(network, pretrained, "resnet50.pth")
    for name, value in network.state_dict().items():
        if not name.startswith("fc."):
            torch.testing.assert_close(value, torchvision_state[name], rtol=0, atol=0)


def test_weights_of_the_other_variant_are_refused_and_not_loaded_in_part(tmp_path: Path, keras_state: State) -> None:
    safetensors.torch.save_file(keras_state, tmp_path / "keras.safetensors")
    pretrained = read_pretrained(tmp_path / "keras.safetensors")
    with pytest.raises(ModelError, match="another network"):
        load_pretrained(ResNet50(paper_head(3)), pretrained, "keras.safetensors")


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_a_checkpoint_that_carries_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"backbone.0.weight": Evil(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(IsotoneError, match="more than weights") as caught:
        read_pretrained(tmp_path / "evil.pt")
    assert caught.value.code == "E_WEIGHTS"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"a": torch.zeros(2)}, [torch.zeros(2)]])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(IsotoneError) as caught:
        read_pretrained(tmp_path / "other.pt")
    assert caught.value.code == "E_WEIGHTS"


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(IsotoneError) as caught:
        read_pretrained(tmp_path / "none.pt")
    assert "\n" not in str(caught.value)
