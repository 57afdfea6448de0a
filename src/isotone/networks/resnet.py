"""ResNet-50 (He et al. 2016) with torchvision's names and arithmetic, and Keras' variant of it."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions beside a shortcut.

    `keras`: the stride on the first convolution (torchvision: on the second), convolutions with biases, and
    Keras' epsilon of the batch normalization.
    """

    def __init__(self, inputs: int, width: int, stride: int, keras: bool) -> None:
        super().__init__()
        first, second = (stride, 1) if keras else (1, stride)
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, first, bias=keras)
        self.bn1 = _norm(width, keras)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=keras)
        self.bn2 = _norm(width, keras)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=keras)
        self.bn3 = _norm(outputs, keras)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=keras), _norm(outputs, keras))
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """Images of shape (n, 3, h, w), scaled as the weights want it, to logits of shape (n, C).

    Parameters
    ----------
    head : nn.Module
        From the 2,048 pooled features to the logits; torchvision's own is ``nn.Linear(2048, 1000)``, with
        which the 320 names of its state dict are these.
    keras : bool
        The network of ``keras.applications.ResNet50``.
    """

    def __init__(self, head: nn.Module, *, keras: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=keras)
        self.bn1 = _norm(64, keras)
        self.layer1 = _layer(64, 64, 3, 1, keras)
        self.layer2 = _layer(256, 128, 4, 2, keras)
        self.layer3 = _layer(512, 256, 6, 2, keras)
        self.layer4 = _layer(1024, 512, 3, 2, keras)
        for module in self.modules():  # torchvision's start, before the head, which keeps its own
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.fc = head

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


def paper_head(num_classes: int, dropout: float = 0.5) -> nn.Sequential:
    """The paper's head: 2048 → 1024 → 512 → C, ReLU and dropout between."""
    return nn.Sequential(
        OrderedDict(
            linear1=nn.Linear(2048, 1024),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(dropout),
            linear2=nn.Linear(1024, 512),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(dropout),
            linear3=nn.Linear(512, num_classes),
        )
    )


def _layer(inputs: int, width: int, blocks: int, stride: int, keras: bool) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride, keras)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1, keras) for _ in range(blocks - 1)))


def _norm(channels: int, keras: bool) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1.001e-5, momentum=0.01) if keras else nn.BatchNorm2d(channels)
