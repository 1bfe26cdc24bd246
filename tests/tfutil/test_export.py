"""Exported networks give the same results when they run without this program."""
import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfutil
from pgan.errors import ConfigError, DataError

SMALL = dict(num_channels=3, resolution=16, fmap_base=64, fmap_max=16)
CASES = [('G_paper', 0.0, {}), ('G_paper', 1.25, dict(label_size=3)),
         ('G_paper', 2.0, dict(structure='recursive')),
         ('G_paper', 0.5, dict(structure='linear', fused_scale=False)),
         ('D_paper', 0.0, dict(label_size=3, mbstd_group_size=2)), ('D_paper', 1.25, {}),
         ('G_paper', 0.0, dict(dtype='bfloat16'))]

# Run exported networks in a process that does not import this program. Arguments: folders of a
# model and its inputs, to which the outputs are added.
RUN_SAVED_MODEL = """
import sys, numpy as np, tensorflow as tf
for folder in sys.argv[1:]:
    function = tf.saved_model.load(f'{folder}/model').signatures['serving_default']
    inputs = dict(np.load(f'{folder}/inputs.npz'))
    assert set(inputs) == set(function.structured_input_signature[1])
    outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
    np.savez(f'{folder}/outputs.npz', **{name: value.numpy() for name, value in outputs.items()})
"""
RUN_ONNX = """
import sys, numpy as np, onnxruntime
for folder in sys.argv[1:]:
    session = onnxruntime.InferenceSession(f'{folder}/model.onnx')
    inputs = dict(np.load(f'{folder}/inputs.npz'))
    assert set(inputs) == {i.name for i in session.get_inputs()}
    names = [o.name for o in session.get_outputs()]
    np.savez(f'{folder}/outputs.npz', **dict(zip(names, session.run(names, inputs))))
"""
needs_onnx = pytest.mark.skipif(not all(map(importlib.util.find_spec, ('tf2onnx', 'onnxruntime'))),
                                reason='needs: pip install tf2onnx onnxruntime')


def network_of(func, lod, options):
    network = tfutil.Network('N', f'networks.{func}', **{**SMALL, **options})
    rs = np.random.RandomState(3)
    for var in network.trainables.values():  # also biases, which start as zeros
        var.assign(rs.randn(*var.shape))
    network.set_var('lod', lod)
    return network


def inputs_of(network, count):
    rs = np.random.RandomState(4)
    return {
        name: rs.randn(count, *shape[1:]).astype(np.float32)
        for name, shape in zip(network.input_names, network.input_shapes)
    }


def own_network():
    """A network of Keras layers without a build function of this program."""
    def build():
        a, b = keras.Input([4], name='a'), keras.Input([0], name='b')
        return keras.Model([a, b],
                           [keras.layers.Dense(2, name='c')(a),
                            keras.layers.Dense(3, name='d')(a)], name='own')
    return tfutil.Network('own', build)


