"""The paper's experiment once at the paper's size: classifier, GDCE and evaluation on the phantom, on one GPU.

ResNet-50 on images of 512 px, GDCE (5 layers, 8 iterations) with VGG-16 up to conv2_2, batches of 12 + 12 images drawn
once, 25 epochs of Adam at 1e-4 by the weighted loss (λ = 0.95), cells as in Table 1. The ResNet starts untrained, for
RadImageNet's weights are not at hand. Images are made on the spot. Needs Python 3.12, torch 2.11, numpy and scipy, no
network and no codec. Every epoch prints a line of JSON, so that a run that is cut says what it has; what does not fit
into the seconds given ends early and says so.

    python -m benchmarks.full_size --vgg vgg16_features_conv2_2_caffe_rgb.safetensors | tee full_size.jsonl
    python -m benchmarks.full_size --device cpu --fraction 0.02 --pixels 96 --epochs 2       # does it run at all?

From a checkout without installing anything: PYTHONPATH=src. Figures: docs/results_gpu.md.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.paper_cohort import CELLS, Images, affordable, cells, draw_all, processes
from benchmarks.paper_networks import RATE, Frozen, GDCETraining, macro_auc, name_of, resnet50, say, seconds_of, vgg16
from isotone.data.phantom.scanners import ALDER, SCANNERS
from isotone.data.sampling import balanced_batches, paired_batches
from isotone.networks.gdce import GDCE
from isotone.networks.losses import Features, task_loss
from isotone.networks.training.precision import Precision, Steps
from isotone.networks.training.score import Criterion, worst_group_accuracy

BATCH = 12
"""Images from the source, and as many from the reference."""
PATIENCE = 25
"""Epochs without a better worst-group accuracy after which the classifier's learning rate falls to a tenth, once."""
SHARES = {"classifier": 0.33, "first source": 0.65, "second source": 0.97}
"""By which share of the time each stage must be done."""
MEASURED = 5
"""Steps by which the two precisions are timed, after three that do not count."""
INFERENCE = 24
"""Images at a time without gradients."""

END = 0.99
"""|α| from which on a curve parameter counts as saturated, as in `isotone.networks.training.learned`."""

