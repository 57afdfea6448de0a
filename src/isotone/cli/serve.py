"""The command that runs a node."""

from pathlib import Path
from typing import Annotated

import typer

from isotone.cli.app import app, need


@app.command()
def serve(
    config: Annotated[Path, typer.Argument(help="Configuration (docs/serving.md).", metavar="CONFIG.toml")],
    retry: Annotated[bool, typer.Option("--retry", help="Take up dead letters and held objects again.")] = False,
) -> None:
    """DICOM node: receive, harmonize, forward; until a signal ends it."""
    need("pynetdicom", "dicomweb_client")
    from isotone.serving.node import serve as run
    from isotone.serving.node_settings import read_settings

    run(read_settings(config), retry=retry)
