"""Runs docs/tutorials/*.ipynb and stores what they show: `python docs/tutorials.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

for path in sorted((Path(__file__).resolve().parent / "tutorials").glob("*.ipynb")):
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="isotone-tutorial-") as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=120, record_timing=False, resources=where).execute()
    notebook.metadata.language_info = {"name": "python"}  # without the version of this machine
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if "text/html" in output.get("data", {}):
            output.data.pop("text/plain", None)  # the same again, up to 50 kB
    nbformat.write(notebook, path)
