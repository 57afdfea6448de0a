"""The paper's experiments, and the ablations it lacks, by one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isotone.cli.app import CPUS, Force, Output, PlannedDevice, Quiet, Seed, Workers, app, need, say, usable_device

if TYPE_CHECKING:
    from isotone.evaluation.reproduction.plan import Plan

Name = Literal["phantom", "nih", "embed", "rsna"]
Preset = Literal["paper", "corrected"]


@app.command()
def reproduce(
    collection: Annotated[Name, typer.Argument(help="Which images.", metavar="phantom|nih|embed|rsna")],
    output: Output,
    data: Annotated[
        Path | None, typer.Argument(help="The untouched download, or a manifest; the phantom needs none.")
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="paper: the published protocol with its quirks. corrected: its defects mended.")
    ] = "corrected",
    quick: Annotated[bool, typer.Option("--quick", help="Small images and networks: minutes on a CPU.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its time; write nothing.")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="ResNet-50 that the classifier starts from (RadImageNet's).")
    ] = None,
    perceptual_weights: Annotated[Path | None, typer.Option(help="VGG-16; default: the cache or a download.")] = None,
    seed: Seed = 0,
    device: PlannedDevice = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Every table and figure of the paper, and the ablations it lacks; resumes experiment by experiment."""
    from isotone.evaluation.reproduction.plan import Plan

    plan = Plan(
        collection=collection,
        preset=preset,
        quick=quick,
        data=data and data.resolve(),
        weights=weights and weights.resolve(),
        perceptual_weights=perceptual_weights and perceptual_weights.resolve(),
        seed=seed,
    )
    if dry_run:
        print_plan(plan, output, device)
        return
    need("torch", "safetensors", "sklearn", "skimage", "jinja2")
    from isotone.evaluation.reproduction.run import reproduce as run

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    say(run(plan, output, device=usable_device(device), workers=workers, force=force, quiet=quiet, say=tell))


def print_plan(plan: "Plan", output: Path, device: str) -> None:
    from isotone.evaluation.reproduction.study import Study

    study, total = Study(plan, output), 0.0
    for experiment in plan.experiments():
        seconds = 0.0 if study.finished(experiment.name) else plan.seconds(experiment, device)
        total += seconds
        say(f"{experiment.name}: {experiment.what}; {_spoken(seconds) if seconds else 'finished'}")
    say(f"in all about {_spoken(total)} on {device}; settings: {plan.model_dump_json(exclude_none=True)}")
    if plan.about.needs and (plan.data is None or not plan.data.exists()):
        say(f"missing: the data of {plan.collection}. {plan.about.needs}")


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
