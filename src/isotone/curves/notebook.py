"""How objects show themselves in a notebook: a picture, numbers, and where they come from."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

import numpy as np

from isotone.curves.svg import Panel, sheet
from isotone.safe_text import printable

GRID = np.linspace(0, 1, 257)
COLUMNS = 3
"""Panels side by side."""


class HasEnds(Protocol):
    """Lower and upper ends of a curve at points `x`."""

    @property
    def x(self) -> Sequence[float]: ...

    @property
    def low(self) -> Sequence[float]: ...

    @property
    def high(self) -> Sequence[float]: ...


def card(
    title: str, facts: Mapping[str, object], panels: Sequence[str] = (), sentences: Sequence[str] = (), table: str = ""
) -> str:
    """HTML of an object; everything but the panels and the table is escaped.

    Parameters
    ----------
    title : str
    facts : mapping of str to object
        What is None is left out.
    panels : sequence of str
        Of `isotone.curves.svg.Panel.draw`. They are shown as one image, so that their styles stay their own.
    sentences : sequence of str
    table : str
        HTML.
    """
    rows = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in facts.items() if v is not None)
    said = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return (
        f"<div><strong>{_text(title)}</strong>{_embedded(panels) if panels else ''}<table>{rows}</table>{table}"
        f"{f'<ul>{said}</ul>' if said else ''}</div>"
    )


def cells(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table of text."""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def curve_panel(name: str, curve: Callable[[Any], Any], band: HasEnds | None = None) -> str:
    """A curve over the identity, with its 95 % band if that is known."""
    panel = Panel(printable(name), "", "grey level in (0 black, 1 white)", "grey level out")
    marks = [panel.line([0, 1], [0, 1], "identity")]
    marks += [panel.band(band.x, band.low, band.high)] if band else []
    return panel.draw(*marks, panel.line(GRID, curve(GRID), "curve"))


def _embedded(panels: Sequence[str]) -> str:
    drawn = sheet(panels, min(len(panels), COLUMNS))
    data = base64.b64encode(drawn.encode()).decode()
    width = min(len(panels), COLUMNS) * round(Panel.WIDTH)
    return f'<br><img alt="plot" width="{width}" src="data:image/svg+xml;base64,{data}">'


def _text(value: object) -> str:
    return escape(printable(str(value)))
