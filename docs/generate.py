"""Writes what follows from the code: docs/api.md, docs/api/*.md, docs/commands.md, docs/commands/*.md, docs/errors.md.

    python docs/generate.py

`tests/test_generated_pages.py` fails where a page and the code differ.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import isotone
from isotone.errors import CODES, as_options

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

EXAMPLES = {
    "cohort phantom": "isotone cohort phantom -o cohort --patients 30 --size 64 --quiet",
    "inspect": "isotone inspect cohort/images/birch",
    "manifest": "isotone manifest cohort/images/birch -o birch.csv",
    "train": 'isotone train cohort/manifest.csv --reference "Alder Mammo One" -o classifier --backbone small '
    "--image-size 32 --epochs 1 --quiet",
    "trained-on": "isotone trained-on classifier cohort/manifest.csv",
    "audit": 'isotone audit cohort/manifest.csv --reference "Alder Mammo One" --classifier classifier --quiet',
    "fit": 'isotone fit cohort/manifest.csv --reference "Alder Mammo One" --source "Birch Mammo Two" -o curve --quiet',
    "curve": "isotone curve curve --plot curve.svg",
    "evaluate": "isotone evaluate cohort/manifest.csv --classifier classifier --harmonizer curve -o evaluation --quiet",
    "compare": "isotone compare evaluation evaluation",
    "paperwork": "isotone paperwork evaluation",
    "apply": "isotone apply curve cohort/images/birch -o harmonized --quiet",
    "restore": "isotone restore harmonized -o restored --quiet",
    "check": "isotone check curve cohort/images/birch --quiet",
    "export": "isotone export curve -o hub --format hub",
    "reproduce": "isotone reproduce phantom --quick --dry-run -o reproduction",
}
"""One for each command, in an order in which they run one after the other: docs/commands.md runs them."""
NOT_RUN = {
    "demo": "isotone demo -o demo",
    "serve": "isotone serve node.toml",
    "cohort nih": "isotone cohort nih Data_Entry_2017_v2020.csv --images images -o nih",
    "cohort rsna": "isotone cohort rsna --labels stage_2_train_labels.csv --images stage_2_train_images -o rsna",
    "cohort embed": "isotone cohort embed EMBED -o embed",
}
"""Examples that need minutes, a signal or a download."""
COMMANDS = """# Commands

Each command has a page, made from the code. The examples run one after the other in one folder:

```console
{examples}
```

| command | in one line |
|---|---|
{rows}

`isotone --install-completion` makes the shell complete commands and options.

