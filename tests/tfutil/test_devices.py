"""tfutil/devices.py: valid and invalid values of TF_CONFIG and num_gpus, and their messages."""
import json
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import tfutil
from pgan.errors import ConfigError
from tests.support.golden import ROOT
from tests.support.networks import max_abs
from tfutil import devices
from tfutil.cluster import Cluster
from tfutil.devices import prepare_devices

TWO = {'worker': ['a:1', 'b:2']}


def cluster(jobs, kind='worker', index=0):
    return Cluster.from_environment(
        {'TF_CONFIG': json.dumps({'cluster': jobs, 'task': {'type': kind, 'index': index}})})


def test_clusters():
    assert Cluster.from_environment({}) is None and Cluster.from_environment({'TF_CONFIG': ' '
                                                                              }) is None
    assert cluster({'worker': ['a:1']}) is None and cluster({'chief': ['a:1']}, 'chief') is None
    assert cluster(TWO, index=1) == Cluster(('a:1', 'b:2'), 1)
    with_chief = {'chief': ['c:9'], 'worker': ['a:1', 'b:2']}
    assert cluster(with_chief, 'chief') == Cluster(('c:9', 'a:1', 'b:2'), 0)
    assert cluster(with_chief, 'worker', 1) == Cluster(('c:9', 'a:1', 'b:2'), 2)
    assert cluster(TWO, index='1').index == 1  # as written in a shell


@pytest.mark.parametrize('text, what', [
    ('{', 'cannot be read'), ('[]', 'cannot be read'), ('3', 'cannot be read'),
    ('{"cluster": 7}', 'cannot be read'),
    (json.dumps({'cluster': TWO, 'task': {'type': 'worker', 'index': 2}}), "'worker' number 2"),
    (json.dumps({'cluster': TWO, 'task': {'type': 'worker', 'index': -1}}), "'worker' number -1"),
    (json.dumps({'cluster': TWO, 'task': {'type': 'chief', 'index': 0}}), "'chief' number 0"),
    (json.dumps({'cluster': TWO, 'task': {'type': 'ps', 'index': 0}}), "'ps' number 0"),
    (json.dumps({'cluster': {**TWO, 'ps': ['p:3']}, 'task': {'type': 'worker', 'index': 0}
                 }), "type 'ps'"),
    (json.dumps({'cluster': {'worker': ['a:1', 'a:1']}, 'task': {'type': 'worker', 'index': 0}
                 }), 'same address'),
    (json.dumps({'cluster': {'worker': ['a:1', 'b']}, 'task': {'type': 'worker', 'index': 0}
                 }), "not 'host:port'"),
    (json.dumps({'cluster': {'worker': ['a:1', 2]}, 'task': {'type': 'worker', 'index': 0}
                 }), "not 'host:port'"),
    (json.dumps({'cluster': {'worker': ['a:1', ':2']}, 'task': {'type': 'worker', 'index': 0}
                 }), "not 'host:port'"),
    (json.dumps({'cluster': {'worker': ['a:1', 'b:65536']}, 'task': {'type': 'worker', 'index': 0}
                 }), "not 'host:port'"),
    (json.dumps({
        'cluster': {'worker': ['a:1', 'b:\u00b2']}, 'task': {'type': 'worker', 'index': 0}
    }), "not 'host:port'"),
    (json.dumps({'cluster': {}, 'task': {'type': 'worker', 'index': 0}}), "'worker' number 0"),
])
def test_what_is_wrong_with_a_cluster_is_said(text, what):
    with pytest.raises(ConfigError, match='TF_CONFIG does not describe') as error:
        Cluster.from_environment({'TF_CONFIG': text})
    assert what in str(error.value) and '"index": 1 on the second' in str(error.value)


@pytest.fixture
def machine(monkeypatch):
    """Pretend a number of GPUs, and of machines in TF_CONFIG; return the GPUs that are used."""
    def pretend(gpus, machines=1):
        fakes = [types.SimpleNamespace(name=f'GPU:{i}') for i in range(gpus)]
        used = []
        monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: fakes
                            if kind == 'GPU' else [])
        monkeypatch.setattr(tf.config, 'set_visible_devices',
                            lambda those, kind: used.extend(those))
        monkeypatch.setattr(devices, 'make_cpu_devices', lambda count: used.extend(['CPU'] * count))
        monkeypatch.delenv('TF_CONFIG', raising=False)
        if machines > 1:
            jobs = {'worker': [f'host{i}:1' for i in range(machines)]}
            monkeypatch.setenv(
                'TF_CONFIG', json.dumps({'cluster': jobs, 'task': {'type': 'worker', 'index': 1}}))
        return used
    return pretend


