"""Start-up and maintenance times of a whole run of train.py with a short schedule.

    python -m benchmarks.startup -h

Measures the seconds to the first training step; the compilation time of each stage; the time of
image grids, snapshots and checkpoints and their share of a run with the official ticks; peak
memory. Images are black. Prints one JSON line.

Unless --runs is 1, an uncounted warm-up run comes first: files that have not been read since the
machine started take longer.
"""
import argparse
import collections
import json
import os
import re
import runpy
import statistics
import sys
import tempfile
import time

from benchmarks.common import ROOT, Parser, load, peak_mb, run_child, significant
from pgan.resolutions import log2_of

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.startup', description=__doc__.split('\n')[0])
    parser.add_argument('--resolution', type=int, default=32)
    parser.add_argument('--fmap_base', type=int, default=256)
    parser.add_argument('--fmap_max', type=int, default=64)
    parser.add_argument('--minibatch', type=int, default=64)
    parser.add_argument('--phase_kimg', type=float, default=1.0,
                        help='per stable or fading phase '
                        '(default: 1)')
    parser.add_argument('--runs', type=int, default=2, help='only the last one counts (default: 2)')
    parser.add_argument('--measure', metavar='FOLDER', help=argparse.SUPPRESS)
    parser.add_argument('--started', type=float, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def settings_of(args, folder):
    """The run as options of train.py."""
    tick = args.phase_kimg * 2
    total = args.phase_kimg * (2 * (log2_of(args.resolution) - 2) + 1)
    values = {
        'desc': 'startup', 'result_dir': folder,
        'dataset': {'class_name': 'dataset.SyntheticDataset', 'resolution': args.resolution},
        'G.fmap_base': args.fmap_base, 'D.fmap_base': args.fmap_base, 'G.fmap_max': args.fmap_max,
        'D.fmap_max': args.fmap_max, 'sched.lod_training_kimg': args.phase_kimg,
        'sched.lod_transition_kimg': args.phase_kimg, 'sched.minibatch_base': args.minibatch,
        'sched.minibatch_dict': {}, 'sched.tick_kimg_base': tick, 'sched.tick_kimg_dict': {},
        'train.total_kimg': total, 'train.network_snapshot_ticks': 2, 'train.mirror_augment': False
    }
    return [part for name, value in values.items() for part in ('--set', f'{name}={value}')]


class Watch:
    """Records the times of a run's events by wrapping the methods that make them."""

    def __init__(self, started):
        self.started, self.training_since, self.first_step = started, None, None
        self.steps = collections.defaultdict(list)  # (resolution, fading) -> seconds of each
        self.maintenance = collections.defaultdict(list)  # kind -> seconds of each

    def install(self):
        import misc
        from pgan.reporting.snapshots import ImageSnapshots
        from pgan.training.loop import TrainingRun
        from pgan.training.step import TrainingSteps
        self._wrap(TrainingSteps, 'run',
                   lambda seconds, steps, moment, *_: self._step(seconds, steps, moment.lod))
        self._wrap(TrainingRun, 'save',
                   lambda seconds, *_: self.maintenance['checkpoint'].append(seconds))
        self._wrap(ImageSnapshots, 'save_fakes',
                   lambda seconds, *_: self.maintenance['images'].append(seconds))
        self._wrap(misc, 'save_pkl',
                   lambda seconds, *_: self.maintenance['networks'].append(seconds))
        self._wrap(TrainingRun, 'train', lambda *_: None, before=self._begin)

    def _wrap(self, owner, name, note, before=lambda: None):
        method = getattr(owner, name)

        def wrapped(*args, **kwargs):
            before()
            start = time.perf_counter()
            result = method(*args, **kwargs)
            note(time.perf_counter() - start, *args)
            return result
        setattr(owner, name, wrapped)

    def _begin(self):
        self.training_since = time.time()

    def _step(self, seconds, steps, lod):
        from tfutil import Stage
        stage = Stage.of(lod, steps.training_set.resolution)
        self.steps[stage.resolution(steps.training_set.resolution), stage.fading].append(seconds)
        if self.training_since is not None and self.first_step is None:
            self.first_step = time.time()

    def compile_sec(self):
        """Compilation time of each stage, {'32': seconds, '32 fading': seconds}.

        It is the time of the first step minus that of later ones.
        """
        return {
            f'{resolution}{" fading" * fading}': round(
                seconds[0] - statistics.median(seconds[1:] or [0.0]), 2)
            for (resolution, fading), seconds in sorted(self.steps.items())
        }

    def sec_per_kimg(self, resolution, minibatch):
        """Seconds per kimg of a stable stage, with one D and one G update per minibatch."""
        seconds = self.steps[resolution, False]
        return statistics.median(seconds[1:] or seconds) / minibatch * 1000


def measure(args):
    """Run train.py in this process, watched, and return the result."""
    sys.argv[:] = ['train.py', *settings_of(args, args.measure)]
    watch = Watch(args.started)
    import misc
    misc.import_tensorflow()
    watch.install()
    try:
        runpy.run_path(str(ROOT / 'train.py'), run_name='__main__')
    except SystemExit as error:
        if error.code:
            raise
    return report(args, watch)


def report(args, watch):
    from pgan.training.schedule import TICK_KIMG_DICT
    log = next(
        open(os.path.join(args.measure, name, 'log.txt')).read()
        for name in os.listdir(args.measure))
    ticks = [
        float(seconds)
        for seconds in re.findall(r'^tick .* maintenance ([0-9.]+)', log, re.MULTILINE)
    ]
    per_kimg = watch.sec_per_kimg(args.resolution, args.minibatch)
    tick_sec = per_kimg * TICK_KIMG_DICT[args.resolution]
    # The minimum of each: the first ones at a new stage also compile.
    least = {what: round(min(seconds), 3) for what, seconds in watch.maintenance.items()}
    # config.py saves networks every tenth tick
    per_tick = least['images'] + (least['networks'] + least['checkpoint']) / 10
    return dict(resolution=args.resolution, fmap_base=args.fmap_base, fmap_max=args.fmap_max,
                minibatch=args.minibatch, first_step_sec=round(watch.first_step - watch.started, 1),
                setup_sec=round(watch.training_since - watch.started, 1),
                compile_sec=watch.compile_sec(), sec_per_kimg=significant(per_kimg),
                maintenance_sec=least, maintenance_in_log_sec=ticks,
                maintenance_share=significant(per_tick / (per_tick + tick_sec),
                                              3), peak_mb=peak_mb(), load=load())


if __name__ == '__main__':
    args = parse_args()
    if args.measure:
        real_stdout, sys.stdout = os.dup(1), sys.stderr
        os.dup2(2, 1)
        result = measure(args)
        os.write(real_stdout, (json.dumps(result) + '\n').encode())
        sys.stdout.flush()
        os._exit(0)
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory() as folder:
            options = [
                f'--{name}={getattr(args, name)}'
                for name in ('resolution', 'fmap_base', 'fmap_max', 'minibatch', 'phase_kimg')
            ]
            result = run_child(
                ['benchmarks.startup', *options, f'--measure={folder}',
                 f'--started={time.time()}'])[-1]
    print(json.dumps(result))
