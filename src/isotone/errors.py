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
PARAMETERS = (
    *("allow", "allow_code", "bits", "compress", "deliver", "device", "domain", "domain_by", "domain_map", "force"),
    *("headers", "inverted", "labels", "method", "perceptual", "perceptual_weights", "refit", "shard", "size"),
)
"""Parameters that messages name, each by its name and an equals sign; the option has the same name with hyphens."""
KEYWORD = re.compile(rf"""(?<![\w./])({"|".join(PARAMETERS)})=(?:\["([^"]*)"\]|"([^"]*)"|True|(False))?(?!\w)""")
OTHERWISE = (
    (r"help\(\) of what was called", "--help"),
    (
        r'use \.with_domain\("([^"]*)"\)',
        r'give --domain-map "OLD=\1", where OLD is the name that isotone inspect shows',
    ),
    (r"by \.with_domain\(NEW\)", "by --domain-map OLD=NEW"),
    (r"by \.of_finding\(NAME\)", "with --finding"),
    (r"(?<![\w./])output=(?!\w)", "-o"),
    (r"(?<![\w./])reference_domains=(?!\w)", "--reference"),
)
"""What the commands have another way for."""


@contextmanager
def at_command_line() -> Iterator[None]:
    """Within, errors name options of the commands; elsewhere parameters of Python."""
    token = _at_command_line.set(True)
    try:
        yield
    finally:
        _at_command_line.reset(token)


def as_options(text: str) -> str:
    """A message that names parameters of Python, with the options of the commands in their place.

    >>> as_options('Look at it; allow=["look"] applies the curve all the same.')
    'Look at it; --allow look applies the curve all the same.'
    """
    for parameter, option in OTHERWISE:
        text = re.sub(parameter, option, text)
    return KEYWORD.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    name, of_list, value, is_false = found.groups()
    return " ".join(filter(None, [f"--{'not-' if is_false else ''}{name.replace('_', '-')}", of_list or value]))


def in_callers_terms(text: str) -> str:
    """A message as it is in Python; while a command runs, with its options."""
    return as_options(text) if _at_command_line.get() else text


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
        What to do, in terms of Python; by default the code's remedy. While a command runs, the error's text names
        options in the place of parameters.

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
            "message": in_callers_terms(self.what),
            "next_step": in_callers_terms(self.next_step),
        }

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""  # with its blanks and line breaks: it names no other file then
        line = in_callers_terms(f"{self.what} [{self.code}]. {self.next_step}")
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
