"""Two processes that train together over loopback, like two machines."""
import contextlib
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib

import pytest

import dataset
import misc
from pgan.errors import ConfigError
from tests.support.golden import ROOT
from tests.support.networks import max_abs
from tests.support.toy_runs import TINY, make_toy
from tfutil.cluster import Cluster, ClusterError, wait_for_machines

EVERY_UPDATE = 'train.checkpoint_minutes=1e-9'
# see test_replicas
GENTLE = ('G_opt.epsilon=1.0', 'D_opt.epsilon=1.0', 'train.minibatch_repeats=1')


# A user-defined data set that records the checksums of each minibatch's images, one file per
# process.
NOTING = '''
import zlib
import dataset

class Noting(dataset.TFRecordDataset):
    reads_ahead = False  # what is read ahead at the end of a stage is read again

    def get_minibatch_tf(self, part=0, parts=1):
        images, labels = super().get_minibatch_tf(part, parts)
        with open(f'process-{part}-of-{parts}.txt', 'a') as file:
            print(*(zlib.crc32(image.tobytes()) for image in images.numpy()), file=file)
        return images, labels
'''


@pytest.fixture
def toy(in_tmp, monkeypatch):
    make_toy()
    (in_tmp / 'tiny.py').write_text(TINY)
    (in_tmp / 'noting.py').write_text(NOTING)
    monkeypatch.setenv('PYTHONPATH', str(in_tmp))
    return in_tmp


def start(*assignments, index=None, ports=(), options=()):
    """train.py as one of two machines, or alone."""
    env = dict(os.environ)
    if ports:
        jobs = {'worker': [f'127.0.0.1:{port}' for port in ports]}
        env['TF_CONFIG'] = json.dumps({'cluster': jobs, 'task': {'type': 'worker', 'index': index}})
    command = [
        sys.executable, ROOT / 'train.py', '--config', 'tiny.py', '--set', 'num_gpus=2', *options
    ]
    for assignment in assignments:
        command += ['--set', assignment]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def free_ports(count):
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def noted(process, processes):
    """Indices of the images in each minibatch that a process has read, at any resolution."""
    toy, numbers = dataset.TFRecordDataset('datasets/toy', shuffle_mb=0), {}
    for lod in range(3):
        toy.position = 0
        numbers |= {
            zlib.crc32(image.tobytes()): i
            for i, image in enumerate(toy.get_minibatch_np(40, lod)[0])
        }
    assert len(numbers) == 3 * 40
    with open(f'process-{process}-of-{processes}.txt') as file:
        return [[numbers[int(checksum)] for checksum in line.split()] for line in file]


def check_epochs(numbers):
    """Four epochs of 40 images: each has every image once, in a different order."""
    assert len(numbers) == 160
    epochs = [tuple(numbers[start:start + 40]) for start in range(0, 160, 40)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs) and len(set(epochs)) == 4


@pytest.mark.slow
def test_two_processes_train_what_one_with_two_devices_does(toy):
    """Final weights agree to 1e-4. Each image is read once per epoch, by one process. Only the
    chief writes files and prints.
    """
    # two stages: 4x4, and 8x8 while it fades in
    short = (*GENTLE, 'train.total_kimg=0.16', 'sched.lod_training_kimg=0.096',
             "dataset.class_name='noting.Noting'")
    ports = free_ports(2)
    both = [start(*short, index=i, ports=ports) for i in range(2)]
    outputs = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(os.listdir('results')) == ['000-tiny', 'index.html']
    assert 'tick 1 ' in outputs[0][0] and 'tick 1 ' not in outputs[1][
        0] and 'Worker 0 of 2 (the chief) writes the results' in outputs[1][0]
    alone = start(*short)
    assert 'CPU devices stand in for num_gpus = 2' in alone.communicate(
        timeout=240)[0] and alone.returncode == 0
    first, second, lone = noted(0, 2), noted(1, 2), noted(0, 1)
    assert {len(part)
            for part in first + second} == {4} and [a + b for a, b in zip(first, second)] == lone
    check_epochs(sum(lone, []))
    check_epochs(sum(sum(zip(first, second), ()), []))
    together, one = (misc.load_pkl(f'results/{name}/network-final.pkl')
                     for name in ('000-tiny', '001-tiny'))
    for net, other in zip(together, one):
        assert all(max_abs(net.get_var(name), other.get_var(name)) <= 1e-4 for name in net.vars)


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('victim', [1, 0])
def test_a_process_that_dies_ends_the_other_with_a_message(toy, victim):
    ports = free_ports(2)
    both = [start('train.total_kimg=1000', EVERY_UPDATE, index=i, ports=ports) for i in range(2)]
    wait_for_checkpoints(4)
    both[victim].send_signal(signal.SIGKILL)
    start_time = time.time()
    _, error = both[1 - victim].communicate(timeout=120)
    both[victim].communicate()
    assert time.time() - start_time < 60 and both[1 - victim].returncode == 1, error[-3000:]
    assert 'error: another machine of this run has stopped' in error and 'Traceback' not in error
    if victim == 1:
        resume_both(updates=count_checkpoints())


def wait_for_checkpoints(count):
    deadline = time.time() + 120
    # older ones are deleted, so the fourth may appear and vanish between two polls
    while count_checkpoints() < count:
        assert time.time() < deadline, 'the run does not get on'
        time.sleep(0.2)


