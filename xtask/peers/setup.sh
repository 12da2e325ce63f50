#!/usr/bin/env bash
# Installs what `cargo xtask bench --against` needs into target/peers. Needs Python 3.9 to 3.12; PYTHON names one.
# The player of .nam models is built for this machine's processor.
# torch 2.5.1 is the libtorch that nn~ 1.6 plays RAVE's exports with; an export needs nothing else.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
venv="$root/target/peers"

python="${PYTHON:-}"
for candidate in python3.11 python3.12 python3.10 python3.9; do
    [ -n "$python" ] || python="$(command -v "$candidate" || true)"
done
[ -n "$python" ] || { echo "error: no Python 3.9 to 3.12 found; install one, or name it in PYTHON" >&2; exit 1; }

"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet "numpy==1.26.4" "onnxruntime==1.20.1"
# The CPU build is small; the registry's own needs gigabytes of CUDA libraries, and is the way out without PyTorch's index.
"$venv/bin/pip" install --quiet --retries 1 --timeout 20 --index-url https://download.pytorch.org/whl/cpu "torch==2.5.1" ||
    "$venv/bin/pip" install --quiet "torch==2.5.1"
RUSTFLAGS="-C target-cpu=native" cargo build --quiet --release --locked --manifest-path "$root/xtask/peers/nam/Cargo.toml" \
    --target-dir "$venv/nam"
"$venv/bin/python" -c 'import numpy, onnxruntime, torch; print("ready: torch", torch.__version__, "onnxruntime", onnxruntime.__version__)'
