import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from isotone.data.cohorts.cohort import sample
from isotone.data.cohorts.embed import embed_cohort
from isotone.data.cohorts.nih import nih_cohort
from isotone.data.cohorts.rsna import BRANDS, rsna_cohort
from isotone.data.cohorts.table import table_one
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, UsageError

from dicoms import radiograph  # isort: skip

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")


def counts(manifest, *keys):
    return manifest.table.groupby(list(keys)).size().to_dict()


def patients_straddle(manifest):
    return bool((manifest.table.groupby("patient_id")["split"].nunique() > 1).any())


# RSNA


@pytest.fixture
def rsna(tmp_path):
    """Small chest radiographs: brand X positive (two boxes), four of brand Y, the third group, another spacing."""
    rows = []
    folder = tmp_path / "stage_2_train_images"
    folder.mkdir()
    spacings = {"a": "0.171", "c": "0.194311", "d": "0.168"} | dict.fromkeys("bfgh", "0.143")
    for name, spacing in spacings.items():
        image = radiograph(modality="CR", PixelSpacing=[spacing, spacing], ViewPosition="PA", PatientID=name)
        image.save_as(folder / f"{name}.dcm", enforce_file_format=True)
        rows += [(name, 1), (name, 1)] if name in "ad" else [(name, 0)]
    labels = tmp_path / "stage_2_train_labels.csv"
    pd.DataFrame(rows, columns=["patientId", "Target"]).assign(x="").to_csv(labels, index=False)
    return labels


@pytest.mark.slow
@needs_shared
def test_rsna_finds_the_published_counts_in_the_published_tables():
    folder = SHARED / "rsna"
    cohort = rsna_cohort(
        folder / "kaggle_stage_2_train_labels.csv.zip",
        headers=folder / "kaggle_stage_2_train_images_dicom_headers.csv.gz",
    )
    assert len(cohort.found) == 26_684
    assert cohort.found.table["patient_id"].nunique() == 26_684
    found = counts(cohort.found, "domain", "label")
    assert {key: n for key, n in found.items() if key[0] in BRANDS} == {
        ("brand X", "negative"): 1446,
        ("brand X", "positive"): 550,
        ("brand Y", "negative"): 8234,
        ("brand Y", "positive"): 759,
        ("third group", "negative"): 1262,
        ("third group", "positive"): 96,
    }
    views = counts(cohort.found, "domain", "view")
    assert (views["brand Y", "AP"], views["brand Y", "PA"]) == (1, 8992)
    assert (views["brand X", "AP"], views["brand X", "PA"]) == (1083, 913)
    taken = counts(cohort.manifest, "domain", "label", "split")
    for domain in ("brand X", "brand Y"):
        for label in ("negative", "positive"):
            assert taken[domain, label, "test"] == 100
            assert sum(taken[domain, label, split] for split in ("train", "val")) == 400
    assert "kaggle.com" in cohort.notes[-1]


def test_rsna_reads_spacing_and_view_from_the_dicom_files(rsna):
    cohort = rsna_cohort(rsna, per_cell=None, workers=0, quiet=True)
    assert counts(cohort.found, "domain", "label") == {
        ("brand X", "positive"): 1,
        ("brand Y", "negative"): 4,
        ("third group", "negative"): 1,
        ("other spacing", "positive"): 1,
    }
    assert set(cohort.found.table["view"]) == {"PA"}
    assert "other spacing" not in cohort.manifest.domains
    assert all(Path(row.path).is_file() for row in cohort.manifest)


def test_rsna_names_a_damaged_file_and_goes_on(rsna):
    (rsna.parent / "stage_2_train_images" / "e.dcm").write_bytes(b"nothing")
    cohort = rsna_cohort(rsna, per_cell=None, workers=0, quiet=True)
    assert len(cohort.found) == 7
    assert "E_NOT_DICOM" in cohort.notes[0]


def test_rsna_counts_images_without_a_label(rsna):
    table = pd.read_csv(rsna, dtype=str)
    table[table["patientId"] != "d"].to_csv(rsna, index=False)
    cohort = rsna_cohort(rsna, per_cell=None, workers=0, quiet=True)
    assert cohort.notes == ("1 images have no label and are left out",)
    assert len(cohort.manifest) == 6


