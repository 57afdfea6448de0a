#!/usr/bin/env bash
# Packages: pynetdicom 3.0.4, pydicom 3.0.2. Date: 2026-11-27.
#
# Behaviour: pynetdicom installs commands that bear the names of DCMTK's: echoscu, findscu, getscu, movescu, storescp and
# storescu. In an active environment they come first. Two of their ways differ from DCMTK's:
#   storescu refuses options that DCMTK documents (-xt, --propose-jls-lossless: unrecognized arguments, exit code 2);
#   storescu ends with exit code 0 when its file does not exist, and with 1 when nobody listens at the port.
# DCMTK 3.6.7 takes -xt, and ends with an exit code above 0 in both cases.
#
# Why it matters: a script that sends radiographs with DCMTK changes its program as soon as pynetdicom is installed beside
# Python. A night's transfer that found no file then counts as done.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq pydicom==3.0.2 pynetdicom==3.0.4

bin=$folder/venv/bin
for name in echoscu findscu getscu movescu storescp storescu; do
  test -x "$bin/$name" || { echo "The behaviour has changed: no $name."; exit 1; }
done
"$bin/python" -I - "$folder/image.dcm" <<'PYTHON'
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

image = Dataset()
image.SOPClassUID, image.SOPInstanceUID = DigitalMammographyXRayImageStorageForPresentation, generate_uid()
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = (
    image.SOPClassUID,
    image.SOPInstanceUID,
)
image.save_as(sys.argv[1], enforce_file_format=True)
PYTHON
# A port of this machine at which nobody listens.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

code() { "$@" >"$folder/out" 2>&1 && echo 0 || echo $?; }
option=$(code "$bin/storescu" -xt 127.0.0.1 "$port" "$folder/image.dcm")
said=$(grep -c "unrecognized arguments: -xt" "$folder/out" || true)
missing=$(code "$bin/storescu" 127.0.0.1 "$port" "$folder/no-such-file.dcm")
nobody=$(code "$bin/storescu" 127.0.0.1 "$port" "$folder/image.dcm")
echo "storescu -xt: exit code $option; a file that does not exist: $missing; nobody at the port: $nobody"
test "$option $said $missing $nobody" = "2 1 0 1" || { echo "The behaviour has changed."; exit 1; }