def count_checkpoints():
    names = glob.glob('results/000-tiny/checkpoints/ckpt-*.index')
    return max((int(name.split('-')[-1].split('.')[0]) for name in names), default=0)


def resume_both(updates):
    """When all machines are back, the run continues in its folder: the second gets the state from
    the first.
    """
    assert updates >= 4
    total, ports = (updates + 8) * 8 / 2000, free_ports(2)  # every other update shows 8 images
    both = [
        start(f'train.total_kimg={total}', index=i, ports=ports, options=['--resume'])
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert 'Resuming results/000-tiny at kimg' in outputs[0][0] and 'Resuming' not in outputs[1][0]
    assert sorted(os.listdir('results')) == ['000-tiny', 'index.html']
    assert os.path.exists('results/000-tiny/_training-done.txt')
    with open('results/000-tiny/log.txt') as file:
        ticks = [int(line.split()[1]) for line in file if line.startswith('tick ')]
    assert ticks == list(range(1, len(ticks) + 1)) and ticks


# ---------------------------------------------------------------- waiting for one another

def cluster(ports, index):
    return Cluster(tuple(f'127.0.0.1:{port}' for port in ports), index)


@pytest.mark.slow
def test_a_machine_that_never_appears_is_named(capfd):
    """After the timeout. Until then the missing one is polled, and this one accepts connections.
    Its port is free for TensorFlow afterwards.
    """
    ports = free_ports(3)
    seen, over = [], threading.Event()

    def another():
        time.sleep(0.2)
        with socket.create_server(('127.0.0.1', ports[1])), contextlib.suppress(OSError):
            seen.append(socket.create_connection(('127.0.0.1', ports[0]), timeout=5))
            over.wait(30)
    thread = threading.Thread(target=another)
    thread.start()
    with pytest.raises(ClusterError) as error:
        wait_for_machines(cluster(ports, 0), limit=1.8, repeat=0.3)
    over.set()
    thread.join()
    assert (f'1 of 3 machines did not appear within 0.03 minutes: 127.0.0.1:{ports[2]}. '
            'Check') in str(
        error.value)
    said = capfd.readouterr().out
    assert f'Waiting for 127.0.0.1:{ports[1]}, 127.0.0.1:{ports[2]}, up to 0.03 minutes' in said
    assert 'Still waiting for 127.0.0.1:' in said and said.strip().endswith(
        f'Still waiting for 127.0.0.1:{ports[2]}...')
    assert seen
    seen[0].close()
    socket.create_server(('127.0.0.1', ports[0])).close()


def test_machines_that_appear_meet():
    """Three machines, one of them late: all return, long before the timeout."""
    ports, errors = free_ports(3), []

    def machine(index):
        try:
            time.sleep(index // 2)
            wait_for_machines(cluster(ports, index), limit=20)
            # like TensorFlow later
            servers.append(socket.create_server(('127.0.0.1', ports[index])))
        except Exception as error:
            errors.append(error)
    servers, start = [], time.monotonic()
    threads = [threading.Thread(target=machine, args=[i]) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for server in servers:
        server.close()
    assert not errors and len(servers) == 3 and time.monotonic() - start < 10


def test_a_port_that_is_taken_is_said():
    with socket.create_server(('127.0.0.1', 0)) as server, pytest.raises(ConfigError) as error:
        ports = [free_ports(1)[0], server.getsockname()[1]]
        wait_for_machines(cluster(ports, 1), limit=1)
    assert (f'port {ports[1]}, which TF_CONFIG gives to this machine (number 1), cannot be '
            'opened') in str(
        error.value)
    assert 'earlier run' in str(error.value)


SHARING = '''
import sys
import numpy as np
import tensorflow as tf
from tfutil.devices import make_devices
devices = make_devices(2)
index = devices.index
with devices.strategy.scope():
    variables = [tf.Variable(tf.fill(shape, tf.cast(value, dtype))) for shape, value, dtype in (
        ([2, 3], 1.1, tf.float32), ([], float('inf'), tf.float32), ([4], 7, tf.int64),
        ([5], 0.3, tf.float16))]
# Different from the start, where the strategy itself broadcasts the chief's values.
for var in variables:
    for copy in getattr(var, 'values', [var]):
        copy.assign(copy if index == 0 else tf.zeros_like(copy) - 1)
own = bytes(range(256)) * 3 if index == 0 else b'something else'
text = devices.broadcast_from_chief(variables, own)
right = [np.float32(1.1), np.inf, 7, np.float16(0.3)]
print('same:', text == bytes(range(256)) * 3 and all(
    (var.numpy() == value).all() for var, value in zip(variables, right)))
'''


@pytest.mark.slow
@pytest.mark.exhaustive
def test_all_machines_get_the_chiefs_values(in_tmp, monkeypatch):
    """Any shape and type, including values that are not finite."""
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    ports = free_ports(2)
    jobs = {'worker': [f'127.0.0.1:{port}' for port in ports]}
    both = []
    for i in range(2):
        env = {
            **os.environ, 'TF_CONFIG': json.dumps(
                {'cluster': jobs, 'task': {'type': 'worker', 'index': i}})
        }
        both.append(
            subprocess.Popen([sys.executable, '-c', SHARING], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    outputs = [process.communicate(timeout=120) for process in both]
    assert all('same: True' in out for out, _ in outputs), outputs
