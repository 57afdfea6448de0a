"""Orthanc plugin (orthanc-python): harmonizes what arrives, or what is asked for, with the command ``isotone apply``.

In Orthanc's configuration:

    "PythonScript": "/etc/orthanc/isotone_plugin.py",
    "Isotone": {
      "Command": ["/opt/isotone/.venv/bin/isotone"],
      "Harmonizer": "/var/lib/isotone/harmonizer",
      "OnReception": true
    }

``POST /isotone/instances/{id}/harmonize`` harmonizes one instance and answers with the new one's Orthanc identifier, or
with status 422 and isotone's refusal. With ``OnReception`` every new instance is harmonized; the sequence number of the
last change that was dealt with is kept in Orthanc's database, so that a restart leaves none out. Images are decoded in
processes of isotone's own, never in Orthanc's. What isotone made is left out.
"""

import json
import subprocess
import tempfile
import threading
import traceback
from pathlib import Path

import orthanc

SETTINGS = json.loads(orthanc.GetConfiguration()).get("Isotone", {})
COMMAND = SETTINGS.get("Command", ["isotone"])
LAST_CHANGE = 7311
"""Global property of Orthanc's database; plugins may use numbers above 1024."""
BATCH = 32
"""Instances for each start of isotone, which takes a second or two."""
EVERY = 1.0
"""Seconds between two looks for changes."""
PASSING = ("E_WRITE", "E_READ")
"""Refusals that say nothing of the image: a full disk."""
PATIENCE = 60.0
"""Seconds, at most, before trouble that no image is to blame for (a full disk) is tried again."""


def harmonize(instances):
    """Harmonize instances and store what was made: instance → new instance, or isotone's refusal as a mapping."""
    with tempfile.TemporaryDirectory(prefix="isotone-") as folder:
        given, made = Path(folder, "in"), Path(folder, "out")
        given.mkdir()
        for instance in instances:
            given.joinpath(f"{instance}.dcm").write_bytes(orthanc.RestApiGet(f"/instances/{instance}/file"))
        arguments = ["apply", SETTINGS["Harmonizer"], *map(str, given.iterdir()), "-o", str(made), "--json", "--quiet"]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
        found = {}
        for line in done.stdout.splitlines():
            said = json.loads(line)
            if said["kind"] != "image":
                continue
            instance = Path(said["path"]).stem
            found[instance] = said if said["status"] == "refused" else store(made / said["output"], said)
        trouble = [one for one in found.values() if isinstance(one, dict) and one["code"] in PASSING]
        if trouble or set(found) != set(instances):
            raise RuntimeError(f"isotone ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return found


def store(path, said):
    """Store what was made; a reference image is what it was."""
    if said["status"] == "reference":
        return Path(said["path"]).stem
    return json.loads(orthanc.RestApiPost("/instances", path.read_bytes()))["ID"]


def ours(instance):
    """Whether isotone made an instance."""
    tags = json.loads(orthanc.RestApiGet(f"/instances/{instance}/simplified-tags"))
    equipment = tags.get("ContributingEquipmentSequence") or []
    return any(item.get("Manufacturer") == "isotone" for item in equipment)


def on_request(output, uri, **request):
    """Answer ``POST /isotone/instances/{id}/harmonize``."""
    if request["method"] != "POST":
        output.SendMethodNotAllowed("POST")
        return
    [instance] = request["groups"]
    found = harmonize([instance])[instance]
    if isinstance(found, dict):
        body = json.dumps({name: found[name] for name in ("code", "message", "next_step")})
        output.SendHttpStatus(422, body, len(body))
    else:
        output.AnswerBuffer(json.dumps({"ID": found}), "application/json")


def harmonize_new():
    """Harmonize the instances of the next changes; whether there may be more."""
    last = orthanc.GetGlobalProperty(LAST_CHANGE, "0")
    changes = json.loads(orthanc.RestApiGet(f"/changes?since={last}&limit={BATCH}"))
    new = [change["ID"] for change in changes["Changes"] if change["ChangeType"] == "NewInstance"]
    present = [instance for instance in new if exists(instance) and not ours(instance)]
    if present:
        for instance, found in harmonize(present).items():
            if isinstance(found, dict):
                orthanc.LogWarning(f"isotone: {instance}: {found['message']} [{found['code']}]")
    orthanc.SetGlobalProperty(LAST_CHANGE, str(changes["Last"]))
    return not changes["Done"]


def exists(instance):
    """Whether an instance has not been deleted meanwhile."""
    try:
        orthanc.RestApiGet(f"/instances/{instance}")
    except orthanc.OrthancException:
        return False
    return True


def watch(stop):
    """Look for changes until Orthanc stops."""
    failures = 0
    while not stop.is_set():
        try:
            more, failures = harmonize_new(), 0
            if not more:
                stop.wait(EVERY)
        except Exception:
            failures += 1
            orthanc.LogError("isotone: " + traceback.format_exc().splitlines()[-1])
            stop.wait(min(2.0**failures, PATIENCE))


def on_change(kind, level, resource):
    """Begin when Orthanc answers, end when it ends."""
    if kind == orthanc.ChangeType.ORTHANC_STARTED and SETTINGS.get("OnReception"):
        threading.Thread(target=watch, args=(STOP,), daemon=True).start()
    elif kind == orthanc.ChangeType.ORTHANC_STOPPED:
        STOP.set()


STOP = threading.Event()
orthanc.RegisterOnChangeCallback(on_change)
orthanc.RegisterRestCallback("/isotone/instances/([0-9a-f-]+)/harmonize", on_request)
