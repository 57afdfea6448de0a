"""A real Orthanc gets from a node what it would get from `apply`, also when both are killed on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from dicoms import radiograph, write
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

from harmonizers import scanner_harmonizer
from nodes import SCANNER, objects, uid_of
from orthanc_roundtrip import fingerprint

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
MISSING = [program for program in ("Orthanc", "unshare", "ip") if shutil.which(program) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")]


def in_namespace(script: str, *arguments: Path) -> str:
    """What a script of the tests prints, in a network of its own."""
    inner = " ".join(map(str, (sys.executable, Path(__file__).parents[1] / script, *arguments)))
    command = ["unshare", "-n", "sh", "-c", f"ip link set lo up && exec {inner}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    if "Operation not permitted" in done.stderr:
        pytest.skip("may not make a network namespace here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_orthanc_has_originals_and_what_was_made_of_them_after_a_kill_of_both(tmp_path):
    sources = objects(tmp_path / "in", 12)
    (tmp_path / "work").mkdir()
    printed = in_namespace("orthanc_node.py", tmp_path / "in", tmp_path / "work")
    manifest = Manifest.from_paths([tmp_path / "in"])
    apply(scanner_harmonizer(SCANNER), manifest, tmp_path / "out", workers=0, quiet=True)
    wanted = {}
    for path in [*sources, *(tmp_path / "out").glob("*.dcm")]:
        ds = pydicom.dcmread(path)
        wanted[str(ds.SOPInstanceUID)] = fingerprint(ds)
    assert json.loads(printed.splitlines()[-1]) == wanted


@pytest.mark.skipif(not PLUGIN.exists(), reason="needs orthanc-python")
def test_the_plugin_harmonizes_what_arrives_and_what_is_asked_for(tmp_path):
    """One image is of a scanner without a curve: it stays as it is, and a request for it is answered with its code."""
    sources = objects(tmp_path / "in", 3)
    sources.append(write(radiograph(vendor="ge", seed=9), tmp_path / "in" / "9.dcm"))
    (tmp_path / "work").mkdir()
    harmonizer = scanner_harmonizer(SCANNER)
    harmonizer.save(tmp_path / "harmonizer")
    said = json.loads(in_namespace("orthanc_plugin.py", tmp_path / "in", tmp_path / "harmonizer", tmp_path / "work"))
    apply(harmonizer, Manifest.from_paths(sources[:3]), tmp_path / "out", workers=0, quiet=True)
    wanted = {
        uid_of(path): fingerprint(pydicom.dcmread(path)) for path in [*sources, *(tmp_path / "out").glob("*.dcm")]
    }
    assert said["has"] == wanted
    assert sorted(status for status, _ in said["answers"]) == [200, 422]
    assert [body["code"] for status, body in said["answers"] if status == 422] == ["E_DOMAIN"]
