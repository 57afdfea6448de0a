"""Commands that answer: does the shift hurt, does the curve help, does it harm?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotone.cli.app import (
    CPUS,
    Allow,
    AllowCode,
    Device,
    Finding,
    Force,
    LabelColumn,
    LeftOut,
    NoCache,
    Output,
    Quiet,
    Reference,
    Seed,
    Workers,
    app,
    cache_folder,
    load_classifier,
    need,
    print_results,
    print_table,
    run_in,
    say,
)
from isotone.cli.images import DomainBy, DomainMap, Images, labelled_images_of
from isotone.errors import UsageError

if TYPE_CHECKING:
    from isotone.data.manifests.manifest import Manifest
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
    from isotone.networks.classifier import Classifier


@app.command()
def demo(
    output: Output,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """The whole story on simulated mammograms of three vendors, ending with the path of the report."""
    need("torch", "safetensors", "sklearn", "skimage", "jinja2")
    from isotone.cli.demo import ending, run_demo

    results = run_demo(output, seed=seed, device=device, workers=workers, force=force, quiet=quiet)
    say(*ending(results, output / "report.html"))


@app.command()
def audit(
    paths: Images,
    reference: Reference,
    classifier: Annotated[Path | None, typer.Option(help="Folder of the frozen classifier.")] = None,
    allow_code: AllowCode = None,
    label: LabelColumn = None,
    finding: Finding = None,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    quiet: Quiet = False,
) -> None:
    """Before any fitting: is there a shift, does tone explain it, does this classifier care?"""
    need("sklearn")
    from isotone.evaluation.audit import audit as run

    frozen = None if classifier is None else load_classifier(classifier, device, allow_code, finding)
    rows = labelled_images_of(paths, domain_map, domain_by, label=label, finding=finding, workers=workers)
    left_out = LeftOut()
    found = run(rows, reference, frozen, seed=seed, workers=workers, quiet=quiet, on_refusal=left_out)
    if found.weak is not None:
        say(found.weak)
    print_table(found.table())
    for change in found.degradation:
        shown = [("–" if value is None else f"{value:.2f}") for value in (change.auc, change.worst_group_accuracy)]
        say(f"{change.response}: AUC {shown[0]}, worst-group accuracy {shown[1]}")
    for sentence in () if found.training is None else found.training.sentences:
        say(sentence)
    for note in found.notes:
        say(note)
    say(found.recommendation)
    raise left_out.end()


@app.command()
def evaluate(
    paths: Images,
    output: Output,
    classifier: Annotated[Path | None, typer.Option(help="Folder of the frozen classifier.")] = None,
    allow_code: AllowCode = None,
    label: LabelColumn = None,
    finding: Finding = None,
    predictions: Annotated[Path | None, typer.Option(help="CSV of scores instead of a network.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="Reference domain; may be repeated. A classifier of isotone train stores its own."),
    ] = None,
    harmonizer: Annotated[list[Path] | None, typer.Option(help="Folder of a harmonizer; may be repeated.")] = None,
    baseline: Annotated[list[str] | None, typer.Option(help="A baseline's name, or all; may be repeated.")] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Show images in the report; they may identify a patient.")
    ] = False,
    with_paths: Annotated[
        bool, typer.Option("--with-paths", help="Write paths.csv: the path of each image in the report.")
    ] = False,
    allow: Allow = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Run leakage tests and a learning curve, with new fits.")
    ] = False,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    no_cache: NoCache = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure what the shift costs and whether a curve helps or harms. Writes a report and results.json."""
    need("sklearn", "jinja2")
    from isotone.evaluation.evaluate import evaluate as run
    from isotone.evaluation.predictions import evaluate_predictions

    if (classifier is None) == (predictions is None):
        raise UsageError("give either --classifier or --predictions")
    if predictions is not None and (harmonizer or baseline or with_images or refit or allow or allow_code):
        raise UsageError(
            "--harmonizer, --baseline, --with-images, --refit, --allow and --allow-code need a classifier",
            next_step="Give --classifier, or put each method's scores into the file of --predictions.",
        )
    rows = labelled_images_of(paths, domain_map, domain_by, label=label, finding=finding, workers=workers)
    left_out = LeftOut()
    names = (domain_map, domain_by, reference, label, finding)
    inputs = (paths, names, classifier, predictions, harmonizer, baseline, with_images, with_paths, allow, refit, seed)
    if predictions is not None:
        with run_in(output, force, "evaluate", *inputs):
            results = evaluate_predictions(
                rows, predictions, reference or (), output=output, with_paths=with_paths, seed=seed
            )
    else:
        loaded, frozen = (
            _harmonizers(harmonizer or (), allow or ()),
            load_classifier(classifier or Path(), device, allow_code, finding),
        )
        if reference:
            frozen = _with_reference(frozen, reference, loaded, rows)
        with run_in(output, force, "evaluate", *inputs):
            results = run(
                rows,
                frozen,
                harmonizers=loaded,
                baselines=baseline or (),
                output=output,
                with_images=with_images,
                with_paths=with_paths,
                refit=refit,
                cache=cache_folder(no_cache),
                seed=seed,
                workers=workers,
                quiet=quiet,
                on_refusal=left_out,
            )
    print_results(results)
    say(output / "report.html")
    raise left_out.end()


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of an evaluation.", metavar="DIR_A")],
    second: Annotated[Path, typer.Argument(help="Folder of another one.", metavar="DIR_B")],
    seed: Seed = 0,
) -> None:
    """Which differences between two evaluations are real?"""
    from isotone.evaluation.compare import compare as run

    differences = run(first, second, seed=seed)
    print_table(differences.table())
    for name in differences.alone:
        say(name)


@app.command()
def paperwork(
    folder: Annotated[Path, typer.Argument(help="Folder of an evaluation.", metavar="DIR")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write; default: DIR.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over papers that are there.")] = False,
) -> None:
    """Begin a model card, a data sheet and a change control plan from results.json; a person completes them."""
    need("jinja2")
    from isotone.evaluation.paperwork import FILL_IN, write_paperwork
    from isotone.evaluation.results import Results

    for paper in write_paperwork(Results.read(folder / "results.json"), output or folder, force=force):
        say(f"{paper.path}: {paper.open} places to fill in ({FILL_IN})")


def _with_reference(
    frozen: "Classifier", named: list[str], harmonizers: "dict[str, ToneCurveHarmonizer]", rows: "Manifest"
) -> "Classifier":
    """The classifier with the reference that the user names, each a scanner that somebody knows."""
    known = {*frozen.config.reference_domains, *(name for h in harmonizers.values() for name in h.reference_domains)}
    if strange := [name for name in named if name not in known]:
        rows.select(domains=strange)  # refuses what is no domain of the manifest
    return frozen.with_reference(named)


def _harmonizers(folders: Sequence[Path], allow: Sequence[str]) -> "dict[str, ToneCurveHarmonizer]":
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

    loaded = [ToneCurveHarmonizer.load(folder).overruling(allow) for folder in folders]
    named = {harmonizer.name: harmonizer for harmonizer in loaded}
    if len(named) < len(loaded):
        raise UsageError("two harmonizer folders have the same name", next_step="Rename one of them.")
    return named