```{{toctree}}
:maxdepth: 1
:hidden:

{pages}
```
"""
INTEROP = (
    *("harmonize.Harmonize", "sklearn.ImageTransformer"),
    *("monai.Harmonize", "monai.Harmonized", "monai.LoadRadiograph", "monai.LoadRadiographd"),
    *("torchio.Harmonize", "torchio.ApplyToneCurve"),
    *("onnx.export_onnx", "bundle.export_bundle"),
    *("hub.save_pretrained", "hub.from_pretrained", "hub.push_to_hub"),
)
"""What users import from `isotone.interop`; it has no name in `isotone` itself, since some of it needs an extra."""


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
    found[DOCS / "api" / "interop.md"] = interop_page()
    listed = "\n".join(f"api/{room}" for room in sorted([*rooms, "interop"]))
    found[DOCS / "api.md"] = API.format(rows="\n".join(sorted(rows, key=str.casefold)), pages=listed)
    found |= command_pages()
    errors = (DOCS / "errors.md").read_text(encoding="utf-8")
    before, _, rest = errors.partition(BEGIN)
    found[DOCS / "errors.md"] = f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"
    return found


def command_pages() -> dict[Path, str]:
    """The page of each command, and the page that lists them."""
    import typer

    from isotone.cli import app

    commands = dict(sorted(walk(typer.main.get_command(app))))
    examples = EXAMPLES | NOT_RUN
    names = {name: name.replace(" ", "-") for name in commands}
    found = {
        DOCS / "commands" / f"{names[name]}.md": command_page(name, command, examples[name])
        for name, command in commands.items()
    }
    rows = [
        f"| [`isotone {n}`](commands/{names[n]}.md) | {help_of(c).partition(chr(10))[0]} |" for n, c in commands.items()
    ]
    found[DOCS / "commands.md"] = COMMANDS.format(
        examples="\n".join(f"$ {line}" for line in EXAMPLES.values()),
        rows="\n".join(rows),
        pages="\n".join(f"isotone {n} <commands/{names[n]}>" for n in commands),
    )
    return found


def walk(group: typing.Any, before: str = "") -> Iterator[tuple[str, typing.Any]]:
    """Every command by its name, those of groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def command_page(name: str, command: typing.Any, example: str) -> str:
    """What a command does, an example, its arguments and options."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["isotone", name, "[OPTIONS]", *(shown_argument(p) for p in arguments)])
    lines = [f"# isotone {name}", "", help_of(command), "", "```text", usage, "```", ""]
    lines += ["For example ([all examples in one run](../commands.md)):" if name in EXAMPLES else "For example:"]
    lines += ["", "```text", example, "```", ""]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{shown_argument(p)}` | {cell(p.help or '')} |" for p in arguments] + [""]
    lines += ["| option | meaning | default |", "|---|---|---|"]
    lines += [f"| {shown_option(p)} | {cell(p.help or '')} | {default_of(p)} |" for p in options]
    return "\n".join([*lines, ""])


def help_of(command: typing.Any) -> str:
    """Its help, as it is on the terminal."""
    return inspect.cleandoc(command.help or "")


def shown_argument(parameter: typing.Any) -> str:
    """An argument as in the usage line."""
    shown = parameter.metavar or parameter.name.upper()
    return shown if parameter.required else f"[{shown}]"


def shown_option(parameter: typing.Any) -> str:
    """An option with its choices or the kind of its value."""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    choices = [kind for kind in typing.get_args(parameter.type_descriptor.annotation) if isinstance(kind, str)]
    value = parameter.metavar or ", ".join(choices)
    return f"{names} {cell(value)}".rstrip() + (" (required)" if parameter.required else "")


def default_of(parameter: typing.Any) -> str:
    """A default that is the same on every machine; flags are off."""
    if parameter.name == "workers":
        return "1, or the number of processors"
    value = parameter.default
    shown = isinstance(value, str | int | float) and value is not False
    return f"`{value}`" if shown else ""


def cell(text: str) -> str:
    """Text in a table; options keep their hyphens."""
    return re.sub(r"--[a-z][a-z-]+", r"`\g<0>`", text).replace("|", "\\|")


def room_of(thing: object) -> str:
    """The room that defines it; the door is called isotone."""
    room = thing.__module__.split(".")[1]
    return room if (SRC / room).is_dir() else "isotone"


def page_of(room: str, names: list[str]) -> str:
    """The question of a room, its public names, and what their functions return."""
    lines = [f"# {room}", "", question_of(room), "", "```{eval-rst}", ".. currentmodule:: isotone"]
    for name in names:
        lines += ["", *directive(getattr(isotone, name), name)]
    returned = [kind for name in names for kind in results_of(getattr(isotone, name))]
    for kind in dict.fromkeys(returned):
        lines += ["", *directive(kind, f"{kind.__module__}.{kind.__qualname__}")]
    return "\n".join([*lines, "```", ""])


def question_of(room: str) -> str:
    """The first line of a room; the door is called isotone."""
    home = SRC / room if room != "isotone" else SRC
    text = ast.get_docstring(ast.parse((home / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def interop_page() -> str:
    """The names of `INTEROP`, each by the module that users import; the extras are not needed for that."""
    lines = [question_of("interop"), "", "Examples: [pipelines](../pipelines.md), [export](../export.md)."]
    lines = ["# interop", "", *lines, "", "```{eval-rst}"]
    for name in INTEROP:
        is_class = name.partition(".")[2][0].isupper()
        lines += [f".. auto{'class' if is_class else 'function'}:: isotone.interop.{name}", ""]
        if name == "harmonize.Harmonize":
            lines[-1:] = ["   :members:", "   :special-members: __call__", ""]
    return "\n".join([*lines[:-1], "```", ""])


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
            f"| `{code}` | {sentence(as_options(said.cause))} | {as_options(said.remedy)} |"
            for code, said in CODES.items()
            if code[0] == letter
        ]
        parts.append("\n".join([f"## {title}", "", "| code | cause | what to do |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def sentence(clause: str) -> str:
    """A clause as a sentence."""
    return clause[0].upper() + clause[1:].rstrip(".") + "."


def main() -> None:
    for folder in (DOCS / "api", DOCS / "commands"):
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.md"):
            old.unlink()
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
