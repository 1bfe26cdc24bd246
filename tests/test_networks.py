"""networks.py and layers.py compared with the original's outputs."""
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfutil
from pgan.nn import fused_convolutions, operations
from tests.support.golden import GOLDEN, load_json, load_npz
from tests.support.networks import max_abs, network_from
from tfutil import Stage

NETWORKS = load_json('networks.json')
CASES = NETWORKS['cases']


def inputs_of(case, data):
    return [data['latents'], data['labels']
            ] if CASES[case]['func'] == 'G_paper' else [data['images']]


def expected_of(case, data, lod):
    keys = ['out'] if CASES[case]['func'] == 'G_paper' else ['scores', 'labels']
    return [data[f'{key}_lod{lod:.2f}'] for key in keys]


def ways_of_cases():
    """Each case in both structures; with the kernels that GPUs use, the first of them."""
    for way in [('linear', False), ('recursive', False), ('linear', True)]:
        for number, case in enumerate(CASES):
            marks = [pytest.mark.exhaustive] if way[1] and number > 8 else []
            yield pytest.param(*way, case, marks=marks)


@pytest.mark.first(10, rest='slow')
@pytest.mark.parametrize('structure, kernels_hold_the_box, case', [*ways_of_cases()])
def test_outputs_are_the_originals(case, structure, kernels_hold_the_box, monkeypatch):
    """Both structures at all lods, and with 4x4 kernels, within the measured
    tolerance of each case: 1e-5 to 5e-4, at most 1e-4 of the output's scale.
    """
    monkeypatch.setattr(fused_convolutions, 'kernels_hold_the_box', lambda: kernels_hold_the_box)
    info, data = CASES[case], load_npz(f'networks-{case}.npz')
    net = network_from(data, '', info['func'], info['static_kwargs'])
    net = net.convert(structure=structure)
    tolerance = min(info['atol'], 1e-4 * max(info['max_abs_output'], 1.0))
    for lod in info['lods']:
        net.set_var('lod', lod)
        outputs = net.run(*inputs_of(case, data), return_as_list=True)
        for output, expected in zip(outputs, expected_of(case, data, lod), strict=True):
            assert output.shape == expected.shape and output.dtype == np.float32
            assert max_abs(output, expected) <= tolerance, lod


@pytest.mark.parametrize('case', CASES)
def test_names_and_shapes_are_the_originals(case):
    info = CASES[case]
    net = tfutil.Network('x', 'networks.' + info['func'], **info['static_kwargs'])
    assert net.input_names == info['input_names'] and net.input_shapes == info['input_shapes']
    assert net.output_names == info['output_names'] and net.output_shapes == info['output_shapes']


@pytest.mark.parametrize('tag', NETWORKS['initial'])
def test_initial_values_have_the_originals_distribution(tag):
    info = NETWORKS['initial'][tag]
    net = tfutil.Network('x', 'networks.' + info['func'], **info['static_kwargs'])
    assert [v['name'] for v in info['variables']] == list(net.vars)
    for var in info['variables']:
        value, multiplier = net.get_var(var['name']), var.get('runtime_multiplier')
        assert list(value.shape) == var['shape'] and (var['name']
                                                      in net.trainables) == var['trainable']
        if multiplier is None:
            assert not value.any()
            continue
        use_wscale = info['static_kwargs'].get('use_wscale', True)
        expected_std = 1.0 if use_wscale else he_std(info['func'], var['name'], value.shape)
        assert abs(value.mean()) < 5 * expected_std / np.sqrt(value.size)
        assert abs(value.std() / expected_std - 1) < 5 / np.sqrt(2 * value.size)
        assert scale_of(net, var['name']) == pytest.approx(multiplier, rel=1e-6)


