#!/usr/bin/env bash
# Set up .venv and run the tests: bash test.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./setup_venv.sh requirements-pip.txt requirements-dev.txt
.venv/bin/ruff check .
# One process a core, each with whole files of tests; more than a few would want more memory than a small machine has.
workers=$(.venv/bin/python -c 'import os; print(min(os.cpu_count() or 1, 4))')
exec .venv/bin/python -m pytest -n "$workers" --dist loadfile "$@"
