#!/usr/bin/env bash
# Set up .venv and run the tests: bash test.sh [--fast|--all] [pytest options]
#   --fast   leave out the tests marked slow; still covers every room, in three minutes on two cores
#   --all    also run the tests marked exhaustive: more than one of each kind of long run
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./setup_venv.sh requirements-pip.txt requirements-dev.txt
.venv/bin/ruff check .
.venv/bin/mypy
# Each process runs whole test files. One more than cores, as many tests wait for a program that they
# start; more than four need too much memory.
workers=$(.venv/bin/python -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))')
if [ "${1:-}" = --fast ]; then
    workers=2
    shift
    set -- -m 'not slow' "$@"
elif [ "${1:-}" = --all ]; then
    shift
    set -- -m '' "$@"
fi
exec .venv/bin/python -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder "$@"
