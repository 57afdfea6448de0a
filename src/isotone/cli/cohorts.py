"""Images or tables as published → a manifest and Table 1."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotone.cli.app import CPUS, Force, Output, Quiet, Seed, Workers, cohort, print_table, say

if TYPE_CHECKING:
    from isotone.data.cohorts.cohort import Cohort

PerCell = Annotated[int | None, typer.Option(help="At most so many patients per domain and label.", min=1)]


@cohort.command()
def phantom(
    output: Output,
    patients: Annotated[
        int,
        typer.Option(help="Patients of the first three scanners.", min=30),
    ] = 360,
    size: Annotated[int, typer.Option(help="Rows of an image in pixels.", min=64)] = 256,
    seed: Seed = 0,
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Simulated mammograms of four invented vendors, with the truth known."""
    from isotone.data.cohorts.table import table_one
    from isotone.data.phantom.make_phantom import make_phantom

    manifest = make_phantom(output, patients=patients, size=size, seed=seed, workers=workers, force=force, quiet=quiet)
    print_table(table_one(manifest))
    say(output / "manifest.csv")


@cohort.command()
def nih(
    entries: Annotated[Path, typer.Argument(help="Data_Entry_2017_v2020.csv, compressed or not.")],
    output: Output,
    images: Annotated[Path | None, typer.Option(help="Folder of the PNG files; default: the table's.")] = None,
    label: Annotated[str, typer.Option(help="sex, or a finding of the table.")] = "sex",
    per_cell: PerCell = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """ChestX-ray14, with a domain for each pixel spacing."""
    from isotone.data.cohorts.nih import nih_cohort

    _write(nih_cohort(entries, images=images, label=label, per_cell=per_cell, seed=seed), output, force)


@cohort.command()
def rsna(
    labels: Annotated[Path, typer.Option(help="stage_2_train_labels.csv, zipped or not.")],
    output: Output,
    headers: Annotated[Path | None, typer.Option(help="Published table of the DICOM headers.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the DICOM files.")] = None,
    per_cell: PerCell = 500,
    seed: Seed = 0,
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """RSNA Pneumonia Detection Challenge: brand X, brand Y and a third group by pixel spacing."""
    from isotone.data.cohorts.rsna import rsna_cohort

    found = rsna_cohort(
        labels, headers=headers, images=images, per_cell=per_cell, seed=seed, workers=workers, quiet=quiet
    )
    _write(found, output, force)


@cohort.command()
def embed(
    root: Annotated[Path, typer.Argument(help="The download, with tables/ and images/.")],
    output: Output,
    per_cell: PerCell = 500,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """EMBED: craniocaudal 2D mammograms of three scanner models with their density classes."""
    from isotone.data.cohorts.embed import embed_cohort

    _write(embed_cohort(root, per_cell=per_cell, seed=seed), output, force)


def _write(found: "Cohort", output: Path, force: bool) -> None:
    from isotone._runtime.files import claim_folder
    from isotone.data.cohorts.table import table_one

    with claim_folder(output, force=force):
        say("before sampling:")
        print_table(table_one(found.found))
        say("sampled:")
        print_table(table_one(found.manifest))
        for note in found.notes:
            say(note)
        found.manifest.write(output / "manifest.csv")
    say(output / "manifest.csv")
