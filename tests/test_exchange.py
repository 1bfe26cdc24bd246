"""Snapshots between programs: read by the original program, by other Python versions with a
stand-in for its class, and by other processes.

OLD_PYTHONS names additional interpreters to test, e.g. OLD_PYTHONS=/opt/python3.7/bin/python (with
NumPy; separated by ':').
"""
import hashlib
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import misc
import tfutil
from tests.support.golden import GOLDEN, ROOT, load_npz
from tests.support.networks import max_abs
from tests.support.programs import run_programs

INTERPRETERS = [sys.executable, *filter(None, os.environ.get('OLD_PYTHONS', '').split(os.pathsep))]


@pytest.fixture(scope='module')
def networks():
    options = dict(num_channels=1, resolution=16, label_size=2, fmap_base=64, fmap_max=16)
    G = tfutil.Network('G', 'networks.G_paper', **options)
    G.set_var('lod', 0.75)
    return G, tfutil.Network('D', 'networks.D_paper', mbstd_group_size=2, **options), G.clone('Gs')


@pytest.mark.parametrize('writer', ['misc.save_pkl', 'pickle.dump'])
@pytest.mark.parametrize('interpreter', INTERPRETERS)
def test_other_pythons_read_the_state(interpreter, writer, networks, tmp_path):
    path = tmp_path / 'network.pkl'
    if writer == 'misc.save_pkl':
        misc.save_pkl(networks, path)
    else:
        path.write_bytes(pickle.dumps(networks, protocol=4))
    done = subprocess.run([interpreter, ROOT / 'tests' / 'support' / 'snapshot_reader.py', path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for network, state in zip(networks, json.loads(done.stdout)['states'], strict=True):
        assert state.pop('variables') == [[
            name, ['float32',
                   list(var.shape),
                   hashlib.sha256(var.numpy().tobytes()).hexdigest()]
        ] for name, var in network.vars.items()]
        func = {'G': 'G_paper', 'D': 'D_paper', 'Gs': 'G_paper'}[network.name]
        # Exactly the original's keys. The original's class executes build_module_src, which
        # defines
        # functions of these names.
        assert state == {
            'version': 2, 'name': network.name, 'static_kwargs': network.static_kwargs,
            'build_func_name': func, 'build_module_src': 'from networks import *\n'
        }


def test_what_another_program_would_read_is_what_we_read(networks, tmp_path):
    misc.save_pkl(networks, tmp_path / 'network.pkl')
    for network, again in zip(networks, misc.load_pkl(tmp_path / 'network.pkl'), strict=True):
        assert list(again.vars) == list(
            network.vars) and again.static_kwargs == network.static_kwargs
        assert all(
            np.array_equal(again.get_var(name), network.get_var(name)) for name in network.vars)


# --------------------------------------------------------------------------------------------------
# User-defined networks, in processes that have their module and in others that do not.

OWN = '''
import keras, tensorflow as tf, tfutil
print('the module runs')

@tfutil.build_function
def own_G(num_channels, resolution, label_size, **kwargs):
    z, labels = keras.Input([8], name='latents_in'), keras.Input([label_size], name='labels_in')
    x = keras.layers.Dense(num_channels * resolution ** 2, name='dense')(z)
    shape = [num_channels, resolution, resolution]
    return keras.Model([z, labels], keras.layers.Reshape(shape, name='images_out')(x))
'''
TRAIN = '''
import numpy as np, tensorflow as tf, misc, tfutil
G = tfutil.Network('G', 'own_networks.own_G', num_channels=1, resolution=4, label_size=0)
optimizer = tfutil.Optimizer('TrainG', learning_rate=0.01)
before = G.get_var('dense/kernel').copy()
optimizer.register_gradients(lambda: tf.reduce_mean(G.get_output_for(tf.ones([2, 8])) ** 2),
                             list(G.trainables.values()))
optimizer.apply_updates()
assert (G.get_var('dense/kernel') != before).any()
misc.save_pkl(G, 'own.pkl')
np.save('expected.npy', G.run(np.ones([3, 8])))
'''
LOAD = '''
import numpy as np, misc
from pgan.errors import DataError
try:
    G = misc.load_pkl('own.pkl')
except DataError as error:
    print(error)
    G = misc.load_pkl('own.pkl', trust_source=True)
assert np.array_equal(G.run(np.ones([3, 8])), np.load('expected.npy'))
print('loaded')
'''


def run_python(code, folder, path=()):
    env = {
        **os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), *map(str, path)]),
        'TF_CPP_MIN_LOG_LEVEL': '2'
    }
    done = subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True,
                          text=True, env=env)
    return done.stdout + done.stderr.splitlines()[-1] if done.returncode else done.stdout


