"""The report in a real browser: it works from the keyboard, asks for nothing, and fits a phone and a screen."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discs import SOURCE, Brightness, Power, write_manifest
from isotone.data.manifests.manifest import Manifest
from isotone.evaluation.evaluate import evaluate

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

OVERFLOWING = """() => [...document.querySelectorAll("body *")]
  .filter((e) => !e.closest(".scroll, nav") && !e.closest("svg") && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 80))"""
PIXELS = """const pixels = (id) => {
  const canvas = document.getElementById(id);
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
};"""
MEAN = f"""(id) => {{ {PIXELS} return pixels(id).reduce((sum, v, i) => sum + (i % 4 ? 0 : v), 0); }}"""
WORST = f"""() => {{ {PIXELS} const [a, b] = ["source", "harmonized"].map(pixels);
  return a.reduce((worst, v, i) => Math.max(worst, i % 4 ? 0 : Math.abs(b[i] - v * v / 255)), 0); }}"""
NAMELESS = """() => [...document.querySelectorAll("input, select, canvas, svg.figure")]
  .filter((e) => !(e.labels && e.labels.length) && !e.getAttribute("aria-label")
    && !document.getElementById(e.getAttribute("aria-labelledby"))?.textContent)
  .map((e) => e.outerHTML.slice(0, 80))"""
READBACK = "willReadFrequently"
"""Chromium's advice to whoever reads a canvas, as these tests do."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    manifest = Manifest.read(write_manifest(folder))
    methods = {"square": Power(2.0), "cube": Power(3.0)}
    evaluate(
        manifest,
        Brightness(),
        harmonizers=methods,
        baselines=("z-score", "clahe"),
        output=folder / "out",
        with_images=True,
        workers=0,
        quiet=True,
    )
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(params=[(375, "light"), (375, "dark"), (1440, "light"), (1440, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda sent: page.requests.append(sent.url))
    page.goto(report.as_uri())
    yield page
    assert [c for c in page.complaints if READBACK not in c] == []
    assert page.requests == [report.as_uri()]
    context.close()


UNFOLD = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"


@pytest.fixture
def unfolded(page: Any) -> Any:
    page.evaluate(UNFOLD)
    return page


def test_a_phone_shows_the_folded_page_in_few_screens(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollHeight") <= 8000


def test_a_link_unfolds_its_part_by_keyboard(page: Any) -> None:
    page.get_by_role("link", name="Terms").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Area under the receiver operating characteristic").wait_for()


def test_a_term_is_explained_by_keyboard(page: Any) -> None:
    page.locator("#answer abbr").first.focus()
    shown = page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert "95 % confidence interval" in shown
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_worst_cases_show_their_images(page: Any) -> None:
    sizes = page.eval_on_selector_all("canvas.case", "found => found.map((c) => c.width)")
    assert sizes
    assert min(sizes) > 4


@pytest.mark.skipif("AXE_CORE" not in os.environ, reason="needs axe-core's axe.min.js; .ci/run fetches it")
def test_axe_finds_no_violation(page: Any) -> None:
    # As its author would: the page's own policy lets no script in.
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.reload()
    page.add_script_tag(path=os.environ["AXE_CORE"])
    for script in ("0", UNFOLD):
        page.evaluate(script)
        found = page.evaluate("axe.run()")["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
    page.requests[:] = page.requests[:1]


def test_nothing_overflows(unfolded: Any) -> None:
    page = unfolded
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_slider_moves_along_the_curve_by_keyboard(unfolded: Any) -> None:
    page = unfolded
    slider = page.get_by_label("Strength of the curve")
    slider.focus()
    full, source = page.evaluate(MEAN, "harmonized"), page.evaluate(MEAN, "source")
    assert full < 0.9 * source  # a square darkens
    page.keyboard.press("Home")
    assert page.locator("#strength-text").inner_text() == "0 %"
    assert page.evaluate(MEAN, "harmonized") == source
    page.keyboard.press("ArrowRight")
    assert source > page.evaluate(MEAN, "harmonized") > full


def test_another_image_and_another_method_can_be_chosen(unfolded: Any) -> None:
    page = unfolded
    before = page.evaluate(MEAN, "harmonized")
    page.get_by_label("Method", exact=True).select_option("cube")
    assert page.evaluate(MEAN, "harmonized") < before
    captions = {page.locator("#source-text").inner_text()}
    for index in range(page.locator("#image option").count()):
        page.get_by_label("Image", exact=True).select_option(str(index))
        captions.add(page.locator("#source-text").inner_text())
        assert SOURCE in page.locator("#image option:checked").inner_text()
    assert len(captions) > 1


def test_the_picture_is_the_curve_applied_to_the_pixels(page: Any) -> None:
    """On the square's page every grey level g becomes 255 (g / 255)², within rounding."""
    worst = page.evaluate(WORST)
    assert worst <= 2.1  # half a level in, doubled by the slope, and half a level out


def test_what_is_no_map_of_grey_levels_cannot_be_chosen_there(page: Any) -> None:
    assert "clahe" not in page.locator("#method option").all_inner_texts()


def test_every_control_has_a_name_and_every_picture_a_text(page: Any) -> None:
    assert page.evaluate(NAMELESS) == []


def test_an_inserted_script_does_not_run(page: Any) -> None:
    page.evaluate("""() => { const s = document.createElement("script"); s.textContent = "window.intruder = 1";
      document.body.append(s); }""")
    assert page.evaluate("window.intruder") is None
    assert any("Content Security Policy" in text for text in page.complaints)
    page.complaints.clear()


def test_without_a_browser_there_is_still_a_printed_page(browser: Any, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    printed = page.pdf(format="A4")
    assert printed[:5] == b"%PDF-"
    assert printed.count(b"/Type /Page") - printed.count(b"/Type /Pages") <= 6
    page.close()
