"""Runs that are killed and resumed, each in a separate process, forked from one that has already
imported TensorFlow.
"""
import glob
import hashlib
import multiprocessing
import os
import random
import re
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import misc
from pgan.reporting import stats_file

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(
    ['tensorflow', 'keras', 'misc', 'train', 'pgan.training.loop', 'loss', 'networks', __name__])


def _train(argv, folder):
    """Body of a process: train.py, with its output in a file."""
    os.chdir(folder)
    os.environ.pop('TF_NUM_INTRAOP_THREADS', None)  # it chooses its threads, as it does for users
    with open('output.txt', 'a', buffering=1) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdout = sys.stderr = output
        import train
        try:
            code = train.main(argv)
        except SystemExit as end:
            code = end.code
        output.flush()
        os._exit(code or 0)


def start(folder, *argv):
    """Start train.py in a folder. Returns the process: pid, kill(), join(), exitcode."""
    process = CONTEXT.Process(target=_train, args=(list(argv), str(folder)))
    process.start()
    return process


def run(folder, *argv):
    """Run train.py in a folder until it ends. Returns its exit code and output."""
    process = start(folder, *argv)
    process.join()
    return process.exitcode, _output(folder)


def _output(folder):
    path = os.path.join(folder, 'output.txt')
    if not os.path.exists(path):
        return ''
    with open(path) as file:
        return file.read()


def run_with_kills(folder, kills, seed, *argv):
    """Run train.py until it finishes, with `kills` SIGKILLs at random moments, each followed by
    --resume.

    Returns:
        A list of strings: what each kill interrupted.
    """
    rnd, hits = random.Random(seed), []
    while True:
        resumable = glob.glob(os.path.join(folder, 'results', '*', 'checkpoints', 'run.json'))
        process = start(folder, *(['--resume'] if resumable else argv))
        if len(hits) < kills:
            # Killing only at the start of a process would prove little, so most kills wait for a
            # new checkpoint first.
            if rnd.random() < 0.8:
                _wait_for_change(process, os.path.join(folder, 'results', '*', 'checkpoints', '*'))
            time.sleep(rnd.choice([0.0, 0.01, 0.1, 0.5, 2.0]) * rnd.random())
            hits.append(_moment(folder))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return hits
        assert process.exitcode == -9, _output(folder)


def _wait_for_change(process, pattern):
    before = set(glob.glob(pattern))
    while process.exitcode is None and not set(glob.glob(pattern)) - before:
        time.sleep(0.002)


def _moment(folder):
    names = [
        os.path.basename(path)
        for path in glob.glob(os.path.join(folder, 'results', '*', 'checkpoints', '*'))
    ]
    is_written = any('temp' in name
                     for name in names) or sum(name.endswith('.index') for name in names) > 3
    return 'inside a checkpoint' if is_written else 'elsewhere'


def outcome(folder):
    """Result of a run as far as it must be reproducible: digests of files, ticks of the log,
    scalars of TensorBoard.
    """
    with open(os.path.join(folder, 'log.txt')) as file:
        ticks = [re.sub(r' time .*', '', line.strip()) for line in file if line.startswith('tick ')]
    events = EventAccumulator(str(folder), size_guidance={'scalars': 0})
    events.Reload()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()['scalars'] if 'Timing' not in tag
    }
    pictures = {}
    for path in sorted(glob.glob(os.path.join(folder, '*.png'))):
        with open(path, 'rb') as file:
            pictures[os.path.basename(path)] = hashlib.sha256(file.read()).hexdigest()
    networks = {
        os.path.basename(path): [{name: net.get_var(name).tobytes()
                                  for name in net.vars} for net in misc.load_pkl(path)]
        for path in sorted(glob.glob(os.path.join(folder, '*.pkl')))
    }
    stats = [{tag: value
              for tag, value in row.items() if tag != 'time' and 'Timing' not in tag}
             for row in stats_file.read(folder)]
    return dict(ticks=ticks, scalars=scalars, stats=stats, pictures=pictures, networks=networks)
