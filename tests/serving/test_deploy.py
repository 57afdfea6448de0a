"""The files that start a node say what the documentation says of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_unit_gives_the_node_no_capability_and_one_writable_folder():
    lines = (DEPLOY / "isotone.service").read_text().splitlines()
    assert {"CapabilityBoundingSet=", "NoNewPrivileges=true", "ProtectSystem=strict", "StateDirectory=isotone"} <= {
        *lines
    }
    assert not [line for line in lines if line.startswith(("ReadWritePaths", "User=root"))]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    text = (
        (DEPLOY / "isotone.service").read_text().replace("/opt/isotone/.venv/bin/isotone", shutil.which("true") or "")
    )
    unit = tmp_path / "isotone.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert str(unit.name) not in done.stderr


def test_no_port_of_the_compose_file_is_open_to_others():
    ports = [line.strip() for line in (DEPLOY / "compose.yaml").read_text().splitlines() if "ports:" in line]
    assert ports
    assert all('["127.0.0.1:' in line for line in ports)
