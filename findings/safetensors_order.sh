#!/usr/bin/env bash
# Packages: safetensors 0.8.0 against 0.7.0, numpy 2.4.6. Date: 2026-11-27.
#
# Behaviour: safetensors.numpy.save of an array in column order (a transposed one, or numpy.asfortranarray) and load.
#   0.7.0 returns the array that was saved. 0.8.0 returns the same shape with the values in another order, without an
#   error: [[0, 3], [1, 4], [2, 5]] comes back as [[0, 1], [2, 3], [4, 5]]. numpy.ascontiguousarray before saving helps.
#
# Why it matters: safetensors is the usual way to pass on the weights of X-ray classifiers and the arrays of fitted
# normalisations, because nothing in it is executed. Weights of a linear layer are often transposed between frameworks: the
# file then has the right names, shapes and checksum and the wrong classifier.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"

round_trip() {
    "$folder/venv/bin/python" -I - "$1" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

kept = sys.argv[1] == "kept"
rows = np.arange(6, dtype=np.float32).reshape(2, 3)
seen = {}
for what, array in {"row order": rows, "transposed": rows.T, "column order": np.asfortranarray(rows)}.items():
    back = load(save({"weight": array}))["weight"]
    seen[what] = bool(np.array_equal(back, array))
    print(f"safetensors {safetensors.__version__}, {what}: {array.tolist()} comes back as {back.tolist()}")
sys.exit(0 if seen == {"row order": True, "transposed": kept, "column order": kept} else "The behaviour has changed.")
PYTHON
}

"$folder/venv/bin/pip" install -qq numpy==2.4.6 safetensors==0.7.0
round_trip kept
"$folder/venv/bin/pip" install -qq safetensors==0.8.0
round_trip reordered
