"""Small plots as SVG that follow the page's colours, on screen in light and dark, and on paper.

Colours come from classes alone (``figures.css``): a content-security policy that forbids inline styles
forbids matplotlib's SVG too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike

STYLE = files("isotone.curves").joinpath("figures.css").read_text(encoding="utf-8")


def tag(name: str, content: str = "", **attributes: str | float) -> str:
    """An SVG element; numbers are rounded, attribute names written with ``_`` for ``-``, text is not escaped."""
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value if isinstance(value, str) else f"{value:g}")}"'
        for key, value in attributes.items()
    )
    return f"<{name}{text}>{content}</{name}>" if content else f"<{name}{text}/>"


def words(x: float, y: float, text: str, **attributes: str | float) -> str:
    """A text element."""
    return tag("text", escape(text), x=x, y=y, **attributes)


@dataclass(frozen=True)
class Panel:
    """A plot with two axes from 0 to 1 in x.

    Parameters
    ----------
    title, subtitle : str
    x_label, y_label : str
    top : float
        Upper end of y; the lower is 0.
    ticks : bool
        Whether y has numbers.
    """

    title: str
    subtitle: str
    x_label: str
    y_label: str
    top: float = 1.0
    ticks: bool = True

    WIDTH = 240.0
    HEIGHT = 256.0
    LEFT, RIGHT, TOP, BOTTOM = 38.0, 10.0, 40.0, 36.0

    def x(self, value: float) -> float:
        """Position of a value on the first axis."""
        return self.LEFT + value * (self.WIDTH - self.LEFT - self.RIGHT)

    def y(self, value: float) -> float:
        """Position of a value on the second axis."""
        return self.HEIGHT - self.BOTTOM - value / self.top * (self.HEIGHT - self.TOP - self.BOTTOM)

    def line(self, xs: ArrayLike, ys: ArrayLike, class_: str) -> str:
        """A line through points."""
        points = zip(np.asarray(xs, float), np.asarray(ys, float), strict=True)
        d = "M" + "L".join(f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in points)
        return tag("path", d=d, class_=class_)

    def band(self, xs: ArrayLike, lows: ArrayLike, highs: ArrayLike) -> str:
        """The area between two lines through points."""
        there, back = np.asarray(xs, float), np.asarray(xs, float)[::-1]
        return self.line([*there, *back], [*np.asarray(lows, float), *np.asarray(highs, float)[::-1]], "band")

    def dot(self, x: float, y: float, radius: float, class_: str) -> str:
        """A disc."""
        return tag("circle", cx=round(self.x(x), 1), cy=round(self.y(y), 1), r=round(radius, 1), class_=class_)

    def draw(self, *marks: str) -> str:
        """The panel with its axes and marks."""
        lines = [
            words(self.LEFT, 14, self.title, class_="title"),
            words(self.LEFT, 29, self.subtitle, class_="tick"),
        ]
        for k in range(5):
            lines.append(self.line([k / 4] * 2, [0, self.top], "grid"))
            lines.append(self.line([0, 1], [self.top * k / 4] * 2, "grid"))
            if k % 2 == 0:
                lines.append(words(self.x(k / 4), self.y(0) + 14, f"{k / 4:g}", class_="tick", text_anchor="middle"))
                if self.ticks:
                    at = self.y(self.top * k / 4) + 3.5
                    lines.append(words(self.LEFT - 6, at, f"{self.top * k / 4:.2g}", class_="tick", text_anchor="end"))
        middle = self.y(self.top / 2)
        lines.append(words(self.x(0.5), self.HEIGHT - 4, self.x_label, class_="tick", text_anchor="middle"))
        turn = f"rotate(-90 9 {middle:.1f})"
        lines.append(words(9, middle, self.y_label, class_="tick", text_anchor="middle", transform=turn))
        return picture(
            self.WIDTH, self.HEIGHT, "".join([*lines, *marks]), f"{self.title}, {self.subtitle}: {self.y_label}"
        )


def picture(width: float, height: float, content: str, label: str) -> str:
    """An SVG image that scales with its container."""
    return tag("svg", content, viewBox=f"0 0 {width:g} {height:g}", class_="figure", role="img", aria_label=label)


def sheet(panels: Sequence[str], columns: int, width: float = Panel.WIDTH, height: float = Panel.HEIGHT) -> str:
    """Panels side by side as one file that stands alone."""
    rows = -(-len(panels) // columns)
    placed = [
        p.replace("<svg", f'<svg x="{i % columns * width:g}" y="{i // columns * height:g}" width="{width:g}" '
                  f'height="{height:g}"', 1)
        for i, p in enumerate(panels)
    ]  # fmt: skip
    whole = (columns * width, rows * height)
    ground = tag("rect", width=whole[0], height=whole[1], class_="ground")
    style = f"<style>{STYLE}</style>"
    return tag(
        "svg",
        style + ground + "".join(placed),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {whole[0]:g} {whole[1]:g}",
        width=whole[0],
        height=whole[1],
        class_="figure",
    )
