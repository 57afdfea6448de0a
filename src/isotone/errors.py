"""One tree of errors: every message is one line that says what, which file and what to do next."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from isotone.safe_text import printable


class Code(NamedTuple):
    """What a stable code means: what is wrong, and what to do about it."""

    cause: str
    remedy: str


CODES = {
    code: Code(**said)
    for code, said in json.loads(Path(__file__).with_name("codes.json").read_text(encoding="utf-8")).items()
}
"""Every stable code (public API) of an error, ``E_…``, and of a warning, ``W_…``; docs/errors.md is made from it.

An error's raiser may name a better next step than the remedy. The cause of a warning about a file ends its line.
"""


def installing(extra: str) -> str:
    """What to do where an optional package is missing: a command that adds the extra to this installation.

    pip keeps in ``direct_url.json`` (PEP 610) where it took isotone from: a clone, a wheel, a repository.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        origin = json.loads(distribution("isotone").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # a checkout that is on the path and not installed
        return CODES["E_EXTRA"].remedy.replace("[train]", f"[{extra}]")
    return f"Install it: pip install {_requirement(extra, origin)}"


def _requirement(extra: str, origin: dict[str, Any]) -> str:
    """What pip is given; `origin` is the contents of ``direct_url.json``, empty where an index had it."""
    from urllib.parse import unquote

    url = str(origin.get("url", ""))
    if not url:
        return f'"isotone[{extra}]"'
    if origin.get("dir_info", {}).get("editable"):
        return f'-e "{unquote(url.removeprefix("file://"))}[{extra}]"'
    version = origin.get("vcs_info", {})
    where = f"{version['vcs']}+{url}@{version['commit_id']}" if version else url
    return f'"isotone[{extra}] @ {where}"'


_at_command_line: ContextVar[bool] = ContextVar("at_command_line", default=False)
IN_PYTHON = (
    (r'give --domain-map "OLD=([^"]*)", where OLD is the name that isotone inspect shows', r'use .with_domain("\1")'),
    (r"by --domain-map OLD=NEW", "by .with_domain(NEW)"),
    (r"--allow-code \S+ \(from Python ([^)]*)\)", r"\1"),
    (r"--(allow|domain-by) ([a-z-]+)", r'\1=["\2"]'),
    (r"--(deliver|method|perceptual|labels) ([a-z-]+)", r'\1="\2"'),
    (r"--force", "force=True"),
    (r"--help", "help() of what was called"),
    (r"(?<=[ (])-o\b", "output="),
)
"""Options of the commands, and what they are called in Python where that is not their name and an equals sign."""


@contextmanager
def at_command_line() -> Iterator[None]:
    """Within, errors name options of the commands; elsewhere parameters of Python."""
    token = _at_command_line.set(True)
    try:
        yield
    finally:
        _at_command_line.reset(token)


def in_python(text: str) -> str:
    """A message that names options of the commands, with the names that these have in Python.

    >>> in_python("Look at it; --allow look applies the curve all the same.")
    'Look at it; allow=["look"] applies the curve all the same.'
    """
    for option, name in IN_PYTHON:
        text = re.sub(option, name, text)
    return re.sub(r"--([a-z][a-z-]+)", lambda found: found[1].replace("-", "_") + "=", text)


class IsotoneError(Exception):
    """Whatever isotone refuses or fails at.

    Parameters
    ----------
    code : str
        A key of `CODES`.
    what : str
        What is wrong, in one clause, without patient data.
    file : path, optional
        The file concerned, as the user gave it.
    next_step : str, optional
        What to do, in terms of the command line; by default the code's remedy. The error's text has it in terms
        of Python, unless a command runs.

    Examples
    --------
    >>> import isotone
    >>> try:
    ...     isotone.read_radiograph("missing.dcm")
    ... except isotone.IsotoneError as error:
    ...     print(error.code, error.exit_code)
    E_READ 1
    """

    exit_code = 1

    def __init__(self, code: str, what: str, *, file: str | Path | None = None, next_step: str | None = None) -> None:
        self.code = code
        self.what = what
        self.file = None if file is None else str(file)
        self.next_step = next_step or (installing("train") if code == "E_EXTRA" else CODES[code].remedy)
        super().__init__(code, what, self.file, self.next_step)

    def to_json(self) -> dict[str, object]:
        """The fields of a refusal in the output for programs (``docs/json.md``)."""
        return {
            "path": self.file,
            "status": "refused",
            "code": self.code,
            "message": self.what,
            "next_step": self.next_step,
        }

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""  # with its blanks and line breaks: it names no other file then
        step = self.next_step if _at_command_line.get() else in_python(self.next_step)
        line = f"{self.what} [{self.code}]. {step}"
        return printable(where + " ".join(line.split()))

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword arguments do not cross a process boundary by themselves.
        return _rebuild, (type(self), self.code, self.what, self.file, self.next_step)


def _rebuild(kind: type[IsotoneError], code: str, what: str, file: str | None, next_step: str) -> IsotoneError:
    return kind(code, what, file=file, next_step=next_step)


class RadiographError(IsotoneError):
    """One image is refused; the others go on."""


class ModelError(IsotoneError):
    """A curve, harmonizer or classifier file is damaged, foreign or of another version."""


class UsageError(IsotoneError):
    """The command or call cannot be carried out as it was given (exit code 2)."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        code: str = "E_USAGE",
        file: str | Path | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(code, what, file=file, next_step=next_step)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_usage, (self.what, self.code, self.file, self.next_step)


def _rebuild_usage(what: str, code: str, file: str | None, next_step: str) -> UsageError:
    return UsageError(what, code=code, file=file, next_step=next_step)
