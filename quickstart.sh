#!/usr/bin/env bash
# From nothing to handwritten digits drawn by a GAN that grew up in front of you: bash quickstart.sh
# Every step that is done already is skipped, so running it again is cheap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./setup_venv.sh requirements-pip.txt
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}

if [ ! -d datasets/digits ]; then
    echo "Making the data set datasets/digits ..."
    .venv/bin/python dataset_tool.py create_digits datasets/digits
fi

finished() {  # the newest run that came to its end
    local mark newest=""
    for mark in results/*-quickstart-digits/_training-done.txt; do
        if [ -f "$mark" ]; then newest=$(dirname "$mark"); fi
    done
    echo "$newest"
}
unfinished() {  # the newest run that was stopped and can continue
    local state newest=""
    for state in results/*-quickstart-digits/checkpoints/ckpt-*.index; do
        if [ -f "$state" ]; then newest=$(dirname "$(dirname "$state")"); fi
    done
    echo "$newest"
}
run=$(finished)
if [ -z "$run" ]; then
    run=$(unfinished)
    if [ -n "$run" ]; then
        .venv/bin/python train.py --resume "$run"
    else
        .venv/bin/python train.py --config configs/quickstart.py
    fi
    run=$(finished)
fi

if [ -f "$run/interpolation.gif" ]; then
    cat "$run/digits.txt"
else
    .venv/bin/python examples/digits.py "$run"
fi
echo
echo "Look at:"
echo "  $run/report.html          the run at a glance: pictures over time, curves, log"
echo "  $run/digits.png           a row per class"
echo "  $run/interpolation.gif    a walk through the latent space"
echo "  $run/fakes*.png           how they grew, $run/log.txt what was said"