Move = Callable[[Tensor], Tensor]
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """What every stage of the run needs.

    Attributes
    ----------
    data : mapping of (scanner, split) to Images
    device : torch.device
    precision : "mixed" or "float32"
    epochs : int
        Of GDCE; of the classifier at most four times as many.
    seed : int
    began : float
        `time.monotonic` at the start.
    seconds : float
        That the run may take.
    """

    data: Mapping[tuple[str, str], Images]
    device: torch.device
    precision: Precision
    epochs: int
    seed: int
    began: float
    seconds: float

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def over(self, stage: str) -> bool:
        """Whether a stage must end."""
        return self.spent > SHARES[stage] * self.seconds

    def batch(self, where: tuple[str, str], chosen: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """Images (n, 1, S, S) and class numbers of some of the images."""
        images = self.data[where]
        return (
            torch.from_numpy(images.shown[chosen])[:, None].to(self.device, non_blocking=True),
            torch.from_numpy(images.numbers[chosen]).to(self.device),
        )


def main() -> None:
    options = arguments()
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True  # shapes never change; it chooses the fastest kernels
    began = time.monotonic()
    fraction = affordable(options.pixels, options.fraction, processes())
    say(
        stage="start",
        device=name_of(device),
        torch=torch.__version__,
        cores=processes(),
        pixels=options.pixels,
        asked=options.fraction,
        fraction=fraction,
        images=len(cells(fraction)),
        perceptual="VGG-16, Oxford" if options.vgg else "VGG-16, untrained",
        classifier="ResNet-50, untrained at the start",
    )
    data = draw_all(options.pixels, fraction, options.seed)
    run = Run(data, device, options.precision, options.epochs, options.seed, began, options.seconds)
    say(stage="drawn", seconds=run.spent)
    torch.manual_seed(options.seed)
    classifier = trained(run)
    features = vgg16(options.vgg).to(device)
    compared(run, classifier, features)
    for stage, domain in zip(("first source", "second source"), [d for d in CELLS if d != ALDER.domain], strict=True):
        plain_ways(run, classifier, domain)
        harmonized(run, classifier, features, domain, stage)
    say(stage="end", seconds=run.spent)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vgg", type=Path, help="Oxford's weights as safetensors; without: untrained")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=("mixed", "float32"), default="mixed")
    parser.add_argument("--seconds", type=float, default=450, help="stages end early so that all is done by then")
    parser.add_argument("--fraction", type=float, default=1.0, help="of the paper's images")
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=25, help="of GDCE; the classifier has at most four times as many")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def trained(run: Run) -> Frozen:
    """The reference scanner's classifier, of its best epoch on validation images."""
    module = resnet50().to(run.device)
    optimizer = torch.optim.Adam(module.parameters(), RATE)
    step, rng = Steps(optimizer, run.device, run.precision), np.random.default_rng(run.seed)
    ours, val, test = (run.data[ALDER.domain, split] for split in ("train", "val", "test"))
    criterion = Criterion.of(val.labels)
    best, since, weights = -np.inf, 0, copy.deepcopy(module.state_dict())
    for epoch in range(4 * run.epochs):
        began, log = time.monotonic(), []
        module.train()
        for chosen in balanced_batches(ours.labels, BATCH, rng):
            images, numbers = run.batch((ALDER.domain, "train"), chosen)
            flipped = torch.from_numpy(rng.random(len(chosen)) < 0.5).to(run.device).view(-1, 1, 1, 1)
            with step.autocast():
                loss = task_loss(module(torch.where(flipped, images.flip(3), images).expand(-1, 3, -1, -1)), numbers)
            step(loss)
            log.append(loss.detach())
        frozen = Frozen(module, run.device)
        row = scored(frozen, val.shown, val)
        module.requires_grad_(True)
        better = criterion(row) > best
        best, since = (criterion(row), 0) if better else (best, since + 1)
        weights = copy.deepcopy(module.state_dict()) if better else weights
        said = {"loss": float(torch.stack(log).mean()), "epoch_seconds": time.monotonic() - began}
        say(stage="classifier", epoch=epoch + 1, **said, val=row, kept=better)
        slow = optimizer.param_groups[0]["lr"] < RATE
        if run.over("classifier") or (slow and since >= PATIENCE):
            break
        if since == PATIENCE:
            optimizer.param_groups[0]["lr"], since = RATE / 10, 0
    module.load_state_dict(weights)
    frozen = Frozen(module, run.device)
    say(stage="classifier", done=run.spent, test=scored(frozen, test.shown, test))
    return frozen


