"""The pages that follow from the code say what the code says, and the registry of codes is whole."""

from __future__ import annotations

import importlib.util
import json
import re
import tokenize
from pathlib import Path

import pytest

import isotone
from isotone.errors import CODES
from isotone.monitoring.header_novelty import CODES as RENAMED
from isotone.monitoring.header_novelty import WARNED

SRC = Path(isotone.__file__).parent
DOCS = SRC.parents[1] / "docs"
CODE = re.compile(r"\b[EW]_[A-Z]+(?:_[A-Z]+)*\b(?!_)")


def test_generated_pages_are_those_of_the_code() -> None:
    """Where this fails: python docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    pages = generate.pages()
    assert {path.name for path in pages if path.read_text(encoding="utf-8") != pages[path]} == set()
    assert {*(DOCS / "api").glob("*.md"), *(DOCS / "commands").glob("*.md")} <= set(pages)


def codes_in_strings(path: Path) -> set[str]:
    """Codes within the strings of a module."""
    kinds = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    with tokenize.open(path) as file:
        return {c for t in tokenize.generate_tokens(file.readline) if t.type in kinds for c in CODE.findall(t.string)}


def test_every_code_is_registered_and_every_registered_code_is_used() -> None:
    used = {code for path in SRC.rglob("*.py") for code in codes_in_strings(path)}
    seen = {f"W_SEEN_{RENAMED.get(name, name).upper()}" for name in WARNED}
    assert used | seen == set(CODES)


def test_every_code_has_a_cause_and_a_remedy() -> None:
    for code, said in CODES.items():
        assert said.cause
        assert said.remedy.endswith((".", ")")), code


@pytest.mark.parametrize("path", sorted((DOCS / "tutorials").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_tutorial_stores_what_it_shows_and_nothing_of_the_machine(path: Path) -> None:
    """Where this fails: python docs/tutorials.py."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert {output["output_type"] for cell in code for output in cell["outputs"]} <= {"execute_result", "stream"}
    assert not any(cell["metadata"] for cell in code)
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    shown = json.dumps([cell["outputs"] for cell in code])
    assert not re.search(r"(?<![\w/+.])/(tmp|home|root|work|usr)/|Traceback|Warning:", shown)
