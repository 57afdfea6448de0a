"""What the commands share: the application, its options, and how a refusal becomes one line and an exit code."""

import json
import os
import signal
import sys
from contextlib import AbstractContextManager
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from isotone._version import __version__
from isotone.errors import IsotoneError, UsageError, at_command_line, in_callers_terms, installing
from isotone.monitoring.guards import GUARDS
from isotone.safe_text import printable, printable_lines

# Only what --help needs is imported here: torch alone takes two seconds.
if TYPE_CHECKING:
    from isotone.data.manifests.manifest import Manifest
    from isotone.networks.classifier import Classifier

INTERRUPTED = 130
RESUMED = ("apply", "restore", "train", "fit", "reproduce", "demo", "serve")
"""Commands that keep what an interrupted run has done; of `fit`, the networks of gdce."""
EXTRAS = {
    **dict.fromkeys(
        ("torch", "safetensors", "sklearn", "skimage", "jinja2", "markupsafe", "pandas", "pyarrow"), "train"
    ),
    "matplotlib": "plot",
    "tensorboard": "tensorboard",
    **dict.fromkeys(("onnx", "onnxruntime", "onnxscript"), "onnx"),
    "monai": "monai",
    "torchio": "torchio",
    "huggingface_hub": "hub",
    **dict.fromkeys(("pynetdicom", "dicomweb_client"), "serve"),
}
"""Which extra of pyproject.toml brings a package."""
# The parser's complaint about a command line; typer does not export it, and its own copy of click may be vendored.
BAD_USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end: what Ctrl-C tidies up, it tidies up too."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def stop_on_signals() -> None:
    """End on SIGTERM (systemd, Kubernetes) as on Ctrl-C; and on SIGHUP (a closed terminal), unless nohup ignores it."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and (name == "SIGTERM" or signal.getsignal(number) != signal.SIG_IGN):
            signal.signal(number, _stop)


def _stop(number: int, _: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would stop the tidying up
    raise Stopped(number)


class Commands(TyperGroup):
    """Turns our errors and the parser's into one line and an exit code."""

    def make_context(self, info_name: Any, args: Any, *rest: Any, **extra: Any) -> Any:
        """Parse what stands before the command."""
        given = list(args)
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except BAD_USAGE as error:
            if not given:
                raise  # nothing to complain about: the help is shown
            with at_command_line():
                raise _refused(error, self.name or "isotone") from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with at_command_line():
            return self._invoke(ctx)

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BAD_USAGE as error:
            raise _refused(error, ctx.command_path) from None
        except IsotoneError as error:
            complain(error)
            raise typer.Exit(error.exit_code) from None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRAS:
                raise
            complain(missing(package))
            raise typer.Exit(IsotoneError.exit_code) from None
        except KeyboardInterrupt as error:
            again = "goes on from here" if ctx.invoked_subcommand in RESUMED else "begins anew"
            print(f"isotone: interrupted; the same command {again}", file=sys.stderr)
            raise typer.Exit(getattr(error, "exit_code", INTERRUPTED)) from None


def _refused(error: Any, command: str) -> typer.Exit:
    said = error.format_message().rstrip(".")
    where = error.ctx.command_path if error.ctx else command
    complain(UsageError(said[:1].lower() + said[1:], next_step=f"See {where} --help."))
    return typer.Exit(UsageError.exit_code)


