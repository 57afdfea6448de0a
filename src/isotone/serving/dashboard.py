"""One page of HTML: for each scanner a run chart of its days, its drift tests and its software; nothing is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from isotone.serving.history import Day, DriftTest, History

WIDTH, HEIGHT = 720, 120
"""Of a chart, in pixels; a narrow screen shows it smaller."""
SPAN = 0.1
"""Brightness between the lower and the upper edge of a chart, at least: less would make noise look like drift."""
RECENT = 30
"""Lines of a table that are shown at once; the others unfold."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>isotone node</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta http-equiv="refresh" content="60">
<style>body{{font:15px sans-serif;margin:2em auto;max-width:60em;padding:0 1em}}svg{{max-width:100%;height:auto}}
.table{{overflow-x:auto}}table{{border-collapse:collapse;white-space:nowrap}}
td,th{{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd}}
.number{{text-align:right}}.alarm{{color:#b00020;font-weight:bold}}</style></head><body>
<h1>isotone node</h1><p>Written {written}. Days are of UTC. Not for diagnostic use.</p>
<p>Charts: mean brightness by day. A dashed line: new software. A red line: the scanner drifts.</p>
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
    said += [f"<p>{escape(day)}: new software, {escape(software)}</p>" for day, software in _changes(days)]
    return f"<h2>{escape(scanner)}</h2>{''.join(said)}{_chart(days, alarms)}{_tables(days)}"


def _changes(days: Sequence[Day]) -> list[tuple[str, str]]:
    """The days on which software comes that no day before had: two machines of one model may differ for good."""
    first: dict[str, str] = {}
    for day in days:
        if day.software is not None:
            first.setdefault(day.software, day.day)
    return [(day, software) for software, day in first.items()][1:]


def _tables(days: Sequence[Day]) -> str:
    """The last lines, and the others folded."""
    rows = [
        f"<tr><td>{escape(day.day)}</td><td>{escape(day.decision)}</td><td>{escape(day.code or '')}</td>"
        f'<td class="number">{day.images}</td>'
        f'<td class="number">{"" if day.brightness is None else f"{day.brightness:.3f}"}</td>'
        f"<td>{escape(day.software or '')}</td></tr>"
        for day in reversed(days)
    ]
    head = "<tr><th>day</th><th>decision</th><th>code</th><th>images</th><th>brightness</th><th>software</th></tr>"
    first, more = (
        f'<div class="table"><table>{head}{"".join(some)}</table></div>' for some in (rows[:RECENT], rows[RECENT:])
    )
    return first + (f"<details><summary>{len(rows) - RECENT} more</summary>{more}</details>" if rows[RECENT:] else "")


def _chart(days: Sequence[Day], alarms: Sequence[DriftTest]) -> str:
    """Mean brightness by day; a dashed line where software changes, a red one at an alarm."""
    seen = [day.brightness for day in days if day.brightness is not None]
    if not seen:
        return ""
    middle, span = (min(seen) + max(seen)) / 2, max(1.2 * (max(seen) - min(seen)), SPAN)
    low, high = middle - span / 2, middle + span / 2
    names = list(dict.fromkeys(day.day for day in days))
    at = {name: (number + 0.5) * WIDTH / len(names) for number, name in enumerate(names)}
    dots = [
        f'<circle cx="{at[day.day]:.1f}" cy="{HEIGHT * (high - day.brightness) / span:.1f}" r="3">'
        f"<title>{day.day}: {day.brightness:.3f}</title></circle>"
        for day in days
        if day.brightness is not None
    ]
    lines = [_line(at[day], "#555", "4 3", f"software {software} from {day}") for day, software in _changes(days)]
    lines += [_line(at[_day(one.at)], "#b00020", "none", one.cause) for one in alarms if _day(one.at) in at]
    scale = "".join(
        f'<text x="4" y="{y}" font-size="11" fill="#555">{value:.2f}</text>'
        for value, y in ((high, 13), (low, HEIGHT - 4))
    )
    frame = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>{scale}'
    label = '<svg role="img" aria-label="mean brightness by day"'
    return f'{label} viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{frame}{"".join(lines)}{"".join(dots)}</svg>'


def _line(x: float, colour: str, dashes: str, title: str) -> str:
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"'
    return f'<line {place} stroke="{colour}" stroke-dasharray="{dashes}"><title>{escape(title)}</title></line>'


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
