"""A harmonizer in the formats of other people's tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from isotone.cli.app import AllowCode, Finding, Force, Output, app, load_classifier, need, run_in, say, warn

Format = Literal["onnx", "hub", "monai"]


@app.command()
def export(
    harmonizer: Annotated[Path, typer.Argument(help="Folder of the harmonizer.")],
    output: Output,
    classifier: Annotated[Path | None, typer.Option(help="Folder of the classifier behind it.")] = None,
    allow_code: AllowCode = None,
    finding: Finding = None,
    format: Annotated[
        Format, typer.Option("--format", help="ONNX graphs, a Hugging Face folder, or a MONAI bundle.")
    ] = "onnx",
    force: Force = False,
) -> None:
    """Write a harmonizer, and a classifier, for other tools: ONNX graphs, a hub folder, a MONAI bundle."""
    if format == "onnx":
        need("onnx", "onnxruntime", *(() if classifier is None else ("torch", "onnxscript")))
    from isotone.harmonizer.fit_report import kept_lines
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

    model = ToneCurveHarmonizer.load(harmonizer)
    frozen = None if classifier is None else load_classifier(classifier, "cpu", allow_code, finding)
    with run_in(output, force, "export", harmonizer, classifier, format):
        if format == "onnx":
            from isotone.interop.onnx import export_onnx

            for graph in export_onnx(model, output, frozen):
                say(f"{graph.domain}: {output / graph.file}, as isotone within {graph.curve_error:.1g}")
        elif format == "hub":
            from isotone.interop.hub import save_pretrained

            save_pretrained(model, output, frozen)
            say(output)
        else:
            from isotone.interop.bundle import export_bundle

            export_bundle(model, output, frozen)
            say(output)
    for line in kept_lines(model.scanners):
        warn(f"{line}, and its graph is the identity" if format == "onnx" else line)
