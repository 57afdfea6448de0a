"""Replays the commands of deploy/Containerfile in an empty folder, and starts the node as its container would.

No container engine is needed: what is left out is the base image, the user and the volume.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NODE = """
spool = "spool"
archive = ["archive"]
port = 11119
[limits]
free_bytes = 0
[[destination]]
kind = "dicom"
name = "archive"
host = "127.0.0.1"
port = 4242
ae_title = "ARCHIVE"
[[rule]]
name = "all"
harmonizer = "harmonizer"
to = ["archive"]
"""
COHORT = "cohort phantom -o cohort --patients 30 --size 64 --quiet"
FIT = 'fit cohort/manifest.csv --reference "Alder Mammo One" --source "Birch Mammo Two" -o harmonizer --quiet'


def replay(text: str, folder: str) -> list[str]:
    """Run the commands in a folder; the command of the container, there."""
    [place] = re.findall(r"^WORKDIR (.*)$", text, re.M)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), f"{folder}/source"], check=True)  # COPY
    for step in re.findall(r"^RUN (.*)$", text, re.M):
        if "useradd" not in step:
            subprocess.run(step, shell=True, cwd=folder, check=True, env={**os.environ, "PIP_QUIET": "2"})
    parts = [json.loads(line) for line in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", text, re.M)]
    return [part.replace(place, folder).replace("/etc/isotone", folder) for one in parts for part in one]


def main() -> None:
    """Replay it; the harmonizer is fitted by the environment that runs this, as a node's comes from elsewhere."""
    text = (ROOT / "deploy" / "Containerfile").read_text().replace("\\\n", " ")
    fitting = [sys.executable, "-c", "from isotone.cli import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        command = replay(text, folder)
        for line in (COHORT, FIT):
            subprocess.run([*fitting, *shlex.split(line)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        Path(folder, "node.toml").write_text(NODE)
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as node:
            assert node.stdout is not None
            said = node.stdout.readline()
            node.terminate()
            code = node.wait(120)
        assert said.startswith("listening"), said
        assert code == 143, code
        print(said.strip())


if __name__ == "__main__":
    main()
