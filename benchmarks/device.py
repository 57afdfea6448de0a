"""Speed of the heavy parts on one device, float32 against mixed precision; and do they agree with the CPU's float64?

One command, one table: curves on stored pixels (a table and a gather) and by Eq. 1, one training step of GDCE at the
paper's size (12 + 12 images of 512 px, ResNet-50, VGG-16 up to conv2_2), and the classifier without gradients. Inputs
are random, new in every run; the seed is printed. Needs Python 3.12, torch 2.11, numpy and scipy, no network; made for
less than eight minutes on one GPU.

    python -m benchmarks.device                                                  # on a GPU
    python -m benchmarks.device --device cpu --pixels 64 --batch 2 --stored 512   # does it run at all?

Columns: megapixels or images per second, milliseconds of the median call, and how far the result is from float64 on
the CPU: the norm of the difference as a share of the norm. Of the training step the gradient is compared. No network is
trained. Figures: docs/results_gpu.md.
"""

from __future__ import annotations

import argparse
import copy
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.paper_networks import Frozen, GDCETraining, name_of, resnet50, seconds_of, vgg16
from isotone.curves.stages import apply_steps
from isotone.networks.gdce import GDCE
from isotone.networks.losses import total_loss
from isotone.networks.resnet import Bottleneck
from isotone.networks.training.precision import Precision, Steps
from isotone.networks.training.task import losses

REPEATS = 10
"""Timed calls of a part, after three that do not count."""
COMPARED = 4
"""Images by which a part is compared with float64 on the CPU, which takes seconds for each."""
STEPS = 8
"""Of Eq. 1."""
BRANCH = 0.2
"""Scale of the residual branches. At 1, torchvision's start, rounding errors of an untrained ResNet grow from block to
block: at 128 px its logits deviate by 2e-5 in float32 and by 0.15 in bfloat16, at 0.2 by 1e-6 and 0.01. Chosen here."""
BITS = 14


@dataclass(frozen=True)
class Part:
    """One row of the table.

    Attributes
    ----------
    name : str
    amount : float
        Megapixels or images of one call.
    unit : str
    step : callable
        What is timed.
    result : callable
        What is compared with `wanted`.
    wanted : callable
        The same in float64 on the CPU.
    """

    name: str
    amount: float
    unit: str
    step: Callable[[], object]
    result: Callable[[], Tensor]
    wanted: Callable[[], Tensor]


@dataclass(frozen=True)
class Bench:
    """Networks with random weights, and random images."""

    device: torch.device
    classifier: nn.Module
    perceptual: nn.Module
    images: Tensor
    labels: Tensor
    stored: Tensor
    seed: int


def main() -> None:
    options = arguments()
    device, seed = torch.device(options.device), secrets.randbelow(2**31)
    bench = set_up(device, options.batch, options.pixels, options.stored, seed)
    images = f"{2 * options.batch} images of {options.pixels} px"
    print(f"{name_of(device)}, torch {torch.__version__}, seed {seed}, {images}\n")
    print("| part | precision | per second | ms | deviation from float64 |\n|---|---|---|---|---|")
    for precision in ("float32", "float32, TF32", "mixed"):
        if precision == "float32, TF32" and device.type != "cuda":
            continue
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "float32, TF32"
        for part in parts(bench, "mixed" if precision == "mixed" else "float32"):
            seconds = seconds_of(part.step, device, REPEATS)
            ours, wanted = part.result().double().cpu(), part.wanted()
            off, rate = float((ours - wanted).norm() / wanted.norm()), f"{part.amount / seconds:,.0f} {part.unit}"
            print(f"| {part.name} | {precision} | {rate} | {1000 * seconds:.2f} | {off:.1e} |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--batch", type=int, default=12, help="images from the source, and as many from the reference")
    parser.add_argument("--stored", type=int, default=3328, help="rows of the image that a table is applied to")
    return parser.parse_args()