def he_std(func, name, shape):
    gain = {'4x4/Dense/weight': np.sqrt(2) / 4,
            '4x4/Dense1/weight': 1.0}.get(name, 1.0 if 'ToRGB' in name else np.sqrt(2))
    fan_in = shape[0] * shape[1] * shape[3] if 'Conv0_up' in name else np.prod(shape[:-1])
    return gain / np.sqrt(fan_in)


def scale_of(net, name):
    layer = next(
        layer for layer in net.model._flatten_layers()
        if getattr(layer, 'weight', None) is not None and layer.weight.value is net.vars[name])
    return float(layer.scale)


@pytest.mark.parametrize('which', ['G', 'D'])
def test_print_layers_is_the_originals_text(which, capsys):
    info = NETWORKS['print_layers'][which]
    tfutil.Network(info['name'], 'networks.' + info['func'], **info['static_kwargs']).print_layers()
    assert capsys.readouterr().out == (GOLDEN / info['file']).read_text()


@pytest.mark.parametrize('lod', [0, 0.3, 1, 1.6, 2])
def test_native_resolution_is_the_full_one_shrunk(lod):
    keras.utils.set_random_seed(1)  # for some weights, scores have larger rounding errors
    G = tfutil.Network('G', 'networks.G_paper', num_channels=3, resolution=16, fmap_base=64,
                       fmap_max=16)
    D = tfutil.Network('D', 'networks.D_paper', num_channels=3, resolution=16, fmap_base=64,
                       fmap_max=16)
    for net in (G, D):
        net.set_var('lod', lod)
    latents = np.random.RandomState(0).randn(4, 16).astype(np.float32)
    native, full = G.run(latents, native=True), G.run(latents)
    assert native.shape == (4, 3, *[16 >> int(lod)] * 2)
    assert max_abs(native.repeat(2 ** int(lod), 2).repeat(2 ** int(lod), 3), full) == 0
    assert max_abs(D.run(native)[0], D.run(full)[0]) <= 1e-6


@pytest.mark.parametrize('lod, resolution, stage', [(0, 16, (0, False)), (-0.5, 16, (0, False)),
                                                    (0.25, 16, (0, True)), (1, 16, (1, False)),
                                                    (2, 16, (2, False)), (2.5, 16, (2, False)),
                                                    (8, 1024, (8, False)), (7.999, 1024, (7, True)),
                                                    (3, 4, (0, False))])
def test_stage_of_lod(lod, resolution, stage):
    assert Stage.of(lod, resolution) == stage


@pytest.mark.parametrize('lod', [0, 0.5, 1, 1.5, 2])
def test_a_stage_uses_exactly_the_layers_it_needs(lod):
    """Gradient exists for the layers of the active resolutions and is absent for the rest."""
    G = tfutil.Network('G', 'networks.G_paper', num_channels=1, resolution=16, fmap_base=64,
                       fmap_max=16)
    G.set_var('lod', lod)
    with tf.GradientTape() as tape:
        out = tf.reduce_sum(G.get_output_for(tf.ones([2, 16])))
    gradients = tape.gradient(out, list(G.trainables.values()))
    used = {name.rsplit('/', 1)[0] for name, g in zip(G.trainables, gradients) if g is not None}
    top = 4 - int(lod)
    expected = {'4x4/Dense', '4x4/Conv', f'ToRGB_lod{4 - top}'
                } | ({f'ToRGB_lod{5 - top}'} if lod % 1 else set())
    expected |= {
        f'{2 ** r}x{2 ** r}/{layer}'
        for r in range(3, top + 1)
        for layer in ('Conv0_up', 'Conv1')
    }
    assert used == expected


@pytest.mark.slow
def test_inside_a_function_the_output_follows_the_lod():
    """Compiled once, get_output_for must still follow the variable lod."""
    G = tfutil.Network('G', 'networks.G_paper', num_channels=1, resolution=16, fmap_base=64,
                       fmap_max=16)
    compiled = tf.function(lambda z: G.get_output_for(z))
    latents = tf.random.normal([3, 16], seed=1)
    for lod in (2, 1.25, 0):
        G.set_var('lod', lod)
        assert max_abs(compiled(latents), G.run(latents.numpy())) <= 1e-5