def scored(classifier: Frozen, shown: Grey, images: Images, through: Move | None = None) -> dict[str, float]:
    """AUC, worst-group accuracy and cross-entropy, in float32, of images through any map of images."""
    logits = []
    with torch.no_grad():
        for part in np.array_split(shown, -(-len(shown) // INFERENCE)):
            grey = torch.from_numpy(part)[:, None].to(classifier.device)
            logits.append(classifier.logits(through(grey) if through else grey).cpu())
    scores = torch.cat(logits)
    guessed = np.array(classifier.config.classes)[scores.argmax(1).numpy()]
    return {
        "auc": macro_auc(images.numbers, scores.softmax(1).numpy().astype(np.float64)),
        "worst_group_accuracy": worst_group_accuracy(images.labels, guessed),
        "val_loss": float(task_loss(scores, torch.from_numpy(images.numbers))),
    }


def compared(run: Run, classifier: Frozen, features: Features) -> None:
    """Seconds of a training step of GDCE, and its first losses, by precision.

    Convolutions of float32 are timed with TensorFloat-32, which cuDNN takes by default, and without.
    """
    domains = list(CELLS)[:2]
    each = min(BATCH, *(len(run.data[domain, "train"].labels) for domain in domains))
    batches = [run.batch((domain, "train"), np.arange(each)) for domain in domains]
    found: dict[str, dict[str, float]] = {}
    for name, precision, tf32 in (("float32", "float32", False), ("tf32", "float32", True), ("mixed", "mixed", True)):
        if tf32 and precision == "float32" and run.device.type != "cuda":
            continue
        torch.backends.cudnn.allow_tf32 = tf32
        training = GDCETraining(classifier, features, precision, run.seed)  # type: ignore[arg-type]
        perceptual, task = training(*batches).tolist()
        seconds = seconds_of(lambda step=training: step(*batches), run.device, MEASURED)  # type: ignore[misc]
        found[name] = {"step_seconds": seconds, "perceptual": perceptual, "task": task}
    torch.backends.cudnn.allow_tf32 = True
    say(stage="precision", images=2 * each, **found)


def plain_ways(run: Run, classifier: Frozen, domain: str) -> None:
    """What GDCE must beat: nothing, the display window, one curve by quantiles of all pixels; and the truth."""
    scanner = next(s for s in SCANNERS if s.domain == domain)
    center, width = scanner.window_or_identity
    low, scale = (center - width / 2) / 2**scanner.bits, 2**scanner.bits / width
    images, levels = run.data[domain, "test"], np.linspace(0, 1, 1001)
    ours, theirs = (np.quantile(run.data[d, "train"].shown[:, ::8, ::8], levels) for d in (domain, ALDER.domain))
    ways = {
        "none": images.shown,
        "window": np.clip((images.shown - low) * scale, 0, 1).astype(np.float32),
        "constant_curve": np.interp(images.shown, ours, theirs).astype(np.float32),
        "oracle": images.truth,
    }
    say(stage="plain", source=domain, **{name: scored(classifier, shown, images) for name, shown in ways.items()})


def harmonized(run: Run, classifier: Frozen, features: Features, domain: str, stage: str) -> None:
    """Train GDCE on a source scanner; test figures beside every epoch, the epoch chosen on validation alone."""
    training = GDCETraining(classifier, features, run.precision, run.seed)
    network, ours, theirs = training.network, (domain, "train"), (ALDER.domain, "train")
    val, test = run.data[domain, "val"], run.data[domain, "test"]
    batches = paired_batches(run.data[ours].labels, run.data[theirs].labels, BATCH, np.random.default_rng(run.seed))
    criterion, best, kept = Criterion.of(val.labels), -np.inf, {}
    for epoch in range(run.epochs):
        began = time.monotonic()
        log = torch.stack([training(run.batch(ours, s), run.batch(theirs, r)) for s, r in batches]).mean(0).tolist()
        taken = time.monotonic() - began
        network.eval()
        row = scored(classifier, val.shown, val, network)
        seen = scored(classifier, test.shown, test, network)
        if criterion(row) >= best:  # the later one of equals, as in the paper
            best, kept = criterion(row), {"epoch": epoch + 1, "test": seen}
        say(
            stage="gdce",
            source=domain,
            epoch=epoch + 1,
            perceptual=log[0],
            task=log[1],
            saturated=saturated(network, val.shown, run.device),
            val=row,
            test=seen,
            images_per_second=sum(len(s) + len(r) for s, r in batches) / taken,
            seconds=run.spent,
        )
        if run.over(stage):
            break
    say(stage="gdce", source=domain, kept=kept, stopped_early=epoch + 1 < run.epochs)


@torch.no_grad()
def saturated(network: GDCE, shown: Grey, device: torch.device) -> float:
    """Share of the curve parameters of at most `INFERENCE` images that lie at the ends of the tanh."""
    return float(
        (network.coefficients(torch.from_numpy(shown[:INFERENCE])[:, None].to(device)).abs() >= 0.99).float().mean()
    )


if __name__ == "__main__":
    main()
