"""How domains are named: by the user, by headers, by further attributes; and how a model finds them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from dicoms import pixels, radiograph, write
from harmonizers import REFERENCE, scanner_harmonizer
from isotone.cli import app
from isotone.data.manifests.domain_names import KnownDomains, Naming, joined, read_map
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.check import check
from isotone.errors import IsotoneError, ModelError, RadiographError, UsageError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.model_file import checksum
from isotone.imaging.read import read_header

GE = "GE MEDICAL SYSTEMS Senographe Essential"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def scan(path: Path, maker: str, model: str, seed: int = 0, **more: object) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    return write(radiograph(seed=seed, Manufacturer=maker, ManufacturerModelName=model, **more), path)


@pytest.fixture
def upgraded(tmp_path: Path) -> Path:
    """A scanner before and after an upgrade."""
    for i, version in enumerate(("ADS_54.10", "ADS_54.10", "ADS_54.11")):
        scan(tmp_path / "in" / f"{i}.dcm", "GE MEDICAL SYSTEMS", f"Senographe Essential VERSION {version}", i)
    return tmp_path / "in"


def domains_of(*paths: Path, **options: object) -> list[str]:
    return Manifest.from_paths(paths, **options).domains  # type: ignore[arg-type]


def test_names_of_one_scanner_are_one_domain_in_the_most_frequent_spelling(tmp_path: Path) -> None:
    for i, maker in enumerate(("HOLOGIC, Inc.", "HOLOGIC, Inc.", "Hologic", "HOLOGIC,Inc. ")):
        scan(tmp_path / f"{i}.dcm", maker, "Selenia Dimensions", i)
    with pytest.warns(UserWarning, match="3 spellings"):
        assert domains_of(tmp_path) == ["HOLOGIC, Inc. Selenia Dimensions"]


def test_software_versions_of_a_scanner_are_one_domain_and_that_is_said(upgraded: Path) -> None:
    with pytest.warns(UserWarning, match="W_SEEN_SOFTWARE: .* stands for 2 software versions"):
        assert domains_of(upgraded) == [GE]
    assert len(domains_of(upgraded, domain_by=["software"])) == 2
    assert domains_of(upgraded / "0.dcm", upgraded / "1.dcm") == [f"{GE} VERSION ADS_54.10"]


def test_a_renamed_company_stays_two_domains_until_the_user_maps_one(tmp_path: Path) -> None:
    scan(tmp_path / "a.dcm", "LORAD", "Lorad Selenia", 1)
    scan(tmp_path / "b.dcm", "HOLOGIC, Inc.", "Lorad Selenia", 2)
    assert len(domains_of(tmp_path)) == 2
    new = "HOLOGIC, Inc. Lorad Selenia"
    assert domains_of(tmp_path, domain_map={"lorad LORAD SELENIA": new}) == [new]
    assert domains_of(tmp_path, domain_map={"LORAD Lorad Selenia": "old", new: "old"}) == ["old"]


def test_a_map_of_one_software_version_leaves_the_others(upgraded: Path) -> None:
    after = f"{GE} VERSION ADS_54.11"
    assert domains_of(upgraded, domain_map={after: "upgraded"}) == [f"{GE} VERSION ADS_54.10", "upgraded"]
    assert domains_of(upgraded, domain_map={GE: "any"}) == ["any"]


def test_the_column_of_the_manifest_goes_before_the_header_and_the_map_before_both(tmp_path: Path) -> None:
    scan(tmp_path / "a.dcm", "HOLOGIC, Inc.", "Selenia", 1)
    scan(tmp_path / "b.dcm", "HOLOGIC", "Selenia", 2)
    table = pd.DataFrame({"path": ["a.dcm", "b.dcm"], "domain": ["site A", ""]})
    table.to_csv(tmp_path / "m.csv", index=False)
    assert Manifest.read(tmp_path / "m.csv").domains == ["HOLOGIC Selenia", "site A"]
    assert Manifest.read(tmp_path / "m.csv", domain_map={"site A": "site B"}).domains == ["HOLOGIC Selenia", "site B"]
    table["domain"] = ["HOLOGIC, Inc. Selenia", ""]
    table.to_csv(tmp_path / "m.csv", index=False)
    assert Manifest.read(tmp_path / "m.csv").domains == ["HOLOGIC, Inc. Selenia"]


def test_a_map_may_be_a_table(tmp_path: Path) -> None:
    scan(tmp_path / "in" / "a.dcm", "LORAD", "Lorad Selenia")
    (tmp_path / "map.csv").write_text('old,new\n"LORAD Lorad Selenia","HOLOGIC, Inc. Lorad Selenia"\n')
    assert read_map(tmp_path / "map.csv") == {"LORAD Lorad Selenia": "HOLOGIC, Inc. Lorad Selenia"}
    for given in (tmp_path / "map.csv", "LORAD Lorad Selenia=HOLOGIC, Inc. Lorad Selenia"):
        done = run("inspect", tmp_path / "in", "--domain-map", given, "--json")
        assert json.loads(done.stdout.splitlines()[0])["domain"] == "HOLOGIC, Inc. Lorad Selenia"
    for bad in ("a,b,c\n", "a,\n", "a,b\na,c\n"):
        (tmp_path / "map.csv").write_text(bad)
        assert run("inspect", tmp_path / "in", "--domain-map", tmp_path / "map.csv").exit_code == 2
    assert run("inspect", tmp_path / "in", "--domain-map", "nothing").exit_code == 2
    assert run("inspect", tmp_path / "in", "--domain-map", "=new").exit_code == 2


def test_attributes_split_what_one_name_hides_without_free_text(tmp_path: Path) -> None:
    facts: dict[str, object] = {"StationName": "DOE JANE", "SoftwareVersions": "DOE JANE"}
    path = write(radiograph(AcquisitionDeviceProcessingDescription="DOE JANE", **facts), tmp_path / "a.dcm")
    header = read_header(path)
    by = ["view", "intent", "station", "software", "processing", "detector", "depth", "laterality", "modality"]
    naming = Naming.of(domain_by=[*by, "body-part"])
    name = naming.name(header)
    assert name is not None
    assert "intent FOR PRESENTATION" in name
    assert "view CC" in name
    assert "DOE" not in name
    assert naming.split(name, naming.parts(header)) == name
    assert naming.is_split(name)
    with pytest.raises(UsageError, match="no attribute 'sex'"):
        Naming.of(domain_by=["sex"])


def test_a_split_name_can_be_mapped(tmp_path: Path) -> None:
    write(radiograph(intent="FOR PROCESSING"), tmp_path / "a.dcm")
    split = "HOLOGIC, Inc. Selenia Dimensions [intent FOR PROCESSING]"
    assert domains_of(tmp_path, domain_by=["intent"]) == [split]
    assert domains_of(tmp_path, domain_by=["intent"], domain_map={split: "raw"}) == ["raw"]


@pytest.mark.slow
def test_a_model_finds_its_scanner_under_every_spelling_and_warns_of_new_software(tmp_path: Path) -> None:
    old = scanner_harmonizer(f"{GE} VERSION ADS_54.10")
    scan(tmp_path / "in" / "a.dcm", "Ge Medical Systems", '"Senographe Essential" VERSION ADS_54.10', 1)
    scan(tmp_path / "in" / "b.dcm", "GE MEDICAL SYSTEMS", "Senographe Essential VERSION ADS_54.11", 2)
    for deliver in ("pixels", "voi-lut", "gsps"):
        out = tmp_path / deliver
        manifest = Manifest.from_paths([tmp_path / "in"])
        report = apply(old, manifest, out, deliver=deliver, workers=0, quiet=True)  # type: ignore[arg-type]
        assert (report.harmonized, report.refused) == (2, [])
        warned = pd.read_csv(out / "curves.csv")["warnings"].fillna("")
        assert ["W_SEEN_SOFTWARE" in codes for codes in warned] == [False, True]
    report = check(old, Manifest.from_paths([tmp_path / "in"]), workers=0)
    assert [verdict.domain for verdict in report.verdicts] == list(old.source_domains)


def test_a_reference_image_passes_under_every_spelling(tmp_path: Path) -> None:
    scan(tmp_path / "in" / "a.dcm", "REFERENCE vendor", "One", 1)
    assert REFERENCE == "Reference Vendor One"
    report = apply(
        scanner_harmonizer("src"), Manifest.from_paths([tmp_path / "in"]), tmp_path / "out", workers=0, quiet=True
    )
    assert report.reference == 1


def test_an_unknown_scanner_is_told_the_nearest_one_and_what_works(tmp_path: Path) -> None:
    harmonizer = scanner_harmonizer("HOLOGIC, Inc. Lorad Selenia", "SIEMENS Mammomat Inspiration")
    path = scan(tmp_path / "a.dcm", "LORAD", "Lorad Selenia DOE^JANE")
    with pytest.raises(RadiographError) as caught:
        harmonizer.mapper(read_header(path))
    said = f"{caught.value.code} {caught.value.next_step}"
    assert "E_DOMAIN" in said
    assert 'use .with_domain("HOLOGIC, Inc. Lorad Selenia")' in said
    assert "JANE" not in said
    with pytest.raises(RadiographError, match="none has a name like it: fit a curve for it"):
        harmonizer.mapper(read_header(scan(tmp_path / "b.dcm", "FUJIFILM Corporation", "DX")))
    old = read_header(path).domain
    named = Manifest.from_paths([path], domain_map={str(old): "HOLOGIC, Inc. Lorad Selenia"})
    assert apply(harmonizer, named, tmp_path / "out", workers=0, quiet=True).harmonized == 1


def test_two_known_domains_that_are_alike_are_told_apart_by_the_exact_name_alone() -> None:
    known = KnownDomains(("HOLOGIC Selenia", "Hologic Selenia"))
    assert known.find("Hologic Selenia") == "Hologic Selenia"
    assert known.find("hologic selenia") is None


def test_a_domain_is_selected_and_called_as_the_user_spells_it(upgraded: Path) -> None:
    with pytest.warns(UserWarning, match="W_SEEN_SOFTWARE"):
        manifest = Manifest.from_paths([upgraded])
    for name in (f"{GE} VERSION ADS_54.10", GE.upper()):
        assert manifest.select(domains=[name]).domains == [name]
    with pytest.raises(UsageError, match="no image of domain"):
        manifest.select(domains=["GE Healthcare Senographe Essential"])
    split = Manifest.from_paths([upgraded], domain_by=["software"])
    with pytest.raises(UsageError, match="several domains"):
        split.select(domains=[GE])


def mixed(folder: Path, intents: Sequence[str] = ("FOR PRESENTATION", "FOR PROCESSING")) -> Path:
    """A reference, and images of both intents of one scanner, with other responses."""
    folder.mkdir()
    for i in range(12):
        for name, intent in (("REF", "FOR PRESENTATION"), *(("SRC", intent) for intent in intents)):
            response = {"REF": 1.0}.get(name, 1.6 if intent == "FOR PRESENTATION" else 0.6)
            shades = (pixels(seed=i) / 4095) ** response
            stored = np.rint(shades * 4095).astype(np.uint16)
            more = {"PatientID": f"{name}{i}", "Manufacturer": name, "ManufacturerModelName": "One"}
            ds = radiograph(stored, seed=i, intent=intent, **more)
            ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.{'1' if name == 'REF' else '2'}"
            write(ds, folder / f"{name}{intent[4:7]}{i}.dcm")
    return folder


def test_a_fit_of_several_modalities_or_depths_says_so_on_either_side(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(12):
        for name in ("REF", "SRC"):
            more = {"PatientID": f"{name}{i}", "Manufacturer": name, "ManufacturerModelName": "One"}
            ds = radiograph(pixels(seed=i), seed=i, **more)
            ds.Modality = "CR" if name == "SRC" and i < 5 else "MG"
            ds.BitsStored, ds.HighBit = (14, 13) if name == "REF" and i < 3 else (12, 11)
            ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.{'1' if name == 'REF' else '2'}"
            write(ds, tmp_path / "in" / f"{name}{i}.dcm")
    fitted = ToneCurveHarmonizer("REF One", "SRC One").fit(Manifest.from_paths([tmp_path / "in"]), workers=0)
    said = [warning for warning in fitted.scanners["SRC One"].report.warnings if warning.startswith("W_MIXED")]
    assert any("its images differ in modality (" in w and "of CR" in w and 'domain_by=["modality"]' in w for w in said)
    assert any("images of the reference differ in bit depth (" in w and 'domain_by=["depth"]' in w for w in said)
    assert len(said) == 2


@pytest.mark.slow
def test_images_of_both_intents_are_refused_as_one_scanner_and_fitted_as_two(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in")
    with pytest.raises(IsotoneError, match=r"FOR PRESENTATION and .* FOR PROCESSING") as caught:
        ToneCurveHarmonizer("REF One", "SRC One").fit(Manifest.from_paths([folder]), workers=0)
    assert caught.value.code == "E_INTENT"
    assert 'domain_by=["intent"]' in caught.value.next_step
    sources = [f"SRC One [intent FOR {kind}]" for kind in ("PRESENTATION", "PROCESSING")]
    manifest = Manifest.from_paths([folder], domain_by=["intent"])
    fitted = ToneCurveHarmonizer("REF One", sources).fit(manifest, workers=0)
    fitted.save(tmp_path / "h")
    loaded = ToneCurveHarmonizer.load(tmp_path / "h")
    assert loaded.naming == Naming(by=("intent",))
    # apply needs not be told again; each image gets the curve of its kind
    plain = Manifest.from_paths([folder / "SRCPRE0.dcm", folder / "SRCPRO0.dcm", folder / "REFPRE0.dcm"])
    report = apply(loaded, plain, tmp_path / "out", workers=0, quiet=True, allow=["look"])
    assert (report.harmonized, report.reference, report.refused) == (2, 1, [])
    curves = pd.read_csv(tmp_path / "out" / "curves.csv").set_index("output")["coefficients"]
    assert curves["SRCPRE0.dcm"] != curves["SRCPRO0.dcm"]


def test_a_fit_remembers_its_map(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in", ["FOR PRESENTATION"])
    manifest = Manifest.from_paths([folder], domain_map={"SRC One": "renamed"})
    ToneCurveHarmonizer("REF One", "renamed").fit(manifest, workers=0).save(tmp_path / "h")
    loaded = ToneCurveHarmonizer.load(tmp_path / "h")
    assert loaded.domain_of(read_header(folder / "SRCPRE0.dcm")) == "renamed"
    body = json.loads((tmp_path / "h" / "config.json").read_text())
    assert body["naming"] == {"map": {"SRC One": "renamed"}, "by": []}


@pytest.mark.parametrize(
    "naming", [5, {}, {"map": [], "by": []}, {"map": {"a": 1}, "by": []}, {"map": {}, "by": ["x"]}]
)
def test_a_model_with_a_damaged_naming_is_refused(tmp_path: Path, naming: object) -> None:
    harmonizer = scanner_harmonizer("src")
    harmonizer.save(tmp_path)
    body = json.loads((tmp_path / "config.json").read_text())
    body.pop("sha256")
    body["naming"] = naming
    (tmp_path / "config.json").write_text(json.dumps(body | {"sha256": checksum(body)}))
    with pytest.raises(ModelError, match="E_MODEL"):
        ToneCurveHarmonizer.load(tmp_path)


def test_a_model_of_before_has_no_naming_and_loads(tmp_path: Path) -> None:
    scanner_harmonizer("src").save(tmp_path)
    body = json.loads((tmp_path / "config.json").read_text())
    body.pop("sha256")
    del body["naming"]
    (tmp_path / "config.json").write_text(json.dumps(body | {"sha256": checksum(body)}))
    assert ToneCurveHarmonizer.load(tmp_path).naming == Naming()


def test_joined_names_keep_those_that_the_user_states() -> None:
    assert joined([("A, Inc. X", False), ("a x", False), ("A X", True)]) == {"A, Inc. X": "A X", "a x": "A X"}
    assert joined([("A, Inc. X", False), ("A X", True), ("a X", True)]) == {"A, Inc. X": "A, Inc. X"}


def test_a_manifest_is_written_from_folders_and_read_by_fit(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in", ["FOR PRESENTATION"])
    (folder / "README").write_text("no image")
    (folder / "damaged.dcm").write_bytes(b"no image")
    done = run("manifest", folder, "-o", tmp_path / "m.csv", "--workers", 1)
    assert done.exit_code == 1
    assert "E_NOT_DICOM" in done.stderr
    assert "1 file is no image" in done.stderr
    assert done.stdout.splitlines() == ["REF One: 12", "SRC One: 12", str(tmp_path / "m.csv")]
    table = pd.read_csv(tmp_path / "m.csv")
    assert list(table.columns) == ["path", "domain", "label", "patient_id", "split"]
    assert set(table["path"]) == {f"in/{p.name}" for p in folder.glob("*PRE*.dcm")}
    assert run("manifest", folder, "-o", tmp_path / "m.csv").exit_code == 2
    fit = ("--reference", "REF One", "--source", "SRC One", "--workers", 1, "--quiet")
    assert run("fit", tmp_path / "m.csv", *fit, "-o", tmp_path / "h").exit_code == 0


def test_fit_takes_folders(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in", ["FOR PRESENTATION"])
    (folder / "README").write_text("no image")
    fit = ("--reference", "REF One", "--source", "SRC One", "--workers", 1, "--quiet")
    done = run("fit", folder, *fit, "-o", tmp_path / "h")
    assert done.exit_code == 0, done.output
    assert "in" not in json.loads((tmp_path / "h" / "config.json").read_text())["mappers"]


def test_subfolders_may_name_the_scanners(tmp_path: Path) -> None:
    for name in ("a/x.dcm", "a/deep/y.dcm", "b/z.dcm", "loose.dcm"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write(radiograph(seed=len(name)), tmp_path / "in" / name)
    done = run("manifest", tmp_path / "in", "--domain-from", "subfolder", "-o", tmp_path / "m.csv", "--workers", 1)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "m.csv").set_index("path")["domain"]
    assert table.to_dict() == {"in/a/deep/y.dcm": "a", "in/a/x.dcm": "a", "in/b/z.dcm": "b", "in/loose.dcm": "in"}


@pytest.mark.parametrize("options", [{}, {"domain_by": ["intent"]}])
def test_an_old_name_of_the_map_that_no_image_has_is_said(tmp_path: Path, options: dict[str, object]) -> None:
    scan(tmp_path / "a.dcm", "LORAD", "Selenia")
    mapped = {"LORAD Selenai": "X", "lorad  SELENIA": "Y"}
    with pytest.warns(UserWarning, match="W_NAMES: the domain map names 'LORAD Selenai', and no image is called so"):
        manifest = Manifest.from_paths([tmp_path], domain_map=mapped, **options)  # type: ignore[arg-type]
    assert [name.partition(" [")[0] for name in manifest.domains] == ["Y"]


def test_an_old_name_that_is_split_is_met(tmp_path: Path) -> None:
    scan(tmp_path / "a.dcm", "LORAD", "Selenia")
    (split,) = domains_of(tmp_path, domain_by=["view"])
    assert Manifest.from_paths([tmp_path], domain_by=["view"], domain_map={split: "Z"}).notes == ()
    assert domains_of(tmp_path, domain_by=["view"], domain_map={split: "Z"}) == ["Z"]


def test_a_domain_for_images_without_a_name_says_where_it_names_none(tmp_path: Path) -> None:
    scan(tmp_path / "a.dcm", "LORAD", "Selenia")
    assert "domain= names no image" in "".join(Manifest.from_paths([tmp_path], domain="X").notes)
    (tmp_path / "m.csv").write_text("path,domain\nb.png,Y\n")
    assert "domain= names no image" in "".join(Manifest.read(tmp_path / "m.csv", domain="X").notes)
    (tmp_path / "m.csv").write_text("path,domain\nb.png,\nc.png,Y\n")
    assert Manifest.read(tmp_path / "m.csv", domain="X").notes == ()