@pytest.mark.parametrize(
    'gpus, machines, num_gpus, texts',
    [(1, 1, 8, [
        'num_gpus = 8 asks for 8 GPUs on this machine, which has 1', "'preset-v2-1gpu'",
        'num_gpus=1'
    ]), (3, 1, 4, ['which has 3', "'preset-v2-2gpus'", 'num_gpus=3']),
     (6, 1, 8, ['which has 6', "'preset-v2-4gpus'", 'num_gpus=6']),
     (2, 2, 8,
      ['asks for 4 GPUs on machine 1 (host1:1), which has 2', "'preset-v2-4gpus'", 'num_gpus=4']),
     (1, 3, 6, [
         'asks for 2 GPUs on machine 1 (host1:1), which has 1. To use what there is, run '
         'with --set num_gpus=3.'
     ]), (4, 2, 3, ['TF_CONFIG names 2 machines', 'a multiple of 2']),
     (0, 2, 4, ['asks for 2 GPUs on each', 'has none', 'num_gpus=2']), ])
def test_more_gpus_than_there_are(machine, gpus, machines, num_gpus, texts):
    machine(gpus, machines)
    with pytest.raises(ConfigError) as error:
        prepare_devices(num_gpus)
    for text in texts:
        assert text in str(error.value)


def test_devices_that_are_there(machine):
    used = machine(4)
    prepare_devices(2)
    # the memory of the other GPUs stays free
    assert [gpu.name for gpu in used] == ['GPU:0', 'GPU:1']
    used = machine(4)
    prepare_devices(1)
    assert [gpu.name for gpu in used] == ['GPU:0']
    used = machine(4, machines=2)
    prepare_devices(4)
    assert [gpu.name for gpu in used] == ['GPU:0', 'GPU:1']  # the strategy uses all visible GPUs
    used = machine(0)
    prepare_devices(1)
    assert used == []
    prepare_devices(3)
    assert used == ['CPU'] * 3
    used = machine(0, machines=2)
    prepare_devices(2)
    assert used == []


def test_gpus_of_a_process_that_has_started_already(machine, monkeypatch):
    """A notebook that has computed something holds all GPUs; training in it uses the given number.
    """
    def too_late(gpus, kind):
        raise RuntimeError('Visible devices cannot be modified after being initialized')
    machine(4)
    monkeypatch.setattr(tf.config, 'set_visible_devices', too_late)
    prepare_devices(2)


@pytest.mark.slow
def test_too_late_for_more_cpu_devices():
    """In a subprocess, which has one device when two are requested."""
    code = ('import tensorflow as tf, tfutil\nfrom tfutil.devices import make_devices\n'
            'tf.constant(1)\ntry:\n    make_devices(2)\nexcept tfutil.devices.ConfigError as '
            "error:\n    print('said:', error)")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert 'said: num_gpus = 2' in done.stdout, done.stdout + done.stderr
    assert 'init_tf(num_gpus=2)' in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_init_tf_makes_the_devices_that_scripts_use():
    code = ("import tfutil\ntfutil.init_tf(num_gpus=3)\nprint('devices:', "
            'tfutil.devices.replica_devices(8))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    devices = ['/device:CPU:0', '/device:CPU:1', '/device:CPU:2']
    assert f'devices: {devices}' in done.stdout, done.stderr


# ---------------------------------------------------------------- Network.run on several devices

def network(name):
    return tfutil.Network(name, f'networks.{name}_paper', num_channels=1, resolution=16,
                          fmap_base=32, fmap_max=8)


@pytest.mark.parametrize('num_gpus, minibatch_size', [(2, None), (3, 7), (4, 4), (7, 5)])
def test_generating_on_several_devices(num_gpus, minibatch_size):
    """All images in order, for any number of shares, with the newest weights; 7 shares use the 4
    devices.
    """
    G, latents = network('G'), np.random.RandomState(1).randn(23, 8)
    for scale in (1, 2):
        G.set_var('ToRGB_lod0/weight', G.get_var('ToRGB_lod0/weight') * scale)
        options = dict(out_mul=10.0, out_add=3.0, out_shrink=2)
        expected = G.run(latents, **options)
        # Rounding: oneDNN chooses kernels by the size of the minibatch. Measured: 2e-6 of the
        # largest value.
        received = G.run(latents, num_gpus=num_gpus, minibatch_size=minibatch_size, **options)
        assert max_abs(received, expected) <= 1e-5 * np.abs(expected).max()
    places = {
        device.device[-5:]
        for device in (copy.network.vars['4x4/Conv/weight']
                       for copy in G._evaluation.copies.values())
    }
    assert places == {f'CPU:{i}' for i in range(1, min(num_gpus, 4))}
    assert G.run(latents[:0], num_gpus=num_gpus).shape == (0, 1, 16, 16)


def test_a_discriminator_compares_the_samples_of_a_share():
    D, images = network('D'), np.random.RandomState(1).randn(8, 1, 16, 16)
    halves = np.concatenate([D.run(images[:4])[0], D.run(images[4:])[0]])
    assert max_abs(D.run(images, num_gpus=2)[0], halves) <= 1e-6 < max_abs(D.run(images)[0], halves)
    assert [len(y)
            for y in D.run(images, num_gpus=2, minibatch_size=4, return_as_list=True)] == [8, 8]
