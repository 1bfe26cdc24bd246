"""stats.jsonl: a run's numbers, a line of JSON for each tick, which any program can read."""
import json
import os
from typing import Any

FILE = 'stats.jsonl'


def read(folder: str) -> list[dict[str, Any]]:
    """Return the lines of a run's stats.jsonl; an empty list if there is no such file.

    A last line that was cut short is left out.
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
