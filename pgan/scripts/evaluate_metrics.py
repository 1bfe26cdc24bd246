"""Metrics of all snapshots of a run."""
import functools
import gc
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

import metrics as metrics_room
import misc
from metrics.evaluator import Evaluator, default_minibatch_size
from misc import logs
from pgan.files import atomic_append, atomic_write, to_json
from pgan.options import Count
from pgan.reporting.curves_section import json_lines
from pgan.reporting.report import Report
from pgan.scripts.early_checks import check_part, snapshots_to_measure
from pgan.scripts.option_checks import LogName, MetricNames, RunId
from pgan.scripts.script import script


@script
def evaluate_metrics(
    run_id: RunId,
    log: LogName,
    metrics: MetricNames,
    num_images: Count,
    real_passes: Count,
    minibatch_size: Count | None = None,
    inception: str | None = None,
    against: Literal['training', 'validation'] = 'training',
    *,
    config: Any = None,
) -> str:
    """Compute metrics of all snapshots of a run, newest snapshot first.

    Appends a table to the text file `log` in the run's folder, and its rows to `<log>.jsonl`. Plots
    the values over kimg as `<log>.png`. If `log` already holds a table of other settings, such as
    another number of images, a line above the new table states its settings.

    Args:
        run_id: number, name or folder of the run.
        log: name of the text file, e.g. 'metric-fid-50k.txt'.
        metrics: list of short names (swd, fid, is, msssim, kid, pr) or dotted names of classes.
        num_images: number of real and of generated images.
        real_passes: how often to measure the real images themselves; the second pass shows how much
            of a distance is due to chance.
        minibatch_size: images at a time; None = by resolution.
        inception: path of classify_image_graph_def.pb, its archive or its folder, for the metrics
            that need it; None = look for it in result_dir, else download it.
        against: real images to compare with: those of the training set, or those that
            dataset.validation held out.
        config: configuration like config.py; None = the module `config`. Uses result_dir, data_dir
            and num_gpus.

    Returns:
        The path of the table.

    Raises:
        ConfigError, DataError: there is no such run, it has no snapshots, its data set is missing,
            or a metric is not available.
    """
    folder = misc.locate_result_subdir(run_id, config.result_dir)
    pkls = snapshots_to_measure(folder, config.result_dir)
    check_part(folder, against)
    part: dict[str, Any] = {} if against == 'training' else {'part': against}
    table = _Table(os.path.join(folder, log), _settings(num_images, against, inception))
    print('Logging output to', table.path)
    if logs.output_logging_active():
        logs.set_output_log_file(table.path, mode='a')  # keep earlier tables
    training_set, mirror_augment = misc.load_dataset_for_previous_run(
        folder, config.result_dir, config.data_dir, config, verbose=True, **part)
    resolution = training_set.shape[1]
    minibatch_size = minibatch_size or default_minibatch_size(resolution)
    names = [metrics_room.SHORT_NAMES.get(name, name) for name in metrics]
    for name in names:
        print(f'Initializing {name}...')
    made = metrics_room.make_all(names, num_images, [3, resolution, resolution], np.uint8,
                                 minibatch_size, inception, config.result_dir, config.data_dir)
    evaluator = Evaluator(made, training_set, num_images, minibatch_size,
                          mirror_augment=mirror_augment)
    evaluator.keep_reals(os.path.join(config.result_dir, '_metrics-cache'),
                         [*names, str(inception)])
    table.begin(evaluator.names, evaluator.formats)
    evaluator.warm_up()
    _measure(table, 'Reals', evaluator.evaluate_reals)
    for number in range(2, real_passes + 1):
        _measure(table, f'Reals{number}', evaluator.evaluate_more_reals)
    for pkl in reversed(pkls):
        Gs = misc.load_generator(pkl, config)
        _measure(table, _kimg(pkl), functools.partial(evaluator.evaluate_fakes, Gs,
                                                      config.num_gpus))
        del Gs
        gc.collect()  # networks are in reference cycles, and would fill the memory of a GPU
    print()
    Report(folder).refresh()
    return table.path


