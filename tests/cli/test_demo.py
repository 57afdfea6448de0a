"""What the demo ends in."""

from pathlib import Path

from isotone.cli.demo import REFERENCE, SHOWN, ending
from made_scores import results


def test_the_demo_ends_in_five_lines() -> None:
    made = {(domain, "none"): 0.1 for domain in SHOWN} | {(REFERENCE, "none"): 0.8}
    made |= {(domain, method): 0.7 for domain in SHOWN for method in ("tone-curve", "gdce")}
    first, second, plain, verdict, path = ending(
        results(made | {(next(iter(SHOWN)), "z-score"): 0.2}), Path("report.html")
    )
    for line, domain in zip((first, second), SHOWN, strict=True):
        assert line.startswith(domain)
        assert "untouched" in line
        assert "by the paper's GDCE" in line
        assert "the weakest class" in line
    assert f"z-score on {next(iter(SHOWN))}, AUC 0." in plain
    assert "“tone-curve” helps" in verdict
    assert path == "report.html"
