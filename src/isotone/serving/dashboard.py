"""One page of HTML: for each scanner a run chart of its days, its drift tests and its software; nothing is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from isotone.serving.history import Day, DriftTest, History

WIDTH, HEIGHT = 720, 120
"""Of a chart, in pixels."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>isotone node</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta http-equiv="refresh" content="60">
<style>body{{font:15px sans-serif;margin:2em auto;max-width:60em}}table{{border-collapse:collapse}}
td,th{{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}}td:first-child,th:first-child{{text-align:left}}
.alarm{{color:#b00020;font-weight:bold}}</style></head><body>
<h1>isotone node</h1><p>Written {written}. Days are of UTC. Not for diagnostic use.</p>
{scanners}
</body></html>
"""


def dashboard(history: History, now: float) -> str:
    """The page.

    Parameters
    ----------
    history : History
    now : float
        Seconds of the epoch.

    Raises
    ------
    IsotoneError
        E_WRITE: the queue cannot be read.
    """
    days, tests = history.days(), history.tests()
    parts = [
        _scanner(
            scanner, [day for day in days if day.scanner == scanner], [one for one in tests if one.scanner == scanner]
        )
        for scanner in sorted({day.scanner for day in days})
    ]
    written = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M")
    return PAGE.format(written=written, scanners="\n".join(parts) or "<p>No image has come yet.</p>")


def _scanner(scanner: str, days: Sequence[Day], tests: Sequence[DriftTest]) -> str:
    alarms = [test for test in tests if test.alarm]
    said = [f'<p class="alarm">{_day(one.at)}: {escape(one.cause)} ({one.images} images)</p>' for one in alarms]
    rows = [
        f"<tr><td>{escape(day.day)}</td><td>{escape(day.decision)}</td><td>{escape(day.code or '')}</td>"
        f"<td>{day.images}</td><td>{'' if day.brightness is None else f'{day.brightness:.3f}'}</td>"
        f"<td>{escape(day.software or '')}</td></tr>"
        for day in reversed(days)
    ]
    head = "<tr><th>day</th><th>decision</th><th>code</th><th>images</th><th>brightness</th><th>software</th></tr>"
    table = f"<table>{head}{''.join(rows)}</table>"
    return f"<h2>{escape(scanner)}</h2>{''.join(said)}{_chart(days, alarms)}{table}"


def _chart(days: Sequence[Day], alarms: Sequence[DriftTest]) -> str:
    """Mean brightness by day; a dashed line where software changes, a red one at an alarm."""
    names = list(dict.fromkeys(day.day for day in days))
    step = WIDTH / max(len(names), 1)
    at = {name: (number + 0.5) * step for number, name in enumerate(names)}
    dots, lines, before = [], [], None
    for day in days:
        x = at[day.day]
        if day.brightness is not None:
            y = HEIGHT * (1 - min(max(day.brightness, 0.0), 1.0))
            dots.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{day.day}: {day.brightness:.3f}</title></circle>'
            )
        if day.software is not None:
            if before not in (None, day.software):
                lines.append(_line(x, "#555", "4 3", f"software {day.software} from {day.day}"))
            before = day.software
    lines += [_line(at[_day(one.at)], "#b00020", "none", one.cause) for one in alarms if _day(one.at) in at]
    frame = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
    label = '<svg role="img" aria-label="mean brightness by day"'
    return f'{label} viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{frame}{"".join(lines)}{"".join(dots)}</svg>'


def _line(x: float, colour: str, dashes: str, title: str) -> str:
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"'
    return f'<line {place} stroke="{colour}" stroke-dasharray="{dashes}"><title>{escape(title)}</title></line>'


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
