"""stats.jsonl: a run's statistics in JSON Lines format, one line per tick."""
import json
import os
from typing import Any

FILE = 'stats.jsonl'


def read(folder: str) -> list[dict[str, Any]]:
    """Read the lines of a run's stats.jsonl; an empty list if the file does not exist.

    Lines that cannot be parsed, such as a truncated last one, are skipped.
    """
    rows = []
    try:
        with open(os.path.join(folder, FILE), encoding='utf-8', errors='replace') as file:
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    rows.append(row)
    except OSError:
        pass
    return rows
