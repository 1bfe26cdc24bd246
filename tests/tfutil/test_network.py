"""tfutil/network.py: run, averaging, copies, pickling."""
import pickle
import pickletools
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import polymorphic_function

import tfutil
from pgan.errors import ConfigError, DataError
from tests.support.golden import GOLDEN, load_npz
from tests.support.networks import max_abs, network_from, set_vars

SMALL = dict(num_channels=3, resolution=8, fmap_base=32, fmap_max=8)


@pytest.fixture(scope='module')
def golden_run():
    data = load_npz('network_run.npz')
    options = dict(num_channels=3, resolution=16, label_size=0, fmap_base=64, fmap_max=16)
    return data, network_from(data, 'G/', 'G_paper',
                              options), network_from(data, 'D/', 'D_paper', options)


def test_run_in_minibatches(golden_run):
    data, G, D = golden_run
    out = G.run(data['latents'], data['labels'], minibatch_size=int(data['minibatch_size']))
    assert max_abs(out, data['out_raw']) <= 1e-4 * np.abs(data['out_raw']).max()
    scores, labels = D.run(data['D_images'], minibatch_size=int(data['D_minibatch_size']))
    assert max_abs(scores, data['D_scores']) <= 1e-5 and labels.shape == data['D_labels'].shape


@pytest.mark.parametrize('shrink', [1, 2, 4])
def test_run_converts_outputs(golden_run, shrink):
    """Floats within 1e-4 of the scale (0..255). uint8 equal, but values within 2e-3 of a half may
    differ by one.
    """
    data, G, _ = golden_run
    options = dict(minibatch_size=3, out_mul=127.5, out_add=127.5, out_shrink=shrink)
    floats, expected = G.run(data['latents'], **options), data[f'out_float_shrink{shrink}']
    assert max_abs(floats, expected) <= 1e-4 * np.abs(expected).max()
    ints, golden = G.run(data['latents'], out_dtype=np.uint8,
                         **options), data[f'out_uint8_shrink{shrink}']
    assert ints.dtype == np.uint8
    near_half = np.abs(expected - np.floor(expected) - 0.5) < 2e-3
    difference = np.abs(ints.astype(int) - golden)
    assert not difference[~near_half].any() and difference.max(initial=0) <= 1


def test_rounding_is_half_to_even_and_saturates():
    x = tf.constant([[-3.0, 0.5, 1.5, 2.5, 254.5, 255.5, 300.0]])
    out = tfutil.evaluation.convert_output(x, 1.0, 0.0, 1, tf.uint8)
    assert out.numpy().tolist() == [[0, 0, 2, 2, 254, 255, 255]]


def test_moving_average():
    data = load_npz('moving_average.npz')
    options = dict(num_channels=3, resolution=8, label_size=0, fmap_base=32, fmap_max=8)
    Gs = network_from(data, 'Gs_before/', 'G_paper', options)
    G = Gs.clone('G')
    update = Gs.setup_as_moving_average_of(G, beta=float(data['beta']),
                                           beta_nontrainable=float(data['beta_nontrainable']))
    for i in range(3):
        set_vars(G, data, f'G_step{i}/')
        tfutil.run(update)
        for name in Gs.vars:
            assert max_abs(Gs.get_var(name), data[f'Gs_after{i}/var/{name}']) <= 5e-6, name


def test_inputs_are_checked():
    G = tfutil.Network('G', 'networks.G_paper', label_size=10, **SMALL)
    latents = np.zeros([2, 8], np.float32)
    for missing in ([latents], [latents, None], [None, np.zeros([2, 10])], [], [latents] * 3):
        with pytest.raises(ConfigError, match='takes 2 inputs.*(is missing. Expected|Received: 3)'):
            G.run(*missing)
    with pytest.raises(ConfigError, match="'latents_in'.*Received"):
        G.run(np.zeros([2, 9], np.float32), np.zeros([2, 10], np.float32))
    with pytest.raises(ConfigError, match='one N for all'):
        G.run(np.zeros([2, 8], np.float32), np.zeros([3, 10], np.float32))


@pytest.mark.parametrize('evaluate', [
    lambda G, *inputs: G.run(*inputs),
    lambda G, *inputs: G.run(*inputs, truncation_psi=0.7, output_transform=dict(func=None)),
    lambda G, *inputs: G.get_output_for(*inputs).numpy()])
def test_none_stands_for_labels_without_components(evaluate):
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    latents = np.ones([2, 8], np.float32)
    assert np.array_equal(evaluate(G, latents, None), evaluate(G, latents))


@pytest.mark.parametrize('shrink', [1, 2, 3, 5, 8])
def test_out_shrink_averages_whole_boxes(shrink):
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    latents = np.random.RandomState(0).randn(2, 8)
    side = 8 // shrink
    whole = G.run(latents)[:, :, :side * shrink, :side * shrink]
    expected = whole.reshape(2, 3, side, shrink, side, shrink).mean(axis=(3, 5))
    assert max_abs(G.run(latents, out_shrink=shrink), expected) <= 1e-6
    assert G.run(latents[:0], out_shrink=shrink).shape == (0, 3, side, side)