app = typer.Typer(
    cls=Commands,
    name="isotone",
    help="One transparent, monotone tone curve from one vendor's X-ray images to another's. "
    "Input for algorithms in research; not for diagnostic reading, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cohort = typer.Typer(help="Images or tables as published → a manifest and Table 1.")
app.add_typer(cohort, name="cohort")

Output = Annotated[Path, typer.Option("--output", "-o", help="Output folder.")]
Paths = Annotated[list[Path], typer.Argument(help="Files, folders or manifests.", metavar="PATH...")]
Reference = Annotated[list[str], typer.Option("--reference", help="Reference domain; may be repeated.")]
Domain = Annotated[str | None, typer.Option(help="Domain of files whose header has none.")]
Inverted = Annotated[
    bool | None,
    typer.Option("--inverted/--not-inverted", help="0 is white (or black); overrides the files.", show_default=False),
]
Deliver = Literal["pixels", "voi-lut", "gsps", "png", "npy"]
Compress = Annotated[
    Literal["none", "rle", "jpeg-ls", "htj2k", "jpeg2000", "same"] | None,
    typer.Option(help="Lossless compression of DICOM pixels; by default JPEG-LS where the source was compressed."),
]
Bits = Annotated[
    Literal["16", "same"],
    typer.Option(help="Bits of a delivered value: 16, or the same as the source, which loses grey levels."),
]
Size = Annotated[int | None, typer.Option(help="Side in pixels of the images of --deliver png and npy.")]
FitMethod = Literal["auto", "scanner", "adaptive", "gdce"]
Labels = Literal["all", "none"]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
PlannedDevice = Annotated[str, typer.Option("--device", help="Device of the networks, e.g. cpu or cuda.")]
Device = Annotated[
    str, typer.Option(help="Device of the networks, e.g. cpu or cuda.", callback=lambda name: usable_device(name))
]
AllowCode = Annotated[
    str | None,
    typer.Option(help="Code that is named in the classifier's folder and may run.", metavar="MODULE:FUNCTION"),
]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the labels.", metavar="COLUMN")]
Finding = Annotated[
    str | None,
    typer.Option(help="One output of a classifier with several findings; --label is its label column.", metavar="NAME"),
]
Workers = Annotated[int, typer.Option(help="Processes that read images.", min=1)]
Force = Annotated[bool, typer.Option("--force", help="Use a non-empty output folder.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Skip a check (guard) and apply the curve: {', '.join(GUARDS)}; may be repeated.",
        metavar="GUARD",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines for programs (docs/json.md).")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Neither use nor write the cache of descriptors and scores (ISOTONE_CACHE names its folder).",
    ),
]
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


def usable_device(name: str) -> str:
    """Refuse a device that is not here before anything is read or written.

    Raises
    ------
    UsageError
        torch has no such device, or cannot use it.
    """
    if name == "cpu":
        return name
    import torch

    try:
        torch.empty(1, device=name).cpu()
    except (RuntimeError, AssertionError):  # the latter where torch was built without CUDA
        raise UsageError(f"no device {name!r} can be used here", next_step="Use --device cpu.") from None
    return name


def missing(package: str) -> IsotoneError:
    """The refusal of a command that needs an extra which is not installed."""
    return IsotoneError("E_EXTRA", f"this command needs {package}", next_step=installing(EXTRAS[package]))


def need(*packages: str) -> None:
    """Refuse at the start what would be missing at the end of a long run.

    Raises
    ------
    IsotoneError
        E_EXTRA: a package of an extra is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing(package)


def say(*lines: object) -> None:
    """Print lines, in which names of files and scanners may stand, on standard output."""
    for line in lines:
        print(printable(in_callers_terms(str(line))), flush=True)


def warn(line: str) -> None:
    """Print a warning, in the terms of the command line, on standard error."""
    print(printable(in_callers_terms(line)), file=sys.stderr)


def run_in(output: Path, force: bool, command: str, *inputs: Any) -> AbstractContextManager[Path]:
    from isotone._runtime.files import run_folder

    return run_folder(output, {"command": command, "inputs": inputs, "version": __version__}, force=force)


def cache_folder(off: bool) -> Path | None:
    """Where fits and evaluations keep what they know of images."""
    from isotone._runtime.disk_cache import user_folder

    return None if off else user_folder()


def complain(error: IsotoneError) -> None:
    print(f"isotone: {error}", file=sys.stderr)


class LeftOut:
    """Names each image that is left out as soon as it is, so also where the command then fails; and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: IsotoneError) -> None:
        complain(error)
        self.count += 1

    def end(self) -> typer.Exit:
        """The end of a command that did the rest."""
        return typer.Exit(int(self.count > 0))


def read_manifest(path: Path) -> "Manifest":
    from isotone.data.manifests.manifest import Manifest

    return Manifest.read(path)


def load_classifier(folder: Path, device: str, allow_code: str | None, finding: str | None = None) -> "Classifier":
    if not folder.exists():
        raise UsageError("no such classifier", code="E_READ", file=folder)
    from isotone.networks.classifier import Classifier

    loaded = Classifier.load(folder, device=device, allow_code=allow_code or ())
    if finding is None and loaded.config.exclusive:
        return loaded
    if finding is None:
        raise UsageError(
            "the outputs of this classifier do not exclude each other",
            file=folder,
            next_step=f"Choose one with --finding ({', '.join(loaded.config.classes)}).",
        )
    return loaded.of_finding(finding)


def print_json(kind: str, fields: Any) -> None:
    """One line of the output for programs (docs/json.md); JSON has no NaN: what is no number is null."""
    known = {
        name: None if isinstance(value, float) and not isfinite(value) else value for name, value in fields.items()
    }
    print(json.dumps({"schema": 1, "kind": kind} | known, allow_nan=False), flush=True)


def print_table(lines: Any) -> None:
    from rich.console import Console
    from rich.segment import Segment, Segments

    # Wide enough that nothing is wrapped or cut when the output is a file. A scanner's name is no markup.
    console = Console(width=None if sys.stdout.isatty() else 400, markup=False, emoji=False)
    drawn = [s if s.control else Segment(printable_lines(s.text), s.style) for s in console.render(lines)]
    console.print(Segments(drawn), end="")


def print_results(results: Any) -> None:
    from isotone.evaluation.headline import headline, hurt, lines

    print_table(results.table())
    said = (headline(results), *lines(results), hurt(results), *results.cautions, *results.notes)
    say(*dict.fromkeys(str(sentence).replace("\u00a0", " ") for sentence in said))  # the report's, which may not wrap