@pytest.mark.slow
@pytest.mark.exhaustive
def test_networks_of_ones_own_travel(tmp_path):
    (tmp_path / 'modules').mkdir()
    (tmp_path / 'modules' / 'own_networks.py').write_text(OWN)
    here = dict(path=[tmp_path / 'modules'])
    assert run_python(TRAIN, tmp_path, **here) == 'the module runs\n'
    known = run_python('import own_networks\n' + LOAD, tmp_path, **here)
    assert known == 'the module runs\nloaded\n'
    # Loading a file runs no code, even if its module could be imported.
    for path in (here, {}):
        message, runs, loaded = run_python(LOAD, tmp_path, **path).splitlines()
        assert 'trust_source=True' in message and 'the module runs' not in message
        assert [runs, loaded] == ['the module runs', 'loaded']


# --------------------------------------------------------------------------------------------------
# Using the original's networks.


@pytest.mark.slow
def test_imported_networks_are_ordinary_networks():
    """Without a session: run, evaluated inside a graph with gradients, cloned, converted, modified.
    """
    import tensorflow as tf
    data = load_npz('original-format-network.npz')
    with open(GOLDEN / 'original-format-network.pkl', 'rb') as file:
        G, D, Gs = pickle.load(file)
    latents, labels = tf.constant(data['latents']), tf.constant(data['labels'])

    @tf.function
    def score(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            scores, _ = D.get_output_for(Gs.get_output_for(z, labels, is_training=True))
            total = tf.reduce_sum(scores)
        return scores, tape.gradient(total, z)
    scores, gradients = score(latents)
    assert max_abs(scores,
                   D.run(data['Gs_out'])[0]) <= 1e-4 and max_abs(Gs.get_output_for(latents, labels),
                                                                 data['Gs_out']) <= 1e-4
    step = 1e-2 * gradients / tf.norm(gradients)
    rise = tf.reduce_sum(score(latents + step)[0] - score(latents - step)[0]) / 2e-2
    assert abs(float(rise / tf.norm(gradients)) - 1) < 0.02  # central difference, float32
    twin = Gs.clone('twin')
    assert max_abs(twin.run(data['latents']), data['Gs_out']) <= 1e-4
    linear = Gs.convert('linear', structure='linear')
    assert max_abs(linear.run(data['latents']), data['Gs_out']) <= 1e-4
    twin.set_var('lod', 1.0)
    assert twin.get_var('lod') == 1 and Gs.get_var('lod') == data['lod']
    assert max_abs(twin.run(data['latents']), data['Gs_out']) > 1e-2


@pytest.mark.slow
def test_the_example_draws_what_the_original_example_draws(tmp_path):
    snapshot = GOLDEN / 'original-format-network.pkl'
    done = subprocess.run([
        sys.executable, ROOT / 'examples' / 'import_example.py', snapshot, '--out', tmp_path / 'out'
    ], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / 'out')) == [f'img{number}.png' for number in range(10)]
    _, _, Gs = misc.load_pkl(snapshot)
    latents = np.random.RandomState(1000).randn(
        1000, *Gs.input_shape[1:])[[477, 56, 83, 887, 583, 391, 86, 340, 341, 415]]
    images = np.clip(np.rint((Gs.run(latents, np.zeros([10, 0])) + 1) / 2 * 255), 0, 255)
    for number, image in enumerate(images):
        with PIL.Image.open(tmp_path / 'out' / f'img{number}.png') as picture:
            pixels = np.asarray(picture).astype(float)
        # one at a time, or all at once
        assert max_abs(pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1),
                       np.squeeze(image)) <= 1


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_example_says_what_it_needs(in_tmp):
    cases = [(None, "there is no 'gone.pkl'"), (b'\x80\x04]\x94.', 'Received: a list'),
             (b'hello', 'hello.pkl')]
    names = ['gone.pkl', 'list.pkl', 'hello.pkl']
    for name, (content, _) in zip(names, cases):
        if content:
            (in_tmp / name).write_bytes(content)
    found = run_programs([['examples/import_example.py', name] for name in names], in_tmp)
    for done, (_, words) in zip(found, cases, strict=True):
        # On earlier lines TensorFlow may report a driver without a GPU.
        assert done.returncode == 1 and words in done.stderr.splitlines()[-1], done.stderr
        assert 'Traceback' not in done.stderr
    assert sorted(os.listdir()) == ['hello.pkl', 'list.pkl']
