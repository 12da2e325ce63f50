#!/usr/bin/env bash
# Installs what the scripts beside this one need into target/evaluate/venv: numpy for clips.py, and with --train what
# train.py and untrained.py need: PyTorch and the reference's package, which is for non-commercial use. Needs Python 3.9
# or newer, with --train 3.10 or 3.11; PYTHON names one. From the system: fluidsynth, fluid-soundfont-gm, espeak-ng.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
venv="$root/target/evaluate/venv"

candidates="python3.11 python3.10"
[ "${1:-}" = --train ] || candidates="$candidates python3"
python="${PYTHON:-}"
for candidate in $candidates; do
    [ -n "$python" ] || python="$(command -v "$candidate" || true)"
done
[ -n "$python" ] || { echo "error: none of $candidates found; install one, or name it in PYTHON" >&2; exit 1; }

"$python" -m venv "$venv"
if [ "${1:-}" != --train ]; then
    "$venv/bin/pip" install --quiet "numpy>=1.26"
    "$venv/bin/python" -c 'import numpy; print("ready: numpy", numpy.__version__)'
    exit
fi
# pip 24.1 refuses the metadata of pytorch-lightning 1.9; rave reads names that later numpy and scipy no longer have.
"$venv/bin/pip" install --quiet "pip<24.1" "setuptools<81"
# The CPU build is small; the registry's own also runs on a GPU, and is the way out without PyTorch's index.
index="https://download.pytorch.org/whl/cpu"
[ -z "${GPU:-}" ] || index="https://pypi.org/simple"
"$venv/bin/pip" install --quiet --retries 1 --timeout 20 --index-url "$index" "torch==2.5.1" "torchaudio==2.5.1" ||
    "$venv/bin/pip" install --quiet "torch==2.5.1" "torchaudio==2.5.1"
"$venv/bin/pip" install --quiet "numpy==1.26.4" "scipy==1.10.0" "pytorch-lightning==1.9.0" "nn-tilde==1.5.6" \
    "cached-conv==2.5.0" "setuptools<81" "acids-rave==2.3.1"
"$venv/bin/python" -c 'import torch, rave, cached_conv; print("ready: torch", torch.__version__, "with RAVE")'
