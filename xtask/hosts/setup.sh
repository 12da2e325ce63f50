#!/usr/bin/env bash
# Installs the hosts that `cargo xtask validate` checks the plugin in, into target/hosts. Needs Python 3.9 to 3.13; PYTHON
# names one. The window's check also needs xvfb, xauth, x11-utils, imagemagick and a software GL from the system.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
venv="$root/target/hosts"

"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet "numpy>=1.26" "pedalboard==0.9.26"
"$venv/bin/pip" install --quiet "dawdreamer==0.9.0" || echo "dawdreamer has no build for this Python: its check is left out"
"$venv/bin/python" -c 'import numpy, pedalboard; print("ready: pedalboard", pedalboard.__version__)'