@pytest.mark.parametrize('shrink', [0, -1, 9, 1.5, '2', None, True])
def test_out_shrink_is_checked(shrink):
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    with pytest.raises(ConfigError, match='out_shrink: expected an integer from 1 to 8'):
        G.run(np.zeros([1, 8]), out_shrink=shrink)


def test_a_network_tells_what_it_is():
    G = tfutil.Network('Gs', 'networks.G_paper', label_size=10, **SMALL)
    text = repr(G)
    for part in ("'Gs'", 'networks.G_paper', 'latents_in (?, 8)', 'labels_in (?, 10)',
                 'images_out (?, 3, 8, 8)', 'lod 0'):
        assert part in text
    assert repr(object.__new__(tfutil.Network)) == '<Network, not built>'


@pytest.mark.parametrize('use', [
    lambda G, pickled: G.run(np.zeros([1, 8])), lambda G, pickled: G.clone(),
    lambda G, pickled: G.get_output_for(np.zeros([1, 8])),
    lambda G, pickled: pickle.loads(pickled)])
def test_without_eager_execution_it_says_which_lines_to_leave_out(use):
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    pickled = pickle.dumps(G)
    use(G, pickled)
    with tf.Graph().as_default(), pytest.raises(ConfigError, match='execution is off.*Leave out'):
        use(G, pickled)


def G_of_tensorflow1(latents_in, labels_in, num_channels=3, resolution=8, label_size=0, **kwargs):
    raise AssertionError('must not be called')


def G_with_removed_names(num_channels=3, resolution=8, label_size=0, **kwargs):
    with tf.variable_scope('Dense'):
        return None


def G_with_removed_layers(num_channels=3, resolution=8, label_size=0, **kwargs):
    return tf.train.AdamOptimizer()


def G_that_returns_a_tensor(num_channels=3, resolution=8, label_size=0, **kwargs):
    return tf.zeros([1, num_channels, resolution, resolution])


@pytest.mark.parametrize('func, words', [
    (G_of_tensorflow1, 'takes the tensors latents_in, labels_in'),
    (G_with_removed_names, 'uses tf.variable_scope'),
    (G_with_removed_layers, 'uses tf.train.AdamOptimizer'),
    (G_that_returns_a_tensor, 'returns a EagerTensor')])
def test_build_functions_for_tensorflow_1_are_named_as_such(func, words):
    with pytest.raises(ConfigError, match=f'{func.__name__} {words}.*a Keras model'):
        tfutil.Network('G', func)


def test_zero_samples_give_zero_outputs():
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    assert G.run(np.zeros([0, 8], np.float32), minibatch_size=4).shape == (0, 3, 8, 8)


def test_clone_convert_and_reset():
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    twin = G.clone('twin')
    latents = np.random.RandomState(0).randn(3, 8).astype(np.float32)
    assert twin.name == 'twin' and max_abs(G.run(latents), twin.run(latents)) == 0
    linear = G.convert('linear', structure='linear')
    assert max_abs(G.run(latents), linear.run(latents)) <= 1e-5
    before = G.get_var('4x4/Conv/weight')
    G.set_var('lod', 1)
    G.reset_trainables()
    assert max_abs(before, G.get_var('4x4/Conv/weight')) > 0.1 and G.lod == 1
    G.reset_vars()
    assert G.lod == 0
    G.copy_vars_from(twin)
    assert max_abs(G.run(latents), twin.run(latents)) == 0
    assert G.get_var_localname(G.find_var('4x4/Conv/bias')) == '4x4/Conv/bias'
    with pytest.raises(ConfigError, match="Did you mean '4x4/Conv/bias'"):
        G.get_var('4x4/Conv/bais')


@pytest.mark.parametrize('case', ['original-format-network', 'original-format-network-lod1.50'])
def test_snapshots_of_the_original_give_the_same_images(case):
    data = load_npz(f'{case}.npz')
    with open(GOLDEN / f'{case}.pkl', 'rb') as file:
        G, D, Gs = pickle.load(file, encoding='latin1')
    assert G.lod == float(data['lod'])
    assert max_abs(G.run(data['latents'], data['labels']), data['G_out']) <= 1e-4
    assert max_abs(Gs.run(data['latents']), data['Gs_out']) <= 1e-4
    assert max_abs(D.run(data['images'])[0], data['D_scores']) <= 1e-4


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_pickling_round_trip(protocol):
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    G.set_var('lod', 0.5)
    text = pickle.dumps(G, protocol)
    twin = pickle.loads(text)
    assert (twin.name, twin.static_kwargs, list(twin.vars)) == (G.name, G.static_kwargs,
                                                                list(G.vars))
    assert all((twin.get_var(name) == G.get_var(name)).all() for name in G.vars)
    twin.set_var('4x4/Conv/bias', np.ones(8))  # loaded variables can be written


def test_pickles_name_nothing_that_an_old_numpy_lacks():
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    strings = [
        str(arg) for _, arg, _ in pickletools.genops(pickle.dumps(G, 4)) if isinstance(arg, str)
    ]
    modules = {s for s in strings if s.split('.')[0] in ('numpy', 'tfutil', 'networks')}
    assert modules == {'numpy', 'tfutil'}
    assert not any('_core' in s for s in strings)


