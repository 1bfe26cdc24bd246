"""Part of `benchmarks.gpu`: repeated runs of train.py on a GPU must be equal bit for bit."""
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.common import ROOT, MeasurementError, significant

CONFIG = '''
desc = 'tiny'
dataset = EasyDict(tfrecord_dir='toy')
train = EasyDict(func='train.train_progressive_gan', total_kimg={kimg}, dry_step=False)
G.update({width})
D.update({width})
sched = EasyDict(minibatch_base=8, lod_initial_resolution={resolution}, tick_kimg_base={tick},
                 tick_kimg_dict={{}})
'''


def determinism(task):
    """Train the same tiny run several times in separate processes, and compare the weights.

    With TF_DETERMINISTIC_OPS=1 there are two runs, and one that ends after half of the images and
    is resumed; without it, two runs. On a GPU, independent runs train at the same time.

    Args:
        task: dict of resolution (of the images), width, kimg, device, limit_s.

    Yields:
        dicts of compared, equal, different (share of the weights that differ), and largest
        (difference).
    """
    with tempfile.TemporaryDirectory() as folder:
        folders = {name: pathlib.Path(folder, name) for name in
                   ('first', 'second', 'resumed', 'free', 'free again')}
        commands = {name: _prepared_run(path, task, deterministic=not name.startswith('free'),
                                        share=0.5 if name == 'resumed' else 1.0)
                    for name, path in folders.items()}
        _train(commands, folders, side_by_side=task['device'] == 'gpu')
        resume = ['--resume', '0', '--set', f'train.total_kimg={task["kimg"]}']
        _train({'resumed': resume}, folders)
        weights = {name: _final_weights(path) for name, path in folders.items()}
        for a, b, said in (('first', 'second', 'two runs, deterministic'),
                           ('first', 'resumed', 'whole and resumed run, deterministic'),
                           ('free', 'free again', 'two runs, not deterministic')):
            yield dict(compared=said, **_difference(weights[a], weights[b]))


def _prepared_run(folder, task, deterministic, share):
    """Make a folder with a data set and a configuration. Returns the arguments of train.py."""
    from pgan.data.writer import TFRecordExporter
    folder.mkdir()
    rnd, size = np.random.RandomState(0), task['resolution']
    with TFRecordExporter(str(folder / 'datasets' / 'toy'), 32, print_progress=False) as exporter:
        for _ in range(32):
            exporter.add_image(rnd.randint(0, 256, [3, size, size]).astype(np.uint8))
    width = ', '.join(f'{key}={value}' for key, value in task['width'].items())
    (folder / 'tiny.py').write_text(
        CONFIG.format(kimg=task['kimg'], tick=task['kimg'] / 5, resolution=size, width=width))
    return ['--config', 'tiny.py', '--set', f'train.total_kimg={task["kimg"] * share}',
            '--set', f'env.TF_DETERMINISTIC_OPS={int(deterministic)}']


def _train(commands, folders, side_by_side=False):
    """Run train.py in folders: {name: arguments}.

    Raises:
        MeasurementError: one of the runs failed.
    """
    def start(name):
        with open(folders[name] / 'output.txt', 'w') as output:
            return subprocess.Popen([sys.executable, str(ROOT / 'train.py'), *commands[name]],
                                    cwd=folders[name], stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=output)
    started = {}
    for name in commands:
        started[name] = start(name)
        if not side_by_side:
            started[name].wait()
    for name, process in started.items():
        if process.wait():
            # whole lines, so that no path is truncated
            said = (folders[name] / 'output.txt').read_text().strip().splitlines()[-20:]
            raise MeasurementError(f'train.py ({name}) ended with code {process.returncode}: '
                                   + '\n'.join(said))


def _final_weights(folder):
    """All weights of the snapshot at the end of a run, as one array."""
    os.environ.setdefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true')
    import misc
    networks = misc.load_pkl(str(folder / 'results' / '000-tiny' / 'network-final.pkl'))
    return np.concatenate([net.get_var(name).ravel() for net in networks for name in net.vars])


def _difference(a, b):
    """Comparison of two arrays of weights."""
    different = a.view(np.uint32) != b.view(np.uint32)
    return dict(equal=not different.any(), different=significant(float(different.mean()), 3),
                largest=significant(float(np.abs(a - b).max()), 3), weights=int(a.size))
