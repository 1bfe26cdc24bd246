"""The numbers of a run, into two files: TensorBoard's, and stats.jsonl, which any program can
read.
"""
import json
import math
import os
import sys
import time

from tfutil import SummaryWriter

FILE = 'stats.jsonl'


class Statistics(SummaryWriter):
    """A `SummaryWriter` that also adds a line to stats.jsonl for each tick: {"nimg": 4000, "time":
    1.7e9, "Progress/kimg": 4.0, ...}.
    """

    def __init__(self, folder):
        super().__init__(folder)
        self._path = os.path.join(folder, FILE)
        self._row = {}
        self._is_broken = False

    def scalar(self, tag, value, step):
        super().scalar(tag, value, step)
        self._row[tag] = float(value) if math.isfinite(value) else None  # JSON knows no NaN

    def end_tick(self, cur_nimg):
        """Write the tick's line. Like curves, it is not worth a run: a disk in the way is told
        once.
        """
        line, self._row = json.dumps(
            {'nimg': int(cur_nimg), 'time': round(time.time(), 3), **self._row}), {}
        if self._is_broken:
            return
        try:
            with open(self._path, 'a', encoding='utf-8') as file:
                file.write(line + '\n')
        except OSError as error:
            self._is_broken = True
            print(f'Warning: no more lines in {self._path}: {error}', file=sys.stderr)


def read(folder):
    """The lines of a run's stats.jsonl as dicts; none if there is no such file. A last line that
    was cut short is left out.
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
