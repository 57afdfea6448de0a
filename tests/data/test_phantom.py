import hashlib
import itertools
import json
import shutil
import subprocess

import numpy as np
import pytest

from isotone.data.phantom.anatomy import (
    BETA,
    CLASSES,
    GLANDULAR_FRACTION,
    QUANTA_PER_MM2,
    Anatomy,
    draw_breast,
    power_law_texture,
)
from isotone.data.phantom.make_phantom import SHARES, make_phantom
from isotone.data.phantom.scanners import ALDER, BIRCH, CEDAR, DOGWOOD, SCANNERS, reference_presentation
from isotone.errors import UsageError
from isotone.imaging.read import read_radiograph

SIZE = 64
SOURCES = [BIRCH.domain, CEDAR.domain, DOGWOOD.domain]
SCANNER = {scanner.domain: scanner for scanner in SCANNERS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    make_phantom(folder, patients=28, size=SIZE, seed=3, workers=0, quiet=True)
    return folder


@pytest.fixture(scope="module")
def manifest(folder):
    return make_phantom(folder, patients=28, size=SIZE, seed=3, workers=0, quiet=True)  # taken up, all is there


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def slope(power, pitch, low, high):
    """Exponent of radially averaged power against spatial frequency."""
    rows, columns = power.shape
    f = np.hypot(np.fft.fftfreq(rows, pitch)[:, None], np.fft.fftfreq(columns, pitch))
    bins = np.geomspace(low, high, 13)
    pairs = [((lo * hi) ** 0.5, power[(f >= lo) & (f < hi)].mean()) for lo, hi in itertools.pairwise(bins)]
    return -np.polyfit(*np.log(np.array(pairs)).T, 1)[0]


def test_texture_has_the_power_spectrum_it_claims():
    rng, pitch = np.random.default_rng(0), 0.5
    draws = [power_law_texture(rng, (256, 256), pitch) for _ in range(10)]
    power = np.mean([np.abs(np.fft.fft2(draw)) ** 2 for draw in draws], axis=0)
    assert slope(power, pitch, 0.1, 0.9) == pytest.approx(BETA, abs=0.1)


def test_dense_breasts_show_the_power_law_of_mammograms():
    pitch, power = 240 / 256, []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = draw_breast(rng, Anatomy.draw(rng, "D"), 256)[96:160, 16:80]
        window = np.outer(np.hanning(64), np.hanning(64))
        power.append(np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2)
    assert slope(np.mean(power, axis=0), pitch, 0.06, 0.4) == pytest.approx(BETA, abs=0.5)


def test_texture_is_the_same_in_mm_whatever_the_sampling():
    spread = [np.std(power_law_texture(np.random.default_rng(1), (n, n), 200 / n)) for n in (64, 256)]
    assert spread[0] == pytest.approx(spread[1], rel=0.3)


def test_attenuation_grows_in_proportion_to_the_glandular_fraction():
    woman = Anatomy.draw(np.random.default_rng(0), "B")
    total = {}
    for fraction in (0.1, 0.2, 0.4):
        anatomy = Anatomy(**{**vars(woman), "glandular_fraction": fraction})
        total[fraction] = draw_breast(np.random.default_rng(1), anatomy, 128, quanta_per_mm2=1e10).sum()
    assert (total[0.4] - total[0.2]) / (total[0.2] - total[0.1]) == pytest.approx(2, rel=0.03)


def test_fat_follows_beer_and_lambert():
    woman = Anatomy(**{**vars(Anatomy.draw(np.random.default_rng(0), "A")), "glandular_fraction": 1e-9})
    image = draw_breast(np.random.default_rng(1), woman, 128, quanta_per_mm2=1e10)
    expected = 0.0456 * (woman.thickness - 3) + 0.0802 * 3  # 3 mm of skin
    assert image[60:68, 10:30] == pytest.approx(expected, abs=1e-3)


def test_air_is_as_noisy_as_counting_makes_it():
    rng = np.random.default_rng(2)
    image = draw_breast(rng, Anatomy.draw(rng, "B"), 128)
    air = image[:8, -40:]
    assert air.std() == pytest.approx((QUANTA_PER_MM2 * (240 / 128) ** 2) ** -0.5, rel=0.15)


def test_a_smaller_field_shows_less_background():
    air = [
        (
            draw_breast(np.random.default_rng(0), Anatomy.draw(np.random.default_rng(0), "C"), 96, field_mm=mm) < 0.1
        ).mean()
        for mm in (240, 180)
    ]
    assert air[1] < 0.7 * air[0]


def test_right_breasts_lie_the_other_way_round():
    woman = Anatomy.draw(np.random.default_rng(0), "C")
    left, right = (draw_breast(np.random.default_rng(0), woman, 64, laterality=side) for side in "LR")
    assert (left == right[:, ::-1]).all()
    assert left[32, 0] > 1 > left[32, -1]


def test_classes_are_ordered_by_glandular_fraction():
    means = [
        np.mean([Anatomy.draw(np.random.default_rng(i), name).glandular_fraction for i in range(50)])
        for name in CLASSES
    ]
    assert means == pytest.approx([GLANDULAR_FRACTION[name] for name in CLASSES], rel=0.1)


def test_presentation_values_increase_with_attenuation_and_stay_in_range():
    shown = reference_presentation(np.linspace(-0.05, 12, 5000))
    assert (np.diff(shown) >= 0).all()
    assert 0 <= shown.min() < shown.max() < 1
    assert (np.diff(reference_presentation(np.linspace(0, 6, 1000))) > 0).all()


def test_images_hold_the_response_within_half_a_level(manifest, folder):
    for row in manifest.table.itertuples():
        scanner = SCANNER[row.domain]
        rng = np.random.default_rng([3, int(row.patient_id[1:])])
        left = Anatomy.draw(rng, row.label)
        anatomy = left if row.laterality == "L" else left.other_side(rng)
        noise = np.random.default_rng([3, int(row.patient_id[1:]), ord(row.laterality)])
        exact = scanner.response(reference_presentation(draw_breast(noise, anatomy, SIZE, laterality=row.laterality)))
        assert np.abs(read_radiograph(row.path).pixels - exact).max() <= 0.5 / (2**scanner.bits - 1) + 1e-6


def test_source_images_are_the_response_of_their_oracle_twins(manifest):
    tests = manifest.table[manifest.table["domain"].isin(SOURCES) & (manifest.table["split"] == "test")]
    assert tests["oracle_path"].notna().all()
    assert manifest.table["oracle_path"].notna().sum() == len(tests)
    for row in tests.itertuples():
        scanner, twin = SCANNER[row.domain], read_radiograph(row.oracle_path)
        assert twin.header.domain == ALDER.domain
        half = 0.5 / (2**12 - 1)
        reference = twin.pixels.astype(float)
        source = read_radiograph(row.path).pixels
        level = 0.5 / (2**scanner.bits - 1)
        assert (source >= scanner.response(np.maximum(reference - half, 0)) - level - 1e-6).all()
        assert (source <= scanner.response(reference + half) + level + 1e-6).all()


def test_headers_say_what_the_scanner_does(manifest):
    for scanner in SCANNERS:
        row = next(iter(manifest.select(domains=[scanner.domain])))
        image = read_radiograph(row.path)
        assert image.header.domain == scanner.domain
        assert image.header.bits_stored == scanner.bits
        assert image.header.inverted == scanner.inverted
        assert image.header.patient_id == row.patient_id
        assert (image.header.modality, image.header.view, image.header.intent) == ("MG", "CC", "FOR PRESENTATION")
        assert image.header.warnings == ()


def test_the_window_matters_where_the_range_is_narrow_and_is_the_identity_elsewhere(manifest):
    for scanner in SCANNERS:
        image = read_radiograph(next(iter(manifest.select(domains=[scanner.domain]))).path)
        change = np.abs(image.displayed().tone - image.tone).max()
        if scanner in (CEDAR, DOGWOOD):
            assert change > 0.3
            assert image.displayed().pixels.max() > 1.5 * image.pixels.max()
        else:
            assert change < 1e-3


def test_the_low_range_starts_at_black(manifest):
    image = read_radiograph(next(iter(manifest.select(domains=[DOGWOOD.domain]))).path)
    assert image.pixels.min() < 0.01
    assert 0.25 < np.quantile(image.pixels, 0.99) < 0.5


def test_narrow_range_is_lifted_off_black(manifest):
    image = read_radiograph(next(iter(manifest.select(domains=[CEDAR.domain]))).path)
    assert 0.09 < image.pixels.min() < 0.12
    assert image.pixels.max() < 0.46


def test_table_one_in_miniature(manifest):
    table = manifest.table
    assert not (table["domain"].isin(SOURCES) & (table["split"] != "test") & table["label"].isin(["A", "D"])).any()
    assert set(table[table["domain"].isin(SOURCES) & (table["split"] == "test")]["label"]) == set(CLASSES)
    for split in ("train", "val", "test"):
        assert set(table[(table["domain"] == ALDER.domain) & (table["split"] == split)]["label"]) == set(CLASSES)


def test_both_sides_of_a_patient_share_class_scanner_and_split(manifest):
    by_patient = manifest.table.groupby("patient_id")
    assert (by_patient[["label", "domain", "split"]].nunique() == 1).all(axis=None)
    assert (by_patient["laterality"].nunique() == 2).all()


def test_truth_is_monotone_and_its_directions_undo_each_other(folder):
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["reference_domain"] == ALDER.domain
    assert set(truth["scanners"]) == set(SCANNER)
    x = np.linspace(0, 1, 500)
    for entry in truth["scanners"].values():
        there, back = (tuple(entry[name].values()) for name in ("reference_to_source", "source_to_reference"))
        for xs, ys in (there, back):
            assert (np.diff(xs) > 0).all()
            assert (np.diff(ys) > 0).all()
        assert np.interp(np.interp(x, *there), *back) == pytest.approx(x, abs=0.02)
        assert np.interp(np.interp(x[25:], *there), *back) == pytest.approx(x[25:], abs=1e-3)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_workers(folder, manifest, tmp_path):
    make_phantom(tmp_path, patients=28, size=SIZE, seed=3, workers=2, quiet=True)
    assert files(tmp_path) == files(folder)


def test_a_scanner_has_the_same_images_whichever_others_are_drawn(folder, tmp_path):
    domains = [DOGWOOD.domain, ALDER.domain]
    manifest = make_phantom(tmp_path, patients=28, size=SIZE, seed=3, domains=domains, workers=0, quiet=True)
    assert manifest.domains == sorted(domains)
    drawn = {name: content for name, content in files(tmp_path).items() if name.endswith(".dcm")}
    assert drawn.items() <= files(folder).items()
    assert {name.split("/")[1] for name in drawn} == {"alder", "dogwood"}
    with pytest.raises(UsageError, match="no such scanner"):
        make_phantom(tmp_path / "other", domains=["Elm"], workers=0)


def test_another_seed_draws_other_women(folder, tmp_path):
    make_phantom(tmp_path, patients=28, size=SIZE, seed=4, workers=0, quiet=True)
    assert not set(files(tmp_path).values()) & set(files(folder).values())


def test_an_interrupted_run_is_taken_up_and_a_different_one_refused(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "manifest.csv").unlink()
    next((copy / "images").rglob("*.dcm")).unlink()
    with pytest.raises(UsageError, match="not empty"):
        make_phantom(copy, patients=29, size=SIZE, seed=3, workers=0, quiet=True)
    make_phantom(copy, patients=28, size=SIZE, seed=3, workers=0, quiet=True)
    assert files(copy) == files(folder)


def test_the_three_older_scanners_are_drawn_as_they_were_before_the_fourth_came(manifest):
    """Same patients, cells and grey levels, so that figures measured on them stay comparable."""
    table = manifest.table[manifest.table["domain"] != DOGWOOD.domain]
    cells = table[["patient_id", "laterality", "domain", "split", "label"]].to_csv(index=False, lineterminator="\n")
    assert hashlib.sha256(cells.encode()).hexdigest()[:16] == "5ba828ac7ead9540"
    for scanner, mean in zip((ALDER, BIRCH, CEDAR), (0.19484384, 0.29151687, 0.15127586), strict=True):
        images = [read_radiograph(path).pixels for path in table[table["domain"] == scanner.domain]["path"]]
        assert np.mean(images) == pytest.approx(mean, abs=1e-6)


def test_dogwood_has_as_many_patients_as_birch_in_every_cell(manifest):
    cells = manifest.table.groupby(["domain", "split", "label"])["patient_id"].nunique()
    assert cells[DOGWOOD.domain].equals(cells[BIRCH.domain])
    numbers = manifest.table.groupby("domain")["patient_id"].agg(["min", "max"])
    assert numbers.loc[DOGWOOD.domain, "min"] > numbers["max"].drop(DOGWOOD.domain).max()


@pytest.mark.slow
def test_every_cell_gets_its_share_to_within_a_patient(tmp_path):
    total = sum(sum(shares.values()) * (1 if role == "reference" else 2) for (role, _), shares in SHARES.items())
    table = make_phantom(tmp_path, patients=70, size=32, seed=0, workers=0, quiet=True).table
    patients = table.groupby(["domain", "split", "label"])["patient_id"].nunique()
    for scanner in SCANNERS:
        for split in ("train", "val", "test"):
            shares = SHARES["reference" if scanner is ALDER else "source", split]
            assert set(patients[scanner.domain, split].index) == set(shares)
            for label, count in patients[scanner.domain, split].items():
                assert abs(count - shares[label] * 70 / total) < 1


def test_too_few_patients_or_pixels_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at least 28 patients"):
        make_phantom(tmp_path / "a", patients=27, workers=0)
    with pytest.raises(UsageError, match="at least 32 rows"):
        make_phantom(tmp_path / "b", size=16, workers=0)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_dciodvfy_finds_no_error(manifest):
    tests = manifest.select(splits=["test"]).table
    for path in [*tests.groupby(["domain", "laterality"])["path"].first(), tests["oracle_path"].dropna().iloc[0]]:
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
        assert "MammographyImageForPresentation" in said
        assert "Error" not in said