def _settings(num_images, against, inception):
    """Return the settings that values depend on, other than the snapshot, as a string."""
    parts = [f'num_images={num_images}']
    parts += [f'against={against}'] if against != 'training' else []
    return ' '.join(parts + ([f'inception={inception}'] if inception is not None else []))


def _kimg(pkl):
    """'4000' of '.../network-snapshot-004000.pkl'."""
    return str(int(re.search(r'(\d+)\.pkl$', pkl)[1]))


def _measure(table, title, evaluate):
    start = time.time()
    values = evaluate()
    table.add(title, time.time() - start, [float(value) for value in values])


class _Table:
    """Table of values: prints and logs each row, and updates the .jsonl file and the plot.

    Args:
        path: path of the text file.
        settings: settings that values depend on, other than the snapshot, as a string.
    """

    def __init__(self, path, settings):
        self.path = path
        self._settings = settings
        self._jsonl = path.removesuffix('.txt') + '.jsonl'
        self._rows = []

    def begin(self, names, formats):
        """Print the header."""
        self._names, self._formats = names, formats
        heads = [re.sub(r'%(-?\d+).*', r'%\1s', text) for text in formats]
        print()
        earlier = {row.get('settings') for row in json_lines(self._jsonl)}
        if earlier - {self._settings}:
            print(f'Settings of this table: {self._settings}. Those above: '
                  f'{"; ".join(sorted(text or "unknown" for text in earlier))}.')
        print(self._line('Snapshot', 'Time_eval',
                         [head % name for head, name in zip(heads, names)]))
        print(self._line('---', '---', [head % '---' for head in heads]))

    def add(self, title, seconds, values):
        """Print a row, add it to the .jsonl file, and draw all rows so far."""
        print(
            self._line(title, misc.format_time(seconds),
                       [text % value for text, value in zip(self._formats, values)]), flush=True)
        self._rows.append(
            {'snapshot': title, 'seconds': round(seconds, 3), **dict(zip(self._names, values)),
             'settings': self._settings})
        atomic_append(self._jsonl, to_json(self._rows[-1]) + '\n')
        if any(row['snapshot'].isdigit() for row in self._rows):
            plot(self._rows, self._names, self.path.removesuffix('.txt') + '.png', self._settings)

    @staticmethod
    def _line(title, time_text, cells):
        return f'{title:<10}{time_text:<12}{"".join(cells)}'


def plot(rows: Sequence[Mapping[str, Any]], names: Sequence[str], path: str | os.PathLike,
         settings: str = '') -> None:
    """Plot each value over the snapshots' kimg, with a dashed line for the value of the reals.

    Args:
        rows: dicts with 'snapshot' ('Reals', 'Reals2' or the kimg as a string) and the values by
            name.
        names: names of the values to plot.
        path: path of the PNG.
        settings: title above the curves.
    """
    from matplotlib.figure import Figure  # pyplot would look for a window toolkit
    snapshots = sorted((row for row in rows if row['snapshot'].isdigit()),
                       key=lambda row: int(row['snapshot']))
    reals = [row for row in rows if not row['snapshot'].isdigit()]
    figure = Figure(figsize=(8, 2.6 * len(names)), layout='constrained')
    for axes, name in zip(np.ravel(figure.subplots(len(names), 1, sharex=True, squeeze=False)),
                          names):
        axes.plot([int(row['snapshot']) for row in snapshots], [row[name] for row in snapshots],
                  marker='o', color='tab:blue')
        for row in reals:
            axes.axhline(row[name], color='tab:gray', linestyle='--', linewidth=1)
            axes.annotate(row['snapshot'], (1, row[name]), xycoords=('axes fraction', 'data'),
                          fontsize=8, va='bottom', ha='right')
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    axes.set_xlabel('kimg')
    figure.suptitle(settings, fontsize=9)
    with atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=100)
