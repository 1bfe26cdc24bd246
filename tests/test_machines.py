"""Two processes that train together over loopback, as two machines would."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from helpers import max_abs
from test_train import TINY, make_toy

import misc

GENTLE = ('G_opt.epsilon=1.0', 'D_opt.epsilon=1.0', 'train.minibatch_repeats=1')  # see test_replicas


@pytest.fixture
def toy(in_tmp):
    make_toy()
    (in_tmp / 'tiny.py').write_text(TINY)
    return in_tmp


def start(*assignments, index=None, ports=()):
    """train.py as one of two machines, or alone."""
    env = dict(os.environ)
    if ports:
        jobs = {'worker': [f'127.0.0.1:{port}' for port in ports]}
        env['TF_CONFIG'] = json.dumps({'cluster': jobs, 'task': {'type': 'worker', 'index': index}})
    command = [sys.executable, ROOT / 'train.py', '--config', 'tiny.py', '--set', 'num_gpus=2']
    for assignment in assignments:
        command += ['--set', assignment]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def free_ports(count):
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.mark.slow
def test_two_processes_train_what_one_with_two_devices_does(toy):
    """Weights at the end agree to 1e-4; the first process alone writes and tells."""
    short = (*GENTLE, 'train.total_kimg=0.16')
    ports = free_ports(2)
    both = [start(*short, index=i, ports=ports) for i in range(2)]
    outputs = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert os.listdir('results') == ['000-tiny']
    assert 'tick 1 ' in outputs[0][0] and 'tick 1 ' not in outputs[1][0] and 'Machine 0 of 2 writes the results' in outputs[1][0]
    alone = start(*short)
    assert 'CPU devices stand for num_gpus = 2' in alone.communicate(timeout=240)[0] and alone.returncode == 0
    together, one = (misc.load_pkl(f'results/{name}/network-final.pkl') for name in ('000-tiny', '001-tiny'))
    for net, other in zip(together, one):
        assert all(max_abs(net.get_var(name), other.get_var(name)) <= 1e-4 for name in net.vars)


@pytest.mark.slow
@pytest.mark.parametrize('victim', [0, 1])
def test_a_process_that_dies_ends_the_other_with_a_message(toy, victim):
    ports = free_ports(2)
    both = [start('train.total_kimg=1000', index=i, ports=ports) for i in range(2)]
    deadline = time.time() + 120
    while time.time() < deadline and not any(name.startswith('fakes') for _, _, names in os.walk('results') for name in names):
        time.sleep(0.2)
    time.sleep(4)
    both[victim].send_signal(signal.SIGKILL)
    start_time = time.time()
    _, error = both[1 - victim].communicate(timeout=120)
    both[victim].communicate()
    assert time.time() - start_time < 60 and both[1 - victim].returncode == 1, error[-3000:]
    assert 'error: another machine of this run has stopped' in error and 'Traceback' not in error
