"""Messages name parameters of Python, and options while a command runs."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import typer

import isotone
from isotone.cli import app
from isotone.errors import CODES, PARAMETERS, UsageError, as_options, at_command_line

SRC = Path(isotone.__file__).parent
COMMAND = re.compile(r"isotone [a-z]+( \S+)* (--?[a-z]+)")


def texts(path: Path) -> set[str]:
    """What the strings of a module say, docstrings apart."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs}


def test_no_message_of_the_library_names_an_option() -> None:
    """Outside cli/ there is none, but in a whole command such as `isotone serve --retry`."""
    own = {"errors.py", "cli", "serving"}
    said = {text for path in SRC.rglob("*.py") if path.relative_to(SRC).parts[0] not in own for text in texts(path)}
    said |= {text for code in CODES.values() for text in code}
    assert {text for text in said if re.search(r"(^|[ (])(--[a-z]|-o\b)", COMMAND.sub("", text))} == set()


def test_every_parameter_that_messages_name_is_one_of_python_and_of_a_command() -> None:
    public = [getattr(isotone, name) for name in isotone.__all__ if callable(getattr(isotone, name))]
    functions = public + [part for kind in public if inspect.isclass(kind) for _, part in inspect.getmembers(kind)]
    known = {name for one in functions if callable(one) for name in parameters(one)}
    commands = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    all_commands = [*commands, *(inner for one in commands for inner in getattr(one, "commands", {}).values())]
    options = {name for command in all_commands for option in command.params for name in option.opts}
    assert set(PARAMETERS) - known - {"headers", "shard"} == set()  # of `cohorts.rsna`, and of `RunOptions`
    assert {f"--{name.replace('_', '-')}" for name in PARAMETERS} <= options


def parameters(function: object) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return set()


@pytest.mark.parametrize(
    ("python", "option"),
    [
        ('allow=["look"] skips this', "--allow look skips this"),
        ("name another output=, or give force=True.", "name another -o, or give --force."),
        ("inverted=True or inverted=False", "--inverted or --not-inverted"),
        ('domain= (A, B), deliver="png" needs size=, 1', "--domain (A, B), --deliver png needs --size, 1"),
        ("See help() of what was called.", "See --help."),
        (
            'use .with_domain("A B"); if not, fit',
            'give --domain-map "OLD=A B", where OLD is the name that isotone inspect shows; if not, fit',
        ),
        ("/data/domain=/x.dcm bits=12", "/data/domain=/x.dcm bits=12"),
    ],
)
def test_parameters_become_options(python: str, option: str) -> None:
    assert as_options(python) == option


def test_an_error_speaks_to_its_caller() -> None:
    error = UsageError('deliver="npy" needs size=', next_step='Give bits="same".')
    assert str(error) == 'deliver="npy" needs size= [E_USAGE]. Give bits="same".'
    with at_command_line():
        assert str(error) == "--deliver npy needs --size [E_USAGE]. Give --bits same."
        assert error.to_json()["next_step"] == "Give --bits same."
