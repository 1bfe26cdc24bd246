"""Statistics of a run, written to TensorBoard's event file and to stats.jsonl."""
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from pgan.files import to_json
from pgan.reporting.stats_file import FILE
from tfutil import SummaryWriter

_LAYOUT = {
    'How good': {'metrics': ['Metrics/.*'], "lead of D's scores": ['Overfitting/signal'],
                 'probability of augmentation': ['Augment/probability']},
    'Losses': {"scores of D": [f'Loss/{name}_scores' for name in ('real', 'fake', 'mixed')]
               + ['Overfitting/held_out_scores'],
               'norm of the gradient': ['Loss/mixed_norms'],
               'penalties': ['Loss/.*penalty.*']},
    'Growth': {'lod': ['Progress/lod'], 'minibatch': ['Progress/minibatch'],
               'learning rates': ['Train[GD]/learning_rate']},
    'Speed': {'seconds per kimg': ['Timing/sec_per_kimg'],
              'hours so far': ['Timing/total_hours'],
              'seconds of saving': ['Timing/maintenance_sec']},
}


def layout_for(options: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Layout of TensorBoard's CUSTOM SCALARS page, without charts that would remain empty.

    Args:
        options: {name: value} of the run's options, e.g. {'train.metrics': ['swd']}.

    Returns:
        {category: {title of a chart: regular expressions of its tags}}, the most informative ones
        first.
    """
    is_empty = {
        'metrics': not options.get('train.metrics'),
        "lead of D's scores": not options.get('dataset.validation'),
        'probability of augmentation': options.get('train.augment') != 'ada',
        'norm of the gradient': options.get('D_loss.func') == 'loss.D_lsgan_acgan',
        'penalties': options.get('D_loss.func') == 'loss.D_lsgan_acgan'
        and not options.get('dataset.max_label_size')}
    kept = {category: {title: tags for title, tags in charts.items() if not is_empty.get(title)}
            for category, charts in _LAYOUT.items()}
    return {category: charts for category, charts in kept.items() if charts}


class Statistics(SummaryWriter):
    """`SummaryWriter` that also appends one line per tick to stats.jsonl.

    Example of a line: {"nimg": 4000, "time": 1.7e9, "Progress/kimg": 4.0, ...}.

    Args:
        folder: the result folder.
    """

    def __init__(self, folder: str):
        super().__init__(folder)
        self._path = os.path.join(folder, FILE)
        self._row: dict[str, float] = {}
        self._is_broken = False

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Add a point to a curve and to the line of the current tick."""
        super().scalar(tag, value, step)
        self._row[tag] = float(value)

    def end_tick(self, cur_nimg: int) -> None:
        """Write the tick's line. Disk errors do not end the run; the first one prints a warning."""
        row = {'nimg': int(cur_nimg), 'time': round(time.time(), 3), **self._row}
        self._row = {}
        if self._is_broken:
            return
        try:
            with open(self._path, 'a', encoding='utf-8') as file:
                file.write(to_json(row) + '\n')
        except OSError as error:
            self._is_broken = True
            print(f'Warning: no more lines are written to {self._path}: {error}', file=sys.stderr)