def set_up(device: torch.device, batch: int, pixels: int, rows: int, seed: int) -> Bench:
    """Everything from one seed; batch statistics of the untrained ResNet are those of the images."""
    torch.manual_seed(seed)
    images = torch.rand(2 * batch, 1, pixels // 8, pixels // 8)
    images = nn.functional.interpolate(images, (pixels, pixels), mode="bicubic").clamp(0, 1)
    images = images ** torch.linspace(0.3, 3, 2 * batch)[torch.randperm(2 * batch), None, None, None]  # dark to bright
    classifier = resnet50()
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches: here of one
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, BRANCH)
    with torch.no_grad():
        classifier(images.expand(-1, 3, -1, -1))
    return Bench(
        device,
        classifier.eval(),
        vgg16(None),
        images.to(device),
        torch.randint(4, (2 * batch,), device=device),
        torch.randint(2**BITS, (rows, rows * 10 // 13), device=device, dtype=torch.int32),
        seed,
    )


def parts(bench: Bench, precision: Precision) -> Iterator[Part]:
    """The rows of the table at one precision."""
    yield from curves(bench, precision)
    yield training_step(bench, precision)
    yield inference(bench, precision)


def curves(bench: Bench, precision: Precision) -> Iterator[Part]:
    """A curve as a table of stored values, and as the steps of Eq. 1."""
    alphas = (torch.rand(STEPS, len(bench.images), 1, 1, 1, dtype=torch.float64) * 2 - 1).to(bench.device)
    levels = torch.linspace(0, 1, 2**BITS, dtype=torch.float64)
    exact = apply_steps(levels, alphas[:, 0, 0, 0, 0].cpu())
    kind = torch.float32 if precision == "float32" else torch.bfloat16
    table = exact.to(bench.device, kind)
    given, steps = bench.images.to(kind), alphas.to(kind)
    yield Part(
        f"table on {BITS}-bit pixels",
        bench.stored.numel() / 1e6,
        "Mpx",
        lambda: table[bench.stored],
        lambda: table[bench.stored],
        lambda: exact[bench.stored.cpu()],
    )
    yield Part(
        f"Eq. 1, {STEPS} steps",
        given.numel() / 1e6,
        "Mpx",
        lambda: apply_steps(given, steps),
        lambda: apply_steps(given, steps),
        lambda: apply_steps(bench.images.double().cpu(), alphas.cpu()),
    )


def training_step(bench: Bench, precision: Precision) -> Part:
    """Loss and gradient of GDCE through both frozen networks, and the optimizer's step."""
    frozen, perceptual = Frozen(copy.deepcopy(bench.classifier), bench.device), copy.deepcopy(bench.perceptual)
    training = GDCETraining(frozen, perceptual.to(bench.device), precision, bench.seed)
    n = len(bench.images) // 2
    source, reference = (bench.images[:n], bench.labels[:n]), (bench.images[n:], bench.labels[n:])
    return Part(
        f"training step of GDCE, {n} + {n} images",
        2 * n,
        "images",
        lambda: training(source, reference),
        lambda: gradient(bench, bench.device, torch.float32, precision),
        lambda: gradient(bench, torch.device("cpu"), torch.float64, "float32"),
    )


def gradient(bench: Bench, device: torch.device, kind: torch.dtype, precision: Precision) -> Tensor:
    """The gradient of an untrained GDCE on a few images, as one vector."""
    frozen = Frozen(copy.deepcopy(bench.classifier).to(kind), device)
    perceptual = copy.deepcopy(bench.perceptual).to(device, kind)
    torch.manual_seed(bench.seed)
    network = GDCE()
    last = network.head[4]
    assert isinstance(last, nn.Linear)
    nn.init.normal_(last.weight, std=0.3)  # far from the identity, where L_P of the reference is 0 but for rounding
    network = network.to(device, kind)
    images, labels = bench.images[:COMPARED].to(device, kind), bench.labels[:COMPARED].to(device)
    half = COMPARED // 2
    step = Steps(torch.optim.SGD(network.parameters(), 0.0), device, precision)
    with step.autocast():
        both = (images[:half], labels[:half]), (images[half:], labels[half:])
        loss = total_loss(*losses(network, frozen, perceptual, *both), "sum")  # type: ignore[arg-type]
    step(loss)
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def inference(bench: Bench, precision: Precision) -> Part:
    """Logits of the classifier without gradients."""
    frozen = Frozen(copy.deepcopy(bench.classifier), bench.device)
    exact = Frozen(copy.deepcopy(bench.classifier).double(), torch.device("cpu"))
    step = Steps(torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.0), bench.device, precision)

    @torch.no_grad()
    def logits(images: Tensor) -> Tensor:
        with step.autocast():
            return frozen.logits(images)

    return Part(
        f"classifier, {len(bench.images)} images",
        len(bench.images),
        "images",
        lambda: logits(bench.images),
        lambda: logits(bench.images[:COMPARED]),
        lambda: exact.logits(bench.images[:COMPARED].double().cpu()).detach(),
    )


if __name__ == "__main__":
    main()