def test_rsna_says_what_is_missing_and_where_to_get_it(tmp_path):
    with pytest.raises(UsageError, match=r"no such table .*kaggle\.com"):
        rsna_cohort(tmp_path / "stage_2_train_labels.csv")
    labels = tmp_path / "labels.csv"
    labels.write_text("patientId,Target\na,1\n")
    with pytest.raises(UsageError, match=r"no DICOM file .*kaggle\.com.*headers="):
        rsna_cohort(labels)
    labels.write_text("patient,Target\na,1\n")
    with pytest.raises(UsageError, match="no column 'patientId'"):
        rsna_cohort(labels)
    broken = tmp_path / "labels.csv.zip"
    broken.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(UsageError, match="not readable"):
        rsna_cohort(broken)


def test_rsna_takes_a_zipped_table(rsna):
    packed = rsna.with_suffix(".csv.zip")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(rsna, rsna.name)
    assert len(rsna_cohort(packed, per_cell=None, workers=0, quiet=True).found) == 7


# NIH


@pytest.fixture
def nih(tmp_path):
    """Twenty patients with two images each in two folders; the last image was not downloaded."""
    lines = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    ]
    for patient in range(1, 21):
        for visit in range(2):
            name = f"{patient:08d}_{visit:03d}.png"
            spacing = ("0.14300000000000002", "0.194311")[patient % 2]
            finding = ("No Finding", "Effusion|Mass")[visit]
            lines.append(f"{name},{finding},{visit},{patient},50,{'FM'[patient % 2]},PA,2048,2048,{spacing},{spacing}")
            if (patient, visit) != (20, 1):
                folder = tmp_path / f"images_{1 + visit:03d}" / "images"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / name)
    path = tmp_path / "Data_Entry_2017_v2020.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_nih_names_domains_by_pixel_spacing(nih):
    cohort = nih_cohort(nih)
    assert cohort.found.domains == ["spacing 0.143", "spacing 0.194"]
    assert len(cohort.found) == 40
    assert set(cohort.manifest.table["label"]) == {"F", "M"}
    assert set(cohort.manifest.table["view"]) == {"PA"}


def test_nih_finds_images_in_every_folder_and_says_how_many_are_missing(nih):
    cohort = nih_cohort(nih)
    assert len(cohort.manifest) == 39
    assert all(row.path.is_file() for row in cohort.manifest)
    assert cohort.notes == (
        "1 of the 40 images are missing and left out. Download it from https://nihcc.app.box.com/v/ChestXray-NIHCC.",
    )


def test_nih_patients_stay_in_one_split(nih):
    cohort = nih_cohort(nih)
    assert set(cohort.manifest.table["split"]) == {"train", "val", "test"}
    assert not patients_straddle(cohort.manifest)


def test_nih_takes_a_finding_for_label(nih):
    table = nih_cohort(nih, label="Mass").found.table
    assert (table["label"] == np.where(table["findings"].str.contains("Mass"), "positive", "negative")).all()
    with pytest.raises(UsageError, match="Use sex or one of: Effusion, Mass, No Finding"):
        nih_cohort(nih, label="Cold")


@pytest.mark.slow
@needs_shared
def test_nih_counts_agree_with_the_published_table():
    cohort = nih_cohort(SHARED / "nih" / "Data_Entry_2017_v2020.csv.gz", images=SHARED / "nih" / "images", per_cell=30)
    assert len(cohort.found) == 112_120
    views = counts(cohort.found, "domain", "view")
    assert (views["spacing 0.143", "PA"], views["spacing 0.143", "AP"]) == (39_846, 3)
    assert max(counts(cohort.manifest, "domain", "label").values()) == 30
    assert "111120 of the 112120" in cohort.notes[0]


# EMBED

SELENIA, CLEARVIEW = "Selenia Dimensions", "Clearview CSm"
SENOGRAPH = ("Senograph 2000D ADS_17.4.5", "Senograph 2000D ADS_17.5")
NAS = "/mnt/NAS2/mammo/anon_dicom/"


