"""Does each idea of the fit pay for its lines? The fit that ships, with an idea and without it.

The phantom and paediatric chests of Kermany et al. behind simulated responses, three draws each: how far the curve is
off the true one (mean absolute difference over an image's grey levels, in levels of 255). And real scanners: chests of
NIH, PA, pixel spacing 0.168 the reference, and 0.143, 0.171, 0.139 and 0.194 sources. There nobody knows the true
curve; a curve of a few images is compared with that of the scanner's other half. What is compared is always of the same
images, so differences are paired; the intervals are over cells (draw × response × scanner). No classifier is needed.

    nice -n 19 python -m benchmarks.ideas            # resumes; ten minutes; writes docs/results_ideas.md
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from benchmarks import responses_data
from isotone._runtime.files import write_text
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample, TakeSample, load_samples
from isotone.estimation.fit_source import SourceFit, fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.harmonizer.mappers import Mapper, ScannerMapper, mapper_of

HERE = Path(__file__).resolve().parent
OUT = HERE / "out" / "ideas"
PAGE = HERE.parent / "docs" / "results_ideas.md"
ANATOMIES, SEEDS, SCALE = ("phantom", "kermany"), (0, 1, 2), 0.5
QUICK = ScannerSettings(resamples=0)
LEVELS = np.linspace(0.005, 0.995, 33)
TESTED = 40
"""Test images whose grey levels a curve is judged on."""
Row = tuple[str, float, float]
"""A case, and the error with and without the idea."""


@contextmanager
def nothing_is_odd() -> Iterator[None]:
    with (
        patch("isotone.estimation.fit_source.odd_images", lambda views, reference: np.zeros(len(views), bool)),
        patch("isotone.data.descriptors.image_set.ImageSet.telling", property(lambda images: images)),
    ):
        yield


WITHOUT: dict[str, Callable[[], Any]] = {
    "odd images": nothing_is_odd,
    "windows": lambda: patch("isotone.estimation.matching._Windows.nearest", lambda self, mismatch: None),
    "free curve": lambda: patch("isotone.estimation.projection.STRAY", np.inf),
    "middle image": lambda: patch("isotone.estimation.scanner_curve.VARIES", np.inf),
}
"""How an idea that is no option is taken out of the fit."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A world and its reference, described once."""

    world: responses_data.World
    reference: ReferenceModel


@cache
def bench_of(anatomy: str, seed: int) -> Bench:
    world = responses_data.make_world(anatomy, seed, SCALE)
    return Bench(world, ReferenceModel(samples([*world.train, *world.val], "none")))


def samples(images: Sequence[responses_data.Image], response: str) -> list[Sample]:
    take = TakeSample()
    return [
        replace(take(responses_data.radiograph(image, response, i, "x")), label=image.label, patient=image.patient)
        for i, image in enumerate(images)
    ]


@dataclass(frozen=True, eq=False)
class Case:
    """Source images behind a response."""

    bench: Bench
    name: str
    source: list[Sample]
    response: str
    test: str = "test"

    def fitted(self, **options: Any) -> SourceFit:
        given: dict[str, Any] = {"labels": False, "settings": QUICK} | options
        return fit_source(self.source, self.bench.reference, FitOptions(**given))

    def error(self, mapper: Mapper) -> float:
        found = []
        images = self.bench.world.tests[self.test]
        for i in np.linspace(0, len(images) - 1, TESTED).astype(int):
            levels = np.quantile(np.clip(images[i].grey, 0, 1), LEVELS)
            ruler = replace(images[i], grey=levels[None, :])
            written = responses_data.radiograph(ruler, self.response, i, "src").pixels[0]
            curve = mapper.curve(responses_data.radiograph(images[i], self.response, i, "src"))
            found.append(np.abs(curve(written.astype(np.float64)) - levels).mean())
        return 255 * float(np.mean(found))


def case(bench: Bench, population: str, response: str, number: int | None = None, skip: int = 0) -> Case:
    """The images of a population, or some of them in an order of their own."""
    images, test = bench.world.populations[population]
    if number is not None:
        order = np.random.default_rng(5).permutation(len(images))
        images = [images[i] for i in order[skip : skip + number]]
    return Case(bench, response, samples(images, response), response, test)


def matched(bench: Bench) -> str:
    return next(name for name in bench.world.populations if name.startswith("matched"))


def by_patch(idea: str, cases: Sequence[Case]) -> Iterator[Row]:
    for each in cases:
        found = []
        for context in (nullcontext, WITHOUT[idea]):
            with context():
                found.append(each.error(mapper_of(each.fitted())))
        yield each.name, found[0], found[1]


def modes(bench: Bench) -> Iterator[Row]:
    for response in (responses_data.MIXTURE, "gamma by image", "offset and gain by image", "gamma 0.7"):
        each = case(bench, matched(bench), response)
        one, several = (each.error(mapper_of(each.fitted(modes=asked))) for asked in (False, True))
        yield each.name, several, one