OWN_MODULE = '''
import keras


def my_net(size=4, **kwargs):
    x = keras.Input([size], name='x_in')
    y = keras.Input([2], name='y_in')
    out = keras.layers.Dense(3, name='mix')(keras.layers.Concatenate()([x, y]))
    out = keras.layers.Activation('linear', name='sum_out')(out)
    return keras.Model([x, y], out, name='my_net')
'''


def test_a_users_own_build_function(tmp_path, monkeypatch, capsys):
    """Built, run, cloned, listed and pickled like the stock ones; loaded with and without its
    module.
    """
    (tmp_path / 'my_module.py').write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    net = tfutil.Network('mine', 'my_module.my_net', size=5)
    assert net.input_shapes == [[None, 5], [None, 2]] and net.input_names == ['x_in', 'y_in']
    assert list(net.vars) == ['mix/kernel', 'mix/bias']
    x, y = np.random.RandomState(0).randn(7, 5).astype('f'), np.ones([7, 2], 'f')
    expected = np.concatenate([x, y], 1) @ net.get_var('mix/kernel')
    assert max_abs(net.clone().run(x, y, minibatch_size=3), expected) <= 1e-5
    net.print_layers()
    assert 'mix ' in capsys.readouterr().out
    text = pickle.dumps(net, 4)
    assert max_abs(pickle.loads(text).run(x, y), expected) <= 1e-5
    module = sys.modules['my_module']

    tfutil.network._known_functions.clear()  # like a new process
    with pytest.raises(DataError, match='trust_source=True'):
        pickle.loads(text)
    with tfutil.trusting_source():
        assert max_abs(pickle.loads(text).run(x, y), expected) <= 1e-5
    monkeypatch.undo()
    # now its module cannot be imported either, so only the source code is left
    sys.modules.pop('my_module')
    with tfutil.trusting_source():
        assert max_abs(pickle.loads(text).run(x, y), expected) <= 1e-5
    tfutil.build_function(module.my_net)
    assert max_abs(pickle.loads(text).run(x, y), expected) <= 1e-5


def test_source_inside_a_stock_snapshot_is_never_executed():
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    state = G.__getstate__()
    assert state['build_module_src'] == 'from networks import *\n'
    hostile = dict(state, build_module_src='raise SystemExit("executed")')
    twin = object.__new__(tfutil.Network)
    with tfutil.trusting_source():
        twin.__setstate__(hostile)
    assert twin.lod == 0


@pytest.mark.parametrize('change, text',
                         [(dict(version=1), 'version 1'),
                          (dict(variables=[]), 'lacks the variables'),
                          (dict(variables=[('lod', np.zeros([2]))]), r"'lod' has shape \(2,\)"),
                          (dict(build_func_name='nobody'), 'trust_source')])
def test_states_that_cannot_be_used_are_refused(change, text):
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    with pytest.raises(DataError, match=text):
        object.__new__(tfutil.Network).__setstate__(dict(G.__getstate__(), **change))


@pytest.mark.parametrize('func, text', [('networks.G_papre', "Did you mean 'G_paper'"),
                                        ('networkz.G_paper', "no module 'networkz'"),
                                        (None, 'build function')])
def test_unknown_build_functions_are_refused(func, text):
    with pytest.raises(ConfigError, match=text):
        tfutil.Network('G', func)


def test_one_compilation_serves_all_minibatch_sizes():
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    for n in (1, 2, 7):
        for mul in (1.0, 127.5):
            G.run(np.zeros([n, 8]), out_mul=mul, print_progress=True)
    assert len(G._evaluation.compiled) == 1 and next(iter(
        G._evaluation.compiled.values())).experimental_get_tracing_count() == 1
    assert G.run(np.zeros([0, 8]), print_progress=True).shape == (0, 3, 8, 8)


@pytest.mark.parametrize('shape',
                         [[4, 1, 8, 8], [4, 3, 6, 6], [4, 3, 8, 4], [4, 3, 16, 16], [4, 3, 4, 4]])
def test_images_of_the_wrong_shape_are_refused(shape):
    D = tfutil.Network('D', 'networks.D_paper', **SMALL)
    with pytest.raises(ConfigError, match="'images_in'.*Received"):
        D.run(np.zeros(shape))
    D.set_var('lod', 1)
    assert D.run(np.zeros([4, 3, 4, 4]))[0].shape == (4, 1)


def test_many_kinds_of_output_are_no_retracing(monkeypatch):
    """TensorFlow warns of a function that is traced again and again; ours are meant to be many."""
    said = []
    monkeypatch.setattr(polymorphic_function.logging, 'warning', said.append)
    detectors = polymorphic_function._FrequentTracingDetectorManager()  # with no calls yet
    monkeypatch.setattr(polymorphic_function, '_frequent_tracing_detector_manager', detectors)
    G = tfutil.Network('G', 'networks.G_paper', **SMALL)
    for shrink in range(1, 9):
        G.run(np.zeros([1, 8]), out_shrink=shrink)
    assert said == []
