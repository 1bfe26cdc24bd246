#!/usr/bin/env bash
# Set up .venv and run the tests: bash test.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./setup_venv.sh requirements-pip.txt requirements-dev.txt
.venv/bin/ruff check .
exec .venv/bin/python -m pytest "$@"