class Embed:
    """A small download of EMBED in its published layout."""

    def __init__(self, root):
        self.root, self.images, self.exams = root, [], []
        (root / "tables").mkdir()

    def image(self, patient, *, model=SELENIA, density=2, relationship="LOG", file=True, **changes):
        number = len(self.images)
        below = f"cohort_{1 + number % 2}/{patient}/study/series/{number}.dcm"
        row = {
            "empi_anon": patient,
            "acc_anon": 1000 + number,
            "anon_dicom_path": NAS + below,
            "SeriesDescription": "L CC",
            "FinalImageType": "2D",
            "ImageLateralityFinal": "L",
            "ViewPosition": "CC",
            "spot_mag": None,
            "PatientSex": "F",
            "Manufacturer": "somebody",
            "ManufacturerModelName": model,
            "Rows": 48,
        }
        self.images.append(row | changes)
        # One line for each finding of an examination.
        self.exams += [
            {"empi_anon": patient, "acc_anon": 1000 + number, "tissueden": density, "asses": a} for a in "NB"
        ]
        if file:
            path = self.root / "images" / below
            path.parent.mkdir(parents=True, exist_ok=True)
            radiograph(PixelIntensityRelationship=relationship).save_as(path, enforce_file_format=True)

    def cohort(self, **options):
        tables = self.root / "tables"
        pd.DataFrame(self.images).to_csv(tables / "EMBED_OpenData_metadata.csv", index=False)
        pd.DataFrame(self.exams).to_csv(tables / "EMBED_OpenData_clinical.csv", index=False)
        return embed_cohort(self.root, **options)


@pytest.fixture
def embed(tmp_path):
    download = Embed(tmp_path)
    for patient in range(3):  # something to keep in every test
        download.image(100 + patient)
    return download


@pytest.mark.parametrize(
    "change",
    [
        {"FinalImageType": "cview"},
        {"FinalImageType": None},
        {"ViewPosition": "MLO"},
        {"ViewPosition": None, "SeriesDescription": "R MLO"},
        {"ViewPosition": None, "SeriesDescription": None},
        {"ViewPosition": None, "SeriesDescription": "RXCCL"},
        {"ViewPosition": "CC", "SeriesDescription": "L XCCL"},
        {"spot_mag": 1.0},
        {"PatientSex": "M"},
        {"model": "Some Other"},
        {"density": 5},
        {"density": None},
        {"relationship": "LIN"},
        {"anon_dicom_path": None},
    ],
    ids=str,
)
def test_embed_leaves_out(embed, change):
    embed.image(7, **change)
    assert "7" not in set(embed.cohort().manifest.table["patient_id"])


@pytest.mark.parametrize("description", ["R CC", "RCC", "lcc", "L CC Screening"])
def test_embed_reads_a_missing_view_from_the_series_description(embed, description):
    embed.image(7, ViewPosition=None, SeriesDescription=description)
    table = embed.cohort().manifest.table
    assert table[table["patient_id"] == "7"]["view"].tolist() == ["CC"]


def test_embed_merges_the_two_senographs(embed):
    for patient, model in enumerate((*SENOGRAPH, CLEARVIEW)):
        embed.image(patient, model=model)
    assert counts(embed.cohort().found, "domain") == {SELENIA: 3, CLEARVIEW: 1, "Senograph 2000D": 2}


def test_embed_takes_density_from_the_examination(embed):
    for patient, density in enumerate((1, 2, 3, 4)):
        embed.image(patient, density=density)
    table = embed.cohort().found.table.set_index("patient_id")
    assert [table["label"][str(i)] for i in range(4)] == ["A", "B", "C", "D"]


def test_embed_takes_one_image_per_patient_scanner_and_class(embed):
    for density in (2, 2, 2, 3):
        embed.image(7, density=density)
    embed.image(7, density=2, model=CLEARVIEW)
    cohort = embed.cohort()
    assert len(cohort.found) == 8
    mine = cohort.manifest.table[cohort.manifest.table["patient_id"] == "7"]
    assert counts(Manifest(mine), "domain", "label") == {(SELENIA, "B"): 1, (SELENIA, "C"): 1, (CLEARVIEW, "B"): 1}


