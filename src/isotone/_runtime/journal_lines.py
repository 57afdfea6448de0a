"""The journal of an older build, which was lines of JSON; it is read once, and converted."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

LINES = "journal.jsonl"
Lines = tuple[dict[str, Any], list[dict[str, Any]]]
"""What an older build noted: the model, and a line for each input."""


def read_lines(path: Path) -> Lines:
    """The model and the entries of a journal of lines; of several entries with one file the last counts.

    Raises
    ------
    ValueError
        It is no such journal.
    """
    lines: list[dict[str, Any]] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            with suppress(ValueError, RecursionError):  # a line that a kill or a full disk cut short
                lines.append(json.loads(text))
    if not lines or not all(isinstance(line, dict) for line in lines) or lines[0].get("isotone") != 1:
        raise ValueError("no journal of isotone")
    head = {name: value for name, value in lines[0].items() if name not in ("isotone", "version", "inputs")}
    entries: dict[str, dict[str, Any]] = {}
    for line in lines[1:]:
        key = line.get("key")
        if isinstance(key, str) and len(key) == 32 and "status" in line:  # states are written again
            line.pop("other_inputs", None)
            entries[str(line.get("target", key))] = line
    return head, [*entries.values()]
