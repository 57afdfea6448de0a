"""The dashboard in a real browser: it shows its chart and asks for nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from isotone.serving.dashboard import dashboard
from isotone.serving.history import Day, DriftTest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


class Remembered:
    """Three days of a scanner whose software changes and which drifts."""

    def days(self) -> list[Day]:
        software = ("aaaa", "aaaa", "bbbb")
        return [Day(f"1970-01-0{n + 1}", "Birch", "harmonized", None, s, 20, 0.3) for n, s in enumerate(software)]

    def tests(self) -> list[DriftTest]:
        return [DriftTest(2 * 86400.0, "Birch", 32, 1e-9, 1e-3, True, "another response")]


def test_the_dashboard_shows_its_chart_and_asks_for_nothing(tmp_path: Path) -> None:
    page_file = tmp_path / "dashboard.html"
    page_file.write_text(dashboard(Remembered(), 3 * 86400.0), encoding="utf-8")  # type: ignore[arg-type]
    asked: list[str] = []
    said: list[str] = []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page: Any = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(page_file.as_uri())
        marks = page.locator("svg circle").count(), page.locator("svg line").count()
        box = page.locator("svg").bounding_box()
        alarm = page.locator(".alarm").inner_text()
        page.set_viewport_size({"width": 390, "height": 844})  # a telephone
        width = page.evaluate("document.documentElement.scrollWidth")
        said_of_software = page.get_by_text("new software, bbbb").count()
        browser.close()
    assert width == 390
    assert said_of_software == 1
    assert marks == (3, 2)  # of the lines one is of software, one of the alarm
    assert box is not None
    assert box["width"] > 300
    assert alarm == "1970-01-03: another response (32 images)"
    assert asked == [page_file.as_uri()]
    assert said == []