STRANGE: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "flat fields": lambda rng, shape: rng.normal(rng.uniform(0.1, 0.9), 0.003, shape),
    "flat fields with a ramp": lambda rng, shape: (
        rng.normal(rng.uniform(0.2, 0.8), 0.003, shape) + np.linspace(-0.03, 0.03, shape[1])
    ),
    "flat fields with a bowl": lambda rng, shape: (
        rng.normal(rng.uniform(0.2, 0.8), 0.003, shape) - 0.05 * ((np.indices(shape) / max(shape) - 0.5) ** 2).sum(0)
    ),
    "failed exposures": lambda rng, shape: np.abs(rng.normal(0, 0.01, shape)),
    "test patterns": lambda rng, shape: 0.2 + 0.6 * (np.indices(shape).sum(0) // int(rng.integers(3, 12)) % 2),
}
"""What is no image of a patient, in [0, 1]."""


def odd(bench: Bench) -> Iterator[Row]:
    """One or three that are no images of patients, beside 40."""
    cases = []
    for kind, draw in STRANGE.items():
        for count in (1, 3):
            each = case(bench, matched(bench), "gamma 0.4", 40)
            rng, strange = np.random.default_rng(9), []
            for k in range(count):
                like = each.source[k]
                pixels = np.rint(65535 * np.clip(draw(rng, like.pixels.shape), 0, 1)).astype(np.uint16)
                strange.append(replace(like, pixels=pixels, patient=f"odd {k}"))
            cases.append(replace(each, name=f"{count} {kind} beside 40", source=[*each.source, *strange]))
    yield from by_patch("odd images", cases)


