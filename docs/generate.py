"""Writes what follows from the code: docs/api.md, docs/api/*.md and the tables of docs/errors.md.

    python docs/generate.py

`tests/test_generated_pages.py` fails where a page and the code differ.
"""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import isotone
from isotone.errors import CODES

DOCS = Path(__file__).resolve().parent
SRC = DOCS.parent / "src" / "isotone"
BEGIN, END = "<!-- made by docs/generate.py from src/isotone/codes.json -->", "<!-- end -->"
API = """# Python API

These are the public names, by the room in which each one lives. Everything else may change between minor versions.
The examples run in a folder that holds `phantom/` (`isotone.make_phantom("phantom", patients=72, size=64)`),
`harmonizer/` and `classifier/` (fitted and trained on it), and two evaluations.

| name | in one line |
|---|---|
{rows}

```{{toctree}}
:maxdepth: 1

{pages}
```
"""


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    rooms: dict[str, list[str]] = {}
    for name in sorted(isotone.__all__, key=str.casefold):
        if name != "__version__":
            rooms.setdefault(room_of(getattr(isotone, name)), []).append(name)
    found = {DOCS / "api" / f"{room}.md": page_of(room, names) for room, names in sorted(rooms.items())}
    rows = [
        f"| {{py:obj}}`isotone.{name}` | {first_line(getattr(isotone, name))} |"
        for names in rooms.values()
        for name in names
    ]
    listed = "\n".join(f"api/{room}" for room in sorted(rooms))
    found[DOCS / "api.md"] = API.format(rows="\n".join(sorted(rows, key=str.casefold)), pages=listed)
    errors = (DOCS / "errors.md").read_text(encoding="utf-8")
    before, _, rest = errors.partition(BEGIN)
    found[DOCS / "errors.md"] = f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"
    return found


def room_of(thing: object) -> str:
    """The room that defines it; the door is called isotone."""
    room = thing.__module__.split(".")[1]
    return room if (SRC / room).is_dir() else "isotone"


def page_of(room: str, names: list[str]) -> str:
    """The question of a room, its public names, and what their functions return."""
    home = SRC / room if room != "isotone" else SRC
    question = (ast.get_docstring(ast.parse((home / "__init__.py").read_text(encoding="utf-8"))) or "").partition("\n")[
        0
    ]
    lines = [f"# {room}", "", question, "", "```{eval-rst}", ".. currentmodule:: isotone"]
    for name in names:
        lines += ["", *directive(getattr(isotone, name), name)]
    returned = [kind for name in names for kind in results_of(getattr(isotone, name))]
    for kind in dict.fromkeys(returned):
        lines += ["", *directive(kind, f"{kind.__module__}.{kind.__qualname__}")]
    return "\n".join([*lines, "```", ""])


def directive(thing: object, name: str) -> list[str]:
    """The line, and its options, by which Sphinx shows it."""
    if not inspect.isclass(thing):
        return [f".. autofunction:: {name}"]
    if issubclass(thing, Exception):
        return [f".. autoexception:: {name}", "   :members:"]
    if issubclass(thing, importable("torch.nn").Module):
        return [f".. autoclass:: {name}", "   :members: coefficients, forward"]
    special = ["   :special-members: __call__"] if "__call__" in vars(thing) else []
    # Those of pydantic would fill pages.
    bases = [base.__module__ for base in thing.__mro__[1:-1] if base.__module__ not in {"abc", "typing"}]
    ours = bool(bases) and all(module.startswith("isotone.") for module in bases)
    inherited = ["   :inherited-members:"] if ours else []
    return [f".. autoclass:: {name}", "   :members:", *inherited, *special]


def importable(name: str) -> typing.Any:
    """A module of an extra."""
    return __import__(name, fromlist=["_"])


def results_of(thing: object) -> Iterator[type]:
    """Classes of ours that a function returns and that have no public name."""
    if not inspect.isfunction(thing):
        return
    said = typing.get_type_hints(thing, vars(sys.modules[thing.__module__])).get("return")
    for kind in (said, *typing.get_args(said)):
        ours = inspect.isclass(kind) and kind.__module__.startswith("isotone.")
        if ours and kind.__name__ not in isotone.__all__:
            yield kind


def first_line(thing: object) -> str:
    """What its docstring says first."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def tables() -> str:
    """The codes, errors and warnings apart."""
    parts = []
    for title, letter in (("Errors", "E"), ("Warnings", "W")):
        rows = [
            f"| `{code}` | {sentence(said.cause)} | {said.remedy} |"
            for code, said in CODES.items()
            if code[0] == letter
        ]
        parts.append("\n".join([f"## {title}", "", "| code | cause | what to do |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def sentence(clause: str) -> str:
    """A clause as a sentence."""
    return clause[0].upper() + clause[1:].rstrip(".") + "."


def main() -> None:
    (DOCS / "api").mkdir(exist_ok=True)
    for old in (DOCS / "api").glob("*.md"):
        old.unlink()
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
