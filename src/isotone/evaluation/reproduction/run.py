"""A plan, experiment by experiment: what an interrupted run has finished is not run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from isotone._runtime.files import claim_folder, content, write_text
from isotone.errors import IsotoneError
from isotone.evaluation.reproduction.ablations import run_ablation
from isotone.evaluation.reproduction.images import Shrink, decode
from isotone.evaluation.reproduction.methods import METHODS, NetworkMapping, gdce, predict
from isotone.evaluation.reproduction.plan import Experiment, Plan
from isotone.evaluation.reproduction.read import read_collection, require_data
from isotone.evaluation.reproduction.report import write_report
from isotone.evaluation.reproduction.study import Study

PLAN = "plan.json"
Outcome = tuple[dict[str, Any], Iterable[pd.DataFrame]]


def reproduce(
    plan: Plan,
    output: str | Path,
    *,
    device: str = "cpu",
    workers: int = 1,
    force: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Run every experiment of a plan that is not finished yet, then draw the tables, the figures and the report.

    Parameters
    ----------
    plan : Plan
    output : path
        Gets ``experiments/<name>/``, ``figures/`` (each table and figure as CSV and SVG) and ``report.html``.
    device : str
        Where networks run.
    workers : int
        Processes that read images.
    force : bool
        Use the folder whatever is in it.
    quiet : bool
        No progress bars.
    say : callable
        Gets a line for each experiment.

    Returns
    -------
    Path
        Of the report.

    Raises
    ------
    UsageError
        Data are missing, or the folder holds something else.
    IsotoneError
        E_WEIGHTS, E_EXTRA: what is missing for the networks.
    """
    folder = Path(output)
    text = plan.model_dump_json(indent=1) + "\n"
    marker = folder / PLAN
    same = marker.is_file() and marker.read_text(encoding="utf-8") == text
    if plan.about.needs:
        require_data(plan)
    _need_networks(plan)
    study = Study(plan, folder, device, workers, quiet)
    with claim_folder(folder, force=force or same):
        write_text(marker, text)
        try:
            for experiment in plan.experiments():
                _run(study, experiment, say)
        except BaseException:
            if content(folder) == {PLAN}:  # nothing was begun: data are missing, say
                marker.unlink()
            raise
        return write_report(study)


def _run(study: Study, experiment: Experiment, say: Callable[[str], None]) -> None:
    """Do one experiment, if no earlier run has finished it."""
    if study.finished(experiment.name):
        say(f"{experiment.name}: finished before")
        return
    began = time.monotonic()
    result, predictions = RUN[experiment.kind](study, experiment.name, *experiment.arguments)
    seconds = round(time.monotonic() - began, 1)
    study.finish(experiment.name, {"seconds": seconds, **result}, predictions)
    say(f"{experiment.name}: {seconds:.0f} s")


def _need_networks(plan: Plan) -> None:
    """Refuse at the start what would be missing after hours."""
    try:
        from isotone.networks.vgg import load_vgg16
    except ImportError:
        raise IsotoneError("E_EXTRA", "the experiments train networks, which needs torch") from None
    if plan.gdce().perceptual == "vgg16":
        load_vgg16(plan.perceptual_weights)


def _cohort(study: Study, name: str) -> Outcome:
    plan = study.plan
    manifest, notes = read_collection(plan, study.folder, workers=study.workers, quiet=study.quiet)
    shrink = Shrink(plan.image_size, plan.about.cropped)
    refused = decode(manifest, study.where(name), shrink, workers=study.workers, quiet=study.quiet)
    if len(refused) == len(manifest):
        raise refused[0]
    if refused:
        notes.append(f"{len(refused)} images could not be read and are left out")
    return {"images": len(manifest) - len(refused), "notes": notes}, ()


def _fold(study: Study, name: str, fold: int) -> Outcome:
    classifier, about = study.classifier(fold), study.plan.about
    entries: dict[str, Any] = {}
    tables = []
    for k, source in enumerate(about.sources):
        task = study.task(fold, source, classifier)
        if k == 0:
            tables.append(predict(task, METHODS["none"](task), about.reference, "none", fold))
        for method, fit in METHODS.items():
            mapping = fit(task)
            tables.append(predict(task, mapping, source, method, fold))
            if isinstance(mapping, NetworkMapping):
                entries[source] = _saved(mapping, study.where(name), f"gdce-{k}")
    training = {key: classifier.config.training[key] for key in ("epochs_run", "val_worst_group_accuracy")}
    return {"classifier": training, "gdce": entries}, tables


def _saved(mapping: NetworkMapping, folder: Path, stem: str) -> dict[str, Any]:
    from isotone.networks.gdce_mapper import GDCEMapper

    return GDCEMapper(mapping.network).save(folder, stem)


def _grid(study: Study, name: str, num_layers: int, num_iterations: int) -> Outcome:
    source = study.plan.about.figure_4
    tables = []
    for fold in study.plan.ablation_folds:
        task = study.task(fold, source, study.classifier(fold))
        size = {"num_layers": num_layers, "num_iterations": num_iterations}
        mapping = gdce(replace(task, settings=task.settings.model_copy(update=size)))
        tables += [predict(task, mapping, source, f"{name} {split}", fold, split) for split in ("val", "test")]
    return {}, tables


def _ablation(study: Study, name: str, variant: str) -> Outcome:
    return {}, run_ablation(study, variant)


RUN: dict[str, Callable[..., Outcome]] = {"cohort": _cohort, "fold": _fold, "grid": _grid, "ablation": _ablation}
"""By `Experiment.kind`."""