def check(networks, model, code, counts, tolerance, tmp_path):
    """Export networks, run them in another process and compare the outputs.

    Args:
        networks: the networks.
        model: name of the exported file or folder.
        code: RUN_SAVED_MODEL or RUN_ONNX.
        counts: sizes of the minibatches.
        tolerance: of the outputs, relative to the largest one.
        tmp_path: an empty folder.
    """
    expected, exports = {}, {}
    for number, network in enumerate(networks):
        for count in counts:
            folder = tmp_path / f'{number}-{count}'
            folder.mkdir()
            if number in exports:
                (folder / model).symlink_to(exports[number])
            else:
                exports[number] = folder / model
                network.export(folder / model)
            single = network
            if 'dtype' in network.static_kwargs:
                single = network.convert(dtype='float32')
            inputs = inputs_of(single, count)
            np.savez(folder / 'inputs.npz',
                     **{name: value
                        for name, value in inputs.items() if value.size})
            outputs = single.run(*inputs.values(), return_as_list=True)
            expected[folder] = {
                name: value
                for name, value in zip(single.output_names, outputs) if value.size
            }
    done = subprocess.run([sys.executable, '-c', code, *expected], capture_output=True, text=True,
                          cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': '', 'TF_CPP_MIN_LOG_LEVEL': '2'})
    assert done.returncode == 0 and 'gradient' not in done.stderr, done.stderr
    for folder, wanted in expected.items():
        found = dict(np.load(folder / 'outputs.npz'))
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            assert found[name].shape == value.shape and found[name].dtype == np.float32
            apart = np.abs(found[name] - value).max()
            assert apart <= tolerance * np.abs(value).max(), (folder.name, name)


@pytest.mark.slow
def test_saved_models_give_the_same(tmp_path):
    networks = [*(network_of(*case) for case in CASES), own_network()]
    check(networks, 'model', RUN_SAVED_MODEL, [4], 1e-6, tmp_path)


@pytest.mark.parametrize('func', ['G_paper', 'D_paper'])
def test_gradients_of_a_saved_model_are_those_of_the_network(func, tmp_path, caplog):
    network = network_of(func, 0.5, dict(label_size=3))
    network.export(tmp_path / 'model')
    model = tf.saved_model.load(str(tmp_path / 'model'))
    function = model.signatures['serving_default']
    assert not caplog.records  # no warning about gradients that it cannot store
    inputs = {name: tf.constant(value) for name, value in inputs_of(network, 4).items()}
    gradients = []
    for evaluate in (function, lambda **inputs: dict(zip(
            network.output_names, network.get_output_for(*inputs.values(), return_as_list=True)))):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            score = tf.reduce_sum(evaluate(**inputs)[network.output_names[0]] ** 2)
        gradients.append(tape.gradient(score, inputs[network.input_names[0]]).numpy())
    assert np.abs(gradients[0] - gradients[1]).max() <= 1e-5 * np.abs(gradients[1]).max()


@pytest.mark.slow
@needs_onnx
def test_onnx_files_give_the_same(tmp_path):
    """Within 1e-4, as convolutions sum in another order."""
    networks = [network_of(*case) for case in CASES]
    check(networks, 'model.onnx', RUN_ONNX, [2, 8], 1e-4, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['model', pytest.param('model.onnx', marks=needs_onnx)])
def test_nothing_is_overwritten_unasked(name, in_tmp):
    network = network_of('G_paper', 0, {})
    network.export(name)
    before = sorted(os.listdir('model')) if name == 'model' else (in_tmp / name).read_bytes()
    with pytest.raises(DataError, match='exists'):
        network.export(name)
    assert before == (sorted(os.listdir('model')) if name == 'model' else
                      (in_tmp / name).read_bytes())
    network.export(name, overwrite=True)
    assert os.listdir() == [name]


def test_only_a_saved_model_is_replaced(in_tmp):
    (in_tmp / 'home').mkdir()
    (in_tmp / 'home' / 'thesis.txt').write_text('years of work')
    with pytest.raises(DataError, match='is not a SavedModel'):
        network_of('G_paper', 0, {}).export('home', overwrite=True)
    assert os.listdir('home') == ['thesis.txt'] and os.listdir() == ['home']


def test_a_missing_folder_and_a_missing_package(in_tmp, monkeypatch):
    network = network_of('G_paper', 0, {})
    with pytest.raises(DataError, match='no folder'):
        network.export('nowhere/model')
    monkeypatch.setitem(sys.modules, 'tf2onnx', None)
    with pytest.raises(ConfigError, match='pip install tf2onnx'):
        network.export('model.onnx')
    assert os.listdir() == []


def test_weights_go_round(in_tmp):
    network, other = network_of('D_paper', 1.5, {}), tfutil.Network('M', 'networks.D_paper',
                                                                    **SMALL)
    network.save_weights('weights.npz')
    assert set(np.load('weights.npz')) == set(network.vars)
    other.load_weights('weights.npz')
    assert all(np.array_equal(other.get_var(name), network.get_var(name))
               for name in network.vars) and other.lod == 1.5


def test_weights_of_others_are_refused_whole(in_tmp):
    network, other = network_of('G_paper', 0, {}), network_of('G_paper', 0, dict(fmap_max=8))
    values = {name: var.numpy() for name, var in network.vars.items()}
    network.save_weights('weights.npz')
    before = {name: var.numpy() for name, var in other.vars.items()}
    with pytest.raises(DataError,
                       match=r"'.*' is float32 of shape \[.*\]. Expected numbers of shape \["):
        other.load_weights('weights.npz')
    np.savez('less.npz', **{name: value
                            for name, value in values.items() if name != 'lod'}, more=np.zeros(1))
    with pytest.raises(DataError, match=r"missing \['lod'\], unknown \['more'\]"):
        network.load_weights('less.npz')
    np.savez('objects.npz', **{**values, 'lod': np.array(None)})
    (in_tmp / 'none.npz').write_bytes(b'no archive')
    for name in ('objects.npz', 'none.npz', 'missing.npz'):
        with pytest.raises(DataError, match=f'{name}.*cannot be read'):
            network.load_weights(name)
    assert all(np.array_equal(other.get_var(name), value) for name, value in before.items())


@pytest.mark.slow
@needs_onnx
def test_onnx_files_say_what_they_take(in_tmp):
    import onnxruntime
    network_of('G_paper', 0, dict(label_size=3)).export('model.onnx')
    session = onnxruntime.InferenceSession('model.onnx')
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    assert json.dumps({name: shape[1:] for name, shape in shapes.items()}) == json.dumps(
        {'latents_in': [16], 'labels_in': [3], 'images_out': [3, 16, 16]})
    assert all(not isinstance(shape[0], int) for shape in shapes.values())
