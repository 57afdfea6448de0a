"""What the commands share: the application, its options, and how a refusal becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from isotone._version import __version__
from isotone.errors import IsotoneError, UsageError

# Only what --help needs is imported here: torch alone takes two seconds.
if TYPE_CHECKING:
    from isotone.data.manifest import Manifest
    from isotone.models.classifier import Classifier

INTERRUPTED = 130


class Commands(TyperGroup):
    """Turns our errors into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except IsotoneError as error:
            complain(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("isotone: interrupted; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    name="isotone",
    help="One transparent, monotone tone curve from one vendor's X-ray images to another's. "
    "Input for algorithms in research; not for diagnostic reading, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cohort = typer.Typer(help="Images or tables as published → a manifest and Table 1.", no_args_is_help=True)
app.add_typer(cohort, name="cohort")

Output = Annotated[Path, typer.Option("--output", "-o", help="Output folder.")]
Paths = Annotated[list[Path], typer.Argument(help="Files, folders or manifests.", metavar="PATH...")]
ManifestPath = Annotated[Path, typer.Argument(help="CSV or Parquet with a column path.", metavar="MANIFEST")]
Reference = Annotated[list[str], typer.Option("--reference", help="Reference domain; may be repeated.")]
Domain = Annotated[str | None, typer.Option(help="Domain of files whose header names none.")]
Inverted = Annotated[bool, typer.Option("--inverted", help="In PNG, TIFF and JPEG files 0 is white.")]
Deliver = Literal["pixels", "voi-lut", "gsps"]
FitMethod = Literal["scanner", "adaptive", "gdce"]
Labels = Literal["all", "none"]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Device = Annotated[str, typer.Option(help="Where networks run, e.g. cpu or cuda.")]
Workers = Annotated[int, typer.Option(help="Processes that read images.", min=1)]
Force = Annotated[bool, typer.Option("--force", help="Use a non-empty output folder; overrule warnings.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of the method as NAME=VALUE; may be repeated.", metavar="NAME=VALUE"),
]
CPUS = os.cpu_count() or 1


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def run_in(output: Path, force: bool, command: str, *inputs: Any) -> AbstractContextManager[Path]:
    from isotone.files import run_folder

    return run_folder(output, {"command": command, "inputs": inputs, "version": __version__}, force=force)


def complain(error: IsotoneError) -> None:
    print(f"isotone: {error}", file=sys.stderr)


def read_manifest(path: Path) -> Manifest:
    from isotone.data.manifest import Manifest

    return Manifest.read(path)


def load_classifier(folder: Path, device: str) -> Classifier:
    if not folder.exists():
        raise UsageError("no such classifier", code="E_READ", file=folder)
    try:
        from isotone.models.classifier import Classifier
    except ImportError:
        raise IsotoneError("E_EXTRA", "a classifier needs torch") from None
    return Classifier.load(folder, device=device)


def print_table(lines: Any) -> None:
    from rich.console import Console

    # Wide enough that nothing is wrapped or cut when the output is a file.
    Console(width=None if sys.stdout.isatty() else 400).print(lines)


def print_results(results: Any) -> None:
    print_table(results.table())
