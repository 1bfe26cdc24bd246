"""Complete runs of tiny networks on a tiny data set."""
import os
import re

import numpy as np

import misc
import train
from pgan.data.writer import TFRecordExporter

TICK = re.compile(
    r'^tick (?P<tick>\d+) +kimg (?P<kimg>\d+\.\d) +lod (?P<lod>\d+\.\d\d) '
    r'+minibatch (?P<minibatch>\d+) +time (?P<time>(?:\d+d )?(?:\d+h )?(?:\d+m )?\d+[sm]?) '
    r'+sec/tick (?P<sec_per_tick>\d+\.\d) +sec/kimg (?P<sec_per_kimg>\d+\.\d\d) '
    r'+maintenance (?P<maintenance>\d+\.\d)$')

TINY = '''
desc = 'tiny'
dataset = EasyDict(tfrecord_dir='toy')
train = EasyDict(func='train.train_progressive_gan', total_kimg=0.4, network_snapshot_ticks=2,
                 dry_step=False)
G.update(fmap_base=32, fmap_max=8)
D.update(fmap_base=32, fmap_max=8)
sched = EasyDict(minibatch_base=8, lod_training_kimg=0.064, lod_transition_kimg=0.064,
                 tick_kimg_base=0.1, tick_kimg_dict={})
'''


def make_toy(folder='datasets/toy', resolution=16, channels=3, labels=True, count=40):
    """Data set of coloured noise; the higher the class, the brighter the images."""
    rnd = np.random.RandomState(0)
    with TFRecordExporter(folder, count, print_progress=False) as exporter:
        for i in range(count):
            exporter.add_image((rnd.randint(0, 80, [channels, resolution, resolution]) + 60 *
                                (i % 3)).astype(np.uint8))
        if labels:
            exporter.add_labels(np.eye(3, dtype=np.float32)[np.arange(count) % 3])


def run(*assignments, config='tiny.py'):
    """Run train.py in this process. Returns its exit code."""
    argv = ['--config', config] if config else []
    for assignment in assignments:
        argv += ['--set', assignment]
    try:
        return train.main(argv)
    except SystemExit as end:
        return end.code


def files_of(folder):
    return {
        re.sub(r'events\.out\.tfevents.*', 'EVENTS', name): os.path.getsize(
            os.path.join(folder, name))
        for name in os.listdir(folder)
    }


def ticks_of(folder):
    with open(os.path.join(folder, 'log.txt')) as file:
        lines = [line.rstrip('\n') for line in file if line.startswith('tick')]
    matches = [TICK.match(line) for line in lines]
    assert lines and all(matches), lines
    return matches


def check_files(folder, nearest=False):
    """The folder has exactly the files of a finished run: those of the original, non-empty except
    the last, and those of nearest training images if requested.
    """
    files = files_of(folder)
    assert files.pop('_training-done.txt') == 0 and all(files.values())
    fakes = {name for name in files if re.fullmatch(r'fakes\d{6}\.png', name)}
    snapshots = {name for name in files if re.fullmatch(r'network-snapshot-\d{6}\.pkl', name)}
    assert fakes and snapshots
    assert set(files) - fakes - snapshots == {
        'log.txt', 'config.txt', 'reals.png', 'network-final.pkl', 'EVENTS', 'checkpoints',
        'environment.json', 'stats.jsonl', 'report.html'
    } | ({'nearest.png', 'nearest.json'} if nearest else set())


def main(*argv):
    """Run train.py in this process. Returns its exit code."""
    try:
        return train.main([str(part) for part in argv])
    except SystemExit as end:
        return end.code
    finally:
        misc.restore_output()


def expect_error(capsys, code, *texts):
    error = capsys.readouterr().err
    assert code == 1 and 'Traceback' not in error
    message = error[error.index('error: '):]
    for text in texts:
        assert text in message, message
