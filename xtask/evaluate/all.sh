#!/usr/bin/env bash
# Makes docs/evaluation anew, with everything that is on its page: two to three hours on two cores, most of it the training
# of a small RAVE. What is there already is not made again: remove target/evaluate to start from nothing. The figures of
# speed want a quiet machine; the last command alone, once the rest is there, takes a quarter of an hour.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python="target/evaluate/venv/bin/python"
models="target/evaluate/models"
trained="target/evaluate/trained/trained.ts"

[ -x "$python" ] && "$python" -c 'import rave' 2> /dev/null || xtask/evaluate/setup.sh --train
"$python" xtask/evaluate/clips.py
if [ ! -f "$trained" ]; then
    "$python" xtask/evaluate/clips.py --training
    "$python" xtask/evaluate/train.py
fi
[ -d "$models/v2_small/v2_small_run" ] || "$python" xtask/evaluate/untrained.py
checkpoint="target/evaluate/trained/trained_run/version_0/checkpoints/best.ckpt"
steps="$("$python" -c "import sys, torch; print(torch.load(sys.argv[1])['global_step'])" "$checkpoint" 2> /dev/null)"
cargo xtask evaluate demo "$trained" "$models/v2_small/v2_small_run" "$models/v1/v1_run" "$models/v2/v2_run" \
    --note "demo=The model that Runnel brings along, trained by \`cargo xtask train-demo\`." \
    --note "trained=A small RAVE of the reference's configuration v2_small with fewer channels, trained for $steps steps by xtask/evaluate/train.py." \
    --note "v2_small=The reference's size, with random weights." \
    --note "v1=The reference's size, with random weights." \
    --note "v2=The reference's size, with random weights."
