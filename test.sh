#!/usr/bin/env bash
# Set up .venv and run the tests: bash test.sh [--fast|--all] [pytest options]
#   --fast   leave out the tests marked slow; still covers every room, in three minutes on two cores
#   --all    also run the tests marked exhaustive: more than one of each kind of long run
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./setup_venv.sh requirements-pip.txt requirements-dev.txt
.venv/bin/ruff check .
.venv/bin/mypy
# One process per core, each with whole test files. More than four need too much memory; a third on
# two cores made it slower (940 and 1040 s instead of 905).
workers=$(.venv/bin/python -c 'import os; print(min(os.cpu_count() or 1, 4))')
if [ "${1:-}" = --fast ]; then
    workers=2
    shift
    set -- -m 'not slow' "$@"
elif [ "${1:-}" = --all ]; then
    shift
    set -- -m '' "$@"
fi
exec .venv/bin/python -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder "$@"