def test_embed_takes_another_image_of_a_patient_whose_first_is_linear(embed):
    embed.image(7, relationship="LIN")
    embed.image(7)
    embed.image(7, relationship="LIN")
    for seed in range(4):
        table = embed.cohort(seed=seed).manifest.table
        assert table[table["patient_id"] == "7"]["path"].str.endswith("4.dcm").tolist() == [True]


def test_embed_keeps_to_the_size_of_a_cell_and_tests_only_on_rare_ones(embed):
    for patient in range(20):
        embed.image(patient, density=3)
    embed.image(50, density=1)
    cohort = embed.cohort(per_cell=10)
    taken = counts(cohort.manifest, "label")
    assert taken == {"A": 1, "B": 3, "C": 10}
    table = cohort.manifest.table
    assert set(table[table["label"].isin(["A", "B"])]["split"]) == {"test"}
    assert set(table[table["label"] == "C"]["split"]) == {"train", "val", "test"}


def test_embed_patients_with_several_scanners_stay_in_one_split(embed):
    for patient in range(30):
        embed.image(patient, density=2)
        embed.image(patient, density=3, model=CLEARVIEW)
    manifest = embed.cohort(per_cell=30).manifest
    assert set(manifest.table["split"]) == {"train", "val", "test"}
    assert not patients_straddle(manifest)


def test_embed_does_not_mind_identifiers_that_became_floats(embed):
    embed.image(7, empi_anon="7.0", acc_anon="1003.0")
    assert "7" in set(embed.cohort().manifest.table["patient_id"])


def test_embed_lists_a_file_once(embed):
    embed.image(7)
    embed.images.append(
        embed.images[-1] | {"anon_dicom_path": embed.images[-1]["anon_dicom_path"].replace(NAS, "/data/")}
    )
    assert len(embed.cohort().found) == 4


def test_embed_says_how_many_images_each_filter_leaves(embed):
    embed.image(7, FinalImageType="cview")
    embed.image(8, density=None)
    said = embed.cohort().notes[0]
    assert said == (
        "5 images listed, 4 2D, 4 CC, 4 no spot or magnification, 4 female, 4 of the three models, "
        "3 with a density class"
    )


def test_embed_says_what_is_missing_and_where_to_get_it(embed, tmp_path):
    with pytest.raises(UsageError, match=r"no such table .*registry\.opendata\.aws"):
        embed_cohort(tmp_path / "elsewhere")
    embed.image(7, file=False)
    cohort = embed.cohort()
    assert cohort.notes[1].startswith("1 of the 4 images are missing and left out. Request it at https://registry")
    embed.images = [row | {"FinalImageType": "cview"} for row in embed.images]
    with pytest.raises(IsotoneError, match=r"no image passes the filters \(4 images listed, 0 2D"):
        embed.cohort()


def test_embed_without_images_lists_where_they_go(tmp_path):
    download = Embed(tmp_path)
    for patient in range(6):
        download.image(patient, file=False)
    cohort = download.cohort(per_cell=6)
    assert len(cohort.manifest) == 6
    assert cohort.notes[1].startswith("none of the 6 images is here")


# All of them


def test_the_same_seed_draws_the_same_cohort():
    table = pd.DataFrame({"path": [f"/none/{i}.png" for i in range(200)]})
    table = table.assign(domain="one", label=[*"AB"] * 100, patient_id=[str(i // 3) for i in range(200)])
    first, again, other = (sample(table, "Somewhere.", per_cell=20, seed=s).manifest.table for s in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_table_one_counts_by_domain_view_and_label():
    table = pd.DataFrame(
        {
            "path": ["a.png", "b.png", "c.png"],
            "domain": "one",
            "label": ["A", "A", "B"],
            "patient_id": ["p", "p", "q"],
            "split": ["train", "train", "test"],
            "view": ["CC", "CC", "MLO"],
        }
    )
    console = Console(width=100, file=io.StringIO())
    console.print(table_one(Manifest(table)))
    text = " ".join(console.file.getvalue().split())
    assert "│ one │ CC │ 2 / 0 │ 0 / 0 │ 2 │ 1 │" in text
    assert "│ one │ MLO │ 0 / 0 │ 0 / 1 │ 1 │ 1 │" in text
    assert "3 images of 2 patients" in text
