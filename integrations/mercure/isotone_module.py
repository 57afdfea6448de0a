"""Processing module for mercure: ``MERCURE_IN_DIR`` → ``MERCURE_OUT_DIR``, with the command ``isotone apply``.

Settings, in mercure's module or rule (``task.json``: process, settings):

    {"harmonizer": "/harmonizer", "deliver": "pixels", "refused": "forward"}

``refused`` is "forward" (what is refused leaves unchanged, the default) or "drop" (it does not leave). ``result.json``
says what was done with how many images, and asks for a notification where any was refused or a scanner drifts.

The folder and result-file contract is that of https://mercure-imaging.org/docs/modules.html. This module was tested by
replaying it; it was not run inside mercure.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

DEFAULTS = {"harmonizer": "/harmonizer", "deliver": "pixels", "refused": "forward"}


def settings_of(folder):
    """The settings of the task; of a rule with several modules, those of the first that names a harmonizer."""
    process = json.loads((folder / "task.json").read_text()).get("process") or {}
    steps = process if isinstance(process, list) else [process]
    given = [step.get("settings") or {} for step in steps]
    chosen = next((one for one in given if "harmonizer" in one), given[0] if given else {})
    settings = DEFAULTS | {name: value for name, value in chosen.items() if name in DEFAULTS}
    if settings["refused"] not in ("forward", "drop"):
        raise SystemExit("refused is forward or drop")
    return settings


def main(given, out, command=("isotone",)):
    """Process one task; the exit code is 0 where every image was dealt with as the settings say."""
    settings = settings_of(given)
    images = sorted(given.glob("*.dcm"))
    with tempfile.TemporaryDirectory(prefix="isotone-") as made:
        arguments = ["apply", settings["harmonizer"], *map(str, images), "-o", made]
        arguments += ["--deliver", settings["deliver"], "--json", "--quiet"]
        done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=False)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        found = {Path(one["path"]).name: one for one in said if one["kind"] == "image"}
        if set(found) != {path.name for path in images}:
            return done.returncode or 1  # isotone itself failed: mercure tries again
        for path in images:
            deliver(path, found[path.name], Path(made), out, settings)
    warnings = [line for one in said if one["kind"] == "summary" for line in one["warnings"]]
    counts = Counter(one["status"] for one in found.values())
    refused = sorted({one["code"] for one in found.values() if one["status"] == "refused"})
    text = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    notification = {"text": "; ".join([text, *refused, *warnings]), "requested": bool(refused or warnings)}
    result = {"images": dict(counts), "codes": refused, "warnings": warnings, "__mercure_notification": notification}
    (out / "result.json").write_text(json.dumps(result))
    return 0


def deliver(path, said, made, out, settings):
    """Put one image into the outgoing folder, under the name by which mercure knows its series."""
    if said["status"] == "refused":
        if settings["refused"] == "forward":
            shutil.copyfile(path, out / path.name)
    elif said["output"]:
        shutil.copyfile(made / said["output"], out / path.name)
    else:  # a reference image, which a delivery of tables leaves where it is
        shutil.copyfile(path, out / path.name)


if __name__ == "__main__":
    sys.exit(main(Path(os.environ["MERCURE_IN_DIR"]), Path(os.environ["MERCURE_OUT_DIR"])))
