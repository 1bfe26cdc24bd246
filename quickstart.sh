#!/usr/bin/env bash
# Install everything, then train a progressive GAN on handwritten digits: bash quickstart.sh
# Steps that are done are skipped, so running it again is cheap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./setup_venv.sh requirements-pip.txt
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}

if [ ! -d datasets/digits ]; then
    echo "Making the data set datasets/digits ..."
    .venv/bin/python dataset_tool.py create_digits datasets/digits
fi

finished() {  # the newest finished run
    local mark newest=""
    for mark in results/*-quickstart-digits/_training-done.txt; do
        if [ -f "$mark" ]; then newest=$(dirname "$mark"); fi
    done
    echo "$newest"
}
unfinished() {  # the newest stopped run that can be resumed
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
echo "  $run/fakes*.png           the images during training, $run/log.txt the output"
