"""The mercure module keeps mercure's contract: folders, names, settings and result file (docs of mercure 0.4)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from dicoms import radiograph, write
from harmonizers import scanner_harmonizer
from nodes import SCANNER, timeless, uid_of
from processes import COMMAND

MODULE = Path(__file__).parents[2] / "integrations" / "mercure" / "isotone_module.py"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """What mercure hands over: a series of three images, one of another scanner, and their task."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, vendor in enumerate(("hologic", "hologic", "ge")):
        ds = radiograph(seed=number, vendor=vendor)
        path = write(ds, folder / f"{ds.SeriesInstanceUID}#{ds.SOPInstanceUID}.dcm")
        path.with_suffix(".tags").write_text("{}")
    scanner_harmonizer(SCANNER).save(tmp_path / "harmonizer")
    (tmp_path / "out").mkdir()
    return tmp_path


def run(task: Path, **settings: object) -> tuple[int, dict[str, object]]:
    process = {"module_name": "isotone", "settings": {"harmonizer": str(task / "harmonizer"), **settings}}
    (task / "in" / "task.json").write_text(json.dumps({"id": "1", "process": process, "info": {}}))
    spec = importlib.util.spec_from_file_location("isotone_module", MODULE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    code = module.main(task / "in", task / "out", COMMAND)
    result = task / "out" / "result.json"
    return code, json.loads(result.read_text()) if result.exists() else {}


@pytest.mark.slow
@pytest.mark.parametrize("refused", ["forward", "drop"])
def test_a_series_is_harmonized_under_its_names_and_the_refused_image_goes_as_asked(task, refused):
    code, result = run(task, refused=refused)
    assert code == 0
    given = sorted(path for path in (task / "in").glob("*.dcm"))
    made = {path.name: path for path in (task / "out").glob("*.dcm")}
    kept = [path for path in given if path.name in made and timeless(path) == timeless(made[path.name])]
    assert len(kept) == (1 if refused == "forward" else 0)
    assert len(made) == len(kept) + 2
    assert all(uid_of(path) not in name for name, path in made.items() if path.name not in {k.name for k in kept})
    assert result["images"] == {"harmonized": 2, "refused": 1}
    assert result["codes"] == ["E_DOMAIN"]
    assert result["__mercure_notification"] == {"text": "2 harmonized, 1 refused; E_DOMAIN", "requested": True}


@pytest.mark.slow
def test_where_isotone_itself_fails_mercure_is_told_and_gets_nothing(task):
    code, result = run(task, harmonizer=str(task / "none"))
    assert code != 0
    assert result == {}
    assert not list((task / "out").iterdir())