@pytest.mark.parametrize('options, text',
                         [(dict(resolution=48), 'power of two'),
                          (dict(resolution=2), 'power of two'), (dict(dtype='int8'), 'dtype'),
                          (dict(structure='tree'), 'structure'),
                          (dict(resolution=1024, fmap_base=128), 'no feature maps are left at '
                           '(512x512|1024x1024)')])
@pytest.mark.parametrize('func', ['G_paper', 'D_paper'])
def test_impossible_options_are_refused(func, options, text):
    with pytest.raises(tfutil.network.ConfigError, match=text):
        tfutil.Network('x', 'networks.' + func, **options)


def test_minibatch_that_does_not_fit_the_stddev_group_is_refused():
    with pytest.raises(ValueError, match='minibatch 6 .* groups of 4'):
        operations.minibatch_stddev(tf.zeros([6, 4, 4, 2]), 4)


@pytest.mark.parametrize('n, group', [(4, 4), (8, 4), (12, 4), (6, 2), (3, 16), (1, 4)])
def test_minibatch_stddev_is_numpys(n, group):
    """Compared with the formula in float64: only float32 rounding."""
    x = np.random.RandomState(n).randn(n, 4, 4, 3)
    g = min(group, n)
    members = x.reshape(g, n // g, 4, 4, 3)
    expected = np.tile(np.sqrt(members.var(axis=0) + 1e-8).mean(axis=(1, 2, 3)), g)
    y = operations.minibatch_stddev(tf.constant(x, tf.float32), group).numpy()
    assert y.shape == (n, 4, 4, 4)
    assert max_abs(y[..., :3], x.astype(np.float32)) == 0
    assert max_abs(y[..., 3], np.broadcast_to(expected[:, None, None], (n, 4, 4))) <= 1e-6


@pytest.mark.parametrize('dtype, tolerance', [('bfloat16', 0.15), ('float16', 0.02)])
@pytest.mark.parametrize('lod', [0, 0.5, 2])
def test_half_precision_stays_near_float32(dtype, tolerance, lod):
    """8 (bfloat16) and 11 (float16) bits of mantissa through about ten layers: within a few percent
    of the output's scale.
    """
    options = dict(num_channels=3, resolution=16, fmap_base=64, fmap_max=16, pixelnorm_epsilon=1e-4)
    G = tfutil.Network('G', 'networks.G_paper', **options)
    half = G.convert(dtype=dtype)
    assert all(v.dtype == tf.float32 for v in half.vars.values())
    latents = np.random.RandomState(0).randn(8, 16).astype(np.float32)
    for net in (G, half):
        net.set_var('lod', lod)
    expected, actual = G.run(latents), half.run(latents)
    assert actual.dtype == np.float32
    assert 0 < max_abs(actual, expected) <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize('kernels_hold_the_box', [False, True])
@pytest.mark.parametrize('size, inputs, fmaps', [((4, 4), 5, 3), ((8, 2), 1, 4), ((2, 6), 16, 16)])
def test_layers_that_scale_are_scaling_and_a_convolution(size, inputs, fmaps, kernels_hold_the_box,
                                                         monkeypatch):
    """Outputs and gradients of first and second order, up to float32 rounding: 1e-5 of the largest.
    """
    monkeypatch.setattr(fused_convolutions, 'kernels_hold_the_box', lambda: kernels_hold_the_box)
    up, down = fused_convolutions.UpConv2D(inputs, fmaps, name='up'), fused_convolutions.DownConv2D(
        inputs, fmaps, name='down')
    for layer in (up, down):
        layer.build()
        layer.bias.assign(tf.random.stateless_normal([fmaps], [1, 2]))

    def plain_up(x):
        weight = tf.transpose(up.weight, [0, 1, 3, 2])[::-1, ::-1] * up.scale
        return tf.nn.conv2d(operations.upscale2d(x), weight, 1, 'SAME') + up.bias

    def plain_down(x):
        return operations.downscale2d(
            tf.nn.conv2d(x, down.weight * down.scale, 1, 'SAME') + down.bias)
    x = tf.random.stateless_normal([3, *size, inputs], [3, 4])
    for layer, plain in ((up, plain_up), (down, plain_down)):
        variables = [layer.weight.value, layer.bias.value]
        for result, expected in zip(derivatives(layer, x, variables),
                                    derivatives(plain, x, variables), strict=True):
            assert result.shape == expected.shape and max_abs(
                result, expected) <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize('dtype, tolerance', [('float64', 1e-15), ('float32', 1e-6),
                                              ('float16', 2e-3), ('bfloat16', 2e-2)])
@pytest.mark.parametrize('size, maps', [((4, 4), 1), ((1, 6), 3), ((8, 2), 16)])
@pytest.mark.parametrize('minibatch', [5, None], ids=['', 'exported'])
def test_means_of_framed_images(dtype, tolerance, size, maps, minibatch):
    """Also the gradient, up to some roundings. In an exported network the minibatch size is
    unknown, and no gradient operation is used.
    """
    x = np.random.RandomState(0).randn(5, *size, maps)
    framed = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    expected = sum(framed[:, i:framed.shape[1] - 1 + i, j:framed.shape[2] - 1 + j] for i in (0, 1)
                   for j in (0, 1)) / 4

    @tf.function(input_signature=[tf.TensorSpec([minibatch, *size, maps], dtype)])
    def means(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = fused_convolutions.framed_box_means(x)
            total = tf.reduce_sum(y * y / 2)
        return y, tape.gradient(total, x)
    y, gradient = (result.numpy().astype(np.float64) for result in means(tf.cast(x, dtype)))
    assert max_abs(y, expected) <= tolerance * np.abs(expected).max()
    box = sum(y[:, i:y.shape[1] - 1 + i, j:y.shape[2] - 1 + j] for i in (0, 1) for j in (0, 1)) / 4
    assert max_abs(gradient, box) <= tolerance * np.abs(box).max()
    operations = {node.op for node in means.get_concrete_function().graph.as_graph_def().node}
    assert ('AvgPoolGrad' in operations) == (minibatch is not None and maps == 16)


@pytest.mark.parametrize('shape, epsilon', [([4, 3, 3, 8], 2**-27), ([2, 1], 2**-10),
                                            ([5, 16], 0.125)])
@pytest.mark.parametrize('compiled', [False, True])
def test_the_gradient_of_pixel_norm(shape, epsilon, compiled):
    """First and second order, compared with TensorFlow's gradients of the formula in float64:
    within 1e-12 of the largest, some thousand roundings.
    """
    def plain(x):
        return x / tf.sqrt(tf.reduce_mean(x ** 2, axis=-1, keepdims=True) + epsilon)
    x = tf.random.stateless_normal(shape, [1, 2], dtype=tf.float64)
    normalized = functools.partial(operations.pixel_norm, epsilon=epsilon)
    results = derivatives(tf.function(normalized) if compiled else normalized, x, [])
    for result, expected in zip(results, derivatives(plain, x, []), strict=True):
        assert max_abs(result, expected) <= 1e-12 * max(np.abs(expected).max(), 1e-3)


def derivatives(call, x, variables):
    """Return call(x), the gradient of a function of it by x, and the gradients of a function of
    that gradient by x and by variables.
    """
    with tf.GradientTape() as outer:
        outer.watch([x, *variables])
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = call(x)
            value = tf.reduce_sum(tf.sin(y))
        gradient = inner.gradient(value, x)
        penalty = tf.reduce_sum(tf.square(gradient)) + value
    return [result.numpy() for result in (y, gradient, *outer.gradient(penalty, [x, *variables]))]