def windows(bench: Bench) -> Iterator[Row]:
    """As many images of each class, and half of the classes alone."""
    images, test = bench.world.populations["smaller field"]
    some = [image for image in images if image.label in sorted(bench.world.classes)[len(bench.world.classes) // 2 :]]
    bench.world.populations["smaller field, half of the classes"] = some, test
    for name in ("smaller field", "smaller field, half of the classes"):
        cases = [case(bench, name, r) for r in ("gamma 0.4", "gamma 2.5", "log")]
        yield from by_patch("windows", [replace(each, name=name) for each in cases])


def free(bench: Bench) -> Iterator[Row]:
    responses_data.RESPONSES["bends"] = lambda x: x + 0.045 * np.sin(6 * np.pi * x)
    for number in (None, 25):
        cases = [case(bench, matched(bench), r, number) for r in ("inverse-S", "film", "log", "bends")]
        kinds = ["bends" if each.response == "bends" else "smooth" for each in cases]
        named = [replace(c, name=f"{kind}, {len(c.source)}") for kind, c in zip(kinds, cases, strict=True)]
        yield from by_patch("free curve", named)


def middle(bench: Bench) -> Iterator[Row]:
    yield from by_patch("middle image", [case(bench, matched(bench), r) for r in (*responses_data.BY_IMAGE, "log")])


def power(gamma: float) -> Callable[[Any], Any]:
    return lambda x: x**gamma


def pooling(bench: Bench) -> Iterator[Row]:
    """Three scanners, of like responses or of different ones, each of 5, 10 or 25 images."""
    for k, gamma in enumerate((1.4, 1.5, 1.6)):
        responses_data.RESPONSES[f"like {k}"] = power(gamma)
    for kind, names in (("like", ("like 0", "like 1", "like 2")), ("unlike", ("gamma 0.4", "gamma 2.5", "log"))):
        for number in (5, 10, 25):
            cases = [case(bench, matched(bench), r, number, k * number) for k, r in enumerate(names)]
            fits = {str(k): each.fitted(settings=ScannerSettings()) for k, each in enumerate(cases)}
            drawn = pooled(fits)
            for k, each in enumerate(cases):
                used, plain = (each.error(m) for m in (ScannerMapper(drawn[str(k)]), mapper_of(fits[str(k)])))
                yield f"{kind} responses, {number} images", used, plain


def pooled(fits: dict[str, SourceFit]) -> dict[str, ToneCurve]:
    """Each curve drawn towards the others, as earlier builds did: by its precision, and by theirs and their likeness.

    Empirical Bayes, as in a random-effects mean (DerSimonian & Laird 1986, doi:10.1016/0197-2456(86)90046-2).
    """
    bands = {d: {k: np.array(getattr(fit.report.band, k)) for k in ("x", "low", "high")} for d, fit in fits.items()}
    variance = {d: float(np.mean(((b["high"] - b["low"]) / 3.92) ** 2)) + 1e-12 for d, b in bands.items()}
    result = {}
    for domain, own in fits.items():
        places = np.linspace(0, 1, len(bands[domain]["x"]))
        x = np.interp(np.linspace(0, 1, 256), places, bands[domain]["x"])
        precision = {domain: 1 / variance[domain]}
        for other in sorted(fits.keys() - {domain}):
            apart = float(np.mean((fits[other].curves[0](x) - own.curves[0](x)) ** 2))
            differ = max(apart - variance[domain] - variance[other], 0.0)
            precision[other] = 1 / (variance[other] + max(differ, 0.5 * apart))
        total = sum(precision.values())
        if 1 - precision[domain] / total < 0.02:
            result[domain] = own.curves[0]
            continue
        y = sum(part / total * fits[other].curves[0](x) for other, part in precision.items())
        result[domain] = ToneCurve.fit(x, y, num_iterations=16)
    return result


IDEAS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "partial pooling": pooling,
    "odd images": odd,
    "acquisition modes": modes,
    "windows": windows,
    "free curve": free,
    "middle image": middle,
}


def simulated() -> None:
    for idea, measure in IDEAS.items():
        for anatomy in ANATOMIES:
            for seed in SEEDS:
                target = OUT / f"{idea}-{anatomy}-{seed}.json"
                if not target.exists():
                    write_text(target, json.dumps(list(measure(bench_of(anatomy, seed)))))
                    print(target.stem, flush=True)


def real() -> None:
    """Curves of a few patients of each real scanner, against the curve of the scanner's other half."""
    target = OUT / "real-nih-0.json"
    if target.exists():
        return
    table = Manifest.read(responses_data.SHARED / "nih64" / "manifest.csv").table
    read, _ = load_samples(list(Manifest(table[table["view"] == "PA"])), workers=0, quiet=True)
    domains = [f"spacing {s}" for s in ("0.143", "0.171", "0.139", "0.194")]
    reference = ReferenceModel([s for s in read if s.domain == "spacing 0.168"])
    rows: list[list[Any]] = []
    for seed in range(5):
        rng, parts = np.random.default_rng(seed), {}
        for domain in domains:
            own = [replace(s, label=None) for s in read if s.domain == domain]
            patients = rng.permutation(sorted({s.patient for s in own}))
            first = set(patients[: len(patients) // 2])
            parts[domain] = [s for s in own if s.patient in first], [s for s in own if s.patient not in first]
        wanted = {d: fit_source(halves[1], reference, FitOptions(settings=QUICK)) for d, halves in parts.items()}
        pixels = {d: np.concatenate([s.pixels.ravel() for s in halves[1]]) / 65535 for d, halves in parts.items()}
        grids = {d: np.quantile(levels, LEVELS) for d, levels in pixels.items()}

        def off(curve: ToneCurve, domain: str, wanted: Any = wanted, grids: Any = grids) -> float:
            x = grids[domain]
            return 255 * float(np.abs(curve(x) - wanted[domain].curves[0](x)).mean())

        for number in (5, 10, 25):
            few = {d: halves[0][:number] for d, halves in parts.items() if len(halves[0]) >= number}
            fits = {d: fit_source(images, reference, FitOptions()) for d, images in few.items()}
            drawn = pooled(fits)
            rows += [["partial pooling", f"{number} images", off(drawn[d], d), off(fits[d].curves[0], d)] for d in fits]
            for idea, context in WITHOUT.items():
                with context():
                    plain = {d: fit_source(few[d], reference, FitOptions(settings=QUICK)) for d in few}
                rows += [
                    [idea, f"{number} images", off(fits[d].curves[0], d), off(plain[d].curves[0], d)] for d in fits
                ]
        for domain, halves in parts.items():
            one, several = (
                fit_source(halves[0], reference, FitOptions(settings=QUICK, modes=asked)) for asked in (False, True)
            )
            found = f"halves: {len(several.curves)} found"
            rows.append(["acquisition modes", found, off(several.curves[0], domain), off(one.curves[0], domain)])
        print(f"real, draw {seed}", flush=True)
    write_text(target, json.dumps(rows))


def interval(differences: np.ndarray) -> str:
    """Mean and 95 % interval (Student's t)."""
    mean, count = float(np.mean(differences)), len(differences)
    if count < 2 or not differences.std():
        return f"{mean:+.2f}"
    half = float(stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"


def rows() -> Iterator[str]:
    """A line of the table for each idea, anatomy and case."""
    cells: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for idea in IDEAS:
        for anatomy in ANATOMIES:
            for path in sorted(OUT.glob(f"{idea}-{anatomy}-?.json")):
                for name, used, left in json.loads(path.read_text()):
                    cells.setdefault((idea, anatomy, name), []).append((used, left))
        for path in OUT.glob("real-nih-0.json"):
            for own, name, used, left in json.loads(path.read_text()):
                if own == idea:
                    cells.setdefault((idea, "NIH, real", name), []).append((used, left))
    for key, found in cells.items():
        used, left = np.array(found).T
        worse = f"{int((used > left + 0.05).sum())} / {int((used < left - 0.05).sum())}"
        numbers = f"{len(found)} | {used.mean():.2f} | {left.mean():.2f} | {interval(used - left)} | {worse}"
        yield f"| {' | '.join(key)} | {numbers} |"


def write() -> None:
    """Put the table into the page, below its words."""
    head = PAGE.read_text(encoding="utf-8").partition("<!-- measured -->")[0]
    columns = (
        "| idea | images | case | cells | error with | without | difference | cells worse / better |\n" + "|---" * 8
    )
    write_text(PAGE, "\n".join([f"{head}<!-- measured -->\n", f"{columns}|", *rows()]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only the table, from what there is")
    if not parser.parse_args().table:
        simulated()
        real()
    write()


if __name__ == "__main__":
    main()
