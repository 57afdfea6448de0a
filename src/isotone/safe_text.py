"""Text from strangers (file names, headers, models) on terminals and in tables: seen as text, never obeyed."""

from __future__ import annotations

import re

FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""Starts of cells that spreadsheets compute (OWASP, CSV Injection), with the apostrophes that already stop them."""


def printable(text: object) -> str:
    r"""Text without characters that a terminal obeys, or that hide others: each is shown as its number.

    Control characters become ``\x1b``; separators other than the blank and marks that turn the direction of reading
    ``\u202e``; bytes of a file name that is not UTF-8 ``\xff``.
    """
    text = str(text)
    return text if text.isprintable() else "".join(c if c.isprintable() else _number(c) for c in text)


def printable_lines(text: object) -> str:
    """`printable` for text of ours in several lines."""
    return "\n".join(printable(line) for line in str(text).split("\n"))


def inert(cell: object) -> str:
    """A cell of a table for people: printable, and text to a spreadsheet, not a formula; `from_inert` reads it."""
    text = printable(cell)
    return f"'{text}" if FORMULA.match(text) else text


def from_inert(cell: str) -> str:
    """The cell without the apostrophe that `inert` put before it."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _number(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python holds it (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
