"""Layers, networks and losses of the Theano version only, compared with NumPy references (float64)
of their formulas.
"""
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

import loss
import tfutil
from pgan.nn import theano_layers
from tests.support.networks import max_abs
from tfutil import randomness, summary


def rnd(*shape, seed=0):
    return np.random.RandomState(seed).randn(*shape)


# ------------------------------------------------------------ NumPy

def np_lrelu(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


def np_pixel_norm(x):
    return x / np.sqrt(np.mean(x ** 2, axis=1, keepdims=True) + 1e-8)


def np_conv(x, w):
    """Convolve [N, C, H, W] with [k, k, C, D], with zero padding."""
    return np.stack([[
        sum(scipy.signal.correlate2d(plane, w[:, :, c, d], 'same') for c, plane in enumerate(one))
        for d in range(w.shape[3])
    ] for one in x])


def np_batch_norm(x, v, prefix):
    """In training. x [N, C, ...]."""
    axes = tuple(a for a in range(x.ndim) if a != 1)
    shape = [1, -1] + [1] * (x.ndim - 2)
    x = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-4)
    return x * v[prefix + '/BatchNorm/gamma'].reshape(shape) + v[prefix +
                                                                 '/BatchNorm/beta'].reshape(shape)


def np_layer_norm(x, v, prefix):
    axes = tuple(range(1, x.ndim))
    x = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-4)
    return x * v[prefix + '/LayerNorm/gain'] + v[prefix + '/LayerNorm/bias'].reshape([1, -1] + [1] *
                                                                                     (x.ndim - 2))


def np_minibatch_discrimination(x, theta, log_scale, bias):
    w = theta * np.exp(log_scale) / np.sqrt((theta ** 2).sum(axis=0))
    points = np.tensordot(x, w, 1)
    f = np.zeros([len(x), theta.shape[1]])
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                f[i] += np.exp(-np.abs(points[i] - points[j]).sum(axis=1))
    return np.concatenate([x, f + bias], axis=1)


def np_mbstd(x):
    return np.concatenate(
        [x, np.full([len(x), 1, *x.shape[2:]],
                    np.sqrt(x.var(axis=0) + 1e-8).mean())], axis=1)


def np_up(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def np_down(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))


def random_network(func, **options):
    """A network with random variables, and their values in float64."""
    net = tfutil.Network(func, f'networks.{func}', **options)
    random = np.random.RandomState(3)
    for name, var in net.trainables.items():
        net.set_var(
            name,
            random.randn(*var.shape) * 0.5 + (0.7 if 'gamma' in name or 'gain' in name else 0))
    return net, {name: net.get_var(name).astype(np.float64) for name in net.vars}


# ------------------------------------------------------------ single layers

@pytest.mark.parametrize('shape', [(6, 3, 4, 5), (7, 5)])
def test_batch_norm(shape):
    """Statistics of the minibatch in training, running averages (momentum 0.9) in evaluation."""
    norm, x = theano_layers.BatchNorm(shape[-1]), 3 * rnd(*shape) + 1
    norm.build()
    norm.gamma.assign(rnd(shape[-1], seed=1))
    norm.beta.assign(rnd(shape[-1], seed=2))
    axes = tuple(range(len(shape) - 1))
    gamma, beta = norm.gamma.numpy().astype(np.float64), norm.beta.numpy().astype(np.float64)
    mean, inv_std, running = x.mean(axis=axes), 1 / np.sqrt(x.var(axis=axes) + 1e-4), (np.zeros(
        shape[-1]), np.ones(shape[-1]))
    for _ in range(3):
        y = norm(tf.constant(x, tf.float32), training=True)
        assert max_abs(y, (x - mean) * inv_std * gamma + beta) <= 1e-5
        running = running[0] * 0.9 + mean * 0.1, running[1] * 0.9 + inv_std * 0.1
        assert max_abs(norm.mean.numpy(), running[0]) <= 1e-6 and max_abs(
            norm.inv_std.numpy(), running[1]) <= 1e-6
    for training in (False, None):
        y = norm(tf.constant(x, tf.float32), training=training)
        assert max_abs(y, (x - running[0]) * running[1] * gamma + beta) <= 1e-5
    assert max_abs(norm.mean.numpy(), running[0]) <= 1e-6  # evaluation does not change them
    assert [v.name for v in norm.trainable_variables] == ['beta', 'gamma']


@pytest.mark.parametrize('shape', [(6, 3, 4, 5), (7, 5)])
def test_layer_norm(shape):
    norm, x = theano_layers.LayerNorm(shape[-1]), 3 * rnd(*shape) + 1
    norm.build()
    assert norm.gain.shape == ()
    norm.gain.assign(1.7)
    norm.bias.assign(rnd(shape[-1], seed=1))
    expected = [(one - one.mean()) / np.sqrt(one.var() + 1e-4) * 1.7
                for one in x] + norm.bias.numpy().astype(np.float64)
    assert max_abs(norm(tf.constant(x, tf.float32)), expected) <= 1e-5


def made_minibatch_discrimination(scale=0.3):
    layer = theano_layers.MinibatchDiscrimination(6, 4)
    layer.build()
    assert layer.theta.shape == (6, 4,
                                 5) and (layer.bias.numpy()
                                         == -1).all() and not layer.log_weight_scale.numpy().any()
    layer.log_weight_scale.assign(rnd(4, 5, seed=1) * scale)
    return layer


def test_minibatch_discrimination():
    layer, x = made_minibatch_discrimination(), rnd(7, 6)
    layer.bias.assign(rnd(4, seed=2))
    values = [
        var.numpy().astype(np.float64) for var in (layer.theta, layer.log_weight_scale, layer.bias)
    ]
    assert max_abs(layer(tf.constant(x, tf.float32)), np_minibatch_discrimination(x,
                                                                                  *values)) <= 1e-5


def test_minibatch_discrimination_starts_from_data():
    """Salimans et al.: half the mean nearest distance becomes 1, and the features' mean 0."""
    layer, x = made_minibatch_discrimination(), 20 * rnd(50, 6)
    layer.initialize_from(tf.constant(x, tf.float32))
    theta, log_scale, bias = (var.numpy().astype(np.float64)
                              for var in (layer.theta, layer.log_weight_scale, layer.bias))
    points = np.tensordot(x, theta * np.exp(log_scale) / np.sqrt((theta ** 2).sum(axis=0)), 1)
    distances = np.abs(points[:, None] - points[None]).sum(axis=3) + 1e9 * np.eye(50)[:, :, None]
    assert max_abs(distances.min(axis=1).mean(axis=0), 2) <= 1e-4
    assert max_abs(layer(tf.constant(x, tf.float32))[:, 6:].numpy().mean(axis=0), 0) <= 1e-5
    before = rnd(4, 5, seed=1) * 0.3
    # one factor per kernel
    assert max_abs(log_scale - before, np.tile((log_scale - before)[:, :1], 5)) <= 1e-5
    layer.initialize_from(tf.ones([5, 6]))  # identical samples
    assert all(np.isfinite(var.numpy()).all() for var in layer.variables)


def test_multiplicative_noise():
    noise = theano_layers.MultiplicativeNoise(name='gdrop')
    noise.build()
    x = tf.ones([4000, 2, 1, 9])
    assert max_abs(noise(x, training=True), x) == 0  # strength 0
    noise.strength.assign(0.1)
    assert max_abs(noise(x, training=False), x) == 0
    y = noise(x, training=True).numpy()
    assert max_abs(y[:, 0], y[:, 1]) == 0  # one factor per channel and sample
    assert y[:, 0, 0].std(axis=0) == pytest.approx(
        [0.1 * 3] * 9, rel=0.06) and y.mean() == pytest.approx(1, abs=0.01)


def test_the_noises_strength_follows_a_running_average():
    noise = theano_layers.MultiplicativeNoise(name='gdrop')
    noise.build()
    average = 0.0
    for signal in [0.9, 3.0, -2.0, 5.0, *[1.0] * 9, 0.9]:
        noise.follow(tf.constant(signal), 0.2)
        average = 0.9 * average + 0.1 * np.clip(signal, 0, 1)
        assert noise.average.numpy() == pytest.approx(average, rel=1e-5)
        assert noise.strength.numpy() == pytest.approx(0.2 * max(average - 0.5, 0)**2, rel=1e-4,
                                                       abs=1e-9)
    assert noise.strength.numpy() > 0


# ------------------------------------------------------------ networks

def test_generator_with_batch_norm_relu_and_tanh():
    """The ablation's generator at 4x4."""
    G, v = random_network('G_paper', num_channels=3, resolution=4, fmap_base=16, fmap_max=6,
                          latent_size=5, label_size=2, use_wscale=False, use_batchnorm=True,
                          use_pixelnorm=False, use_leakyrelu=False, normalize_latents=False,
                          tanh_at_end=0.8)
    z, labels = rnd(7, 5), np.eye(2)[[0, 1, 0, 0, 1, 1, 0]]
    x = (np.concatenate([z, labels], axis=1) @ v['4x4/Dense/weight']).reshape(7, -1, 4, 4)
    x = np.maximum(np_batch_norm(x, v, '4x4/Dense'), 0)
    x = np.maximum(np_batch_norm(np_conv(x, v['4x4/Conv/weight']), v, '4x4/Conv'), 0)
    x = np_conv(x, v['ToRGB_lod0/weight']) + v['ToRGB_lod0/bias'].reshape(1, -1, 1, 1)
    images = G.get_output_for(tf.constant(z, tf.float32), tf.constant(labels, tf.float32),
                              is_training=True)
    assert max_abs(images, np.tanh(x) * 0.8) <= 1e-5
    assert '4x4/Dense/bias' not in G.vars


@pytest.mark.parametrize('kernels', [None, 3])
def test_discriminator_with_layer_norm_and_minibatch_discrimination(kernels):
    """The ablation's discriminator at 8x8, without minibatch stddev."""
    D, v = random_network('D_paper', num_channels=3, resolution=8, fmap_base=16, fmap_max=6,
                          use_wscale=False, use_layernorm=True, fused_scale=False, mbstat_avg=None,
                          mbdisc_kernels=kernels, use_gdrop=True)
    images = rnd(5, 3, 8, 8)
    x = np_lrelu(
        np_conv(images, v['FromRGB_lod0/weight']) + v['FromRGB_lod0/bias'].reshape(1, -1, 1, 1))
    for name in ('8x8/Conv0', '8x8/Conv1'):
        x = np_lrelu(np_layer_norm(np_conv(x, v[f'{name}/weight']), v, name))
    x = np_lrelu(np_layer_norm(np_conv(np_down(x), v['4x4/Conv/weight']), v, '4x4/Conv'))
    x = np_lrelu(np_layer_norm(x.reshape(5, -1) @ v['4x4/Dense0/weight'], v, '4x4/Dense0'))
    if kernels:
        x = np_minibatch_discrimination(
            x,
            *(v[f'4x4/MinibatchDiscrimination/{n}'] for n in ('theta', 'log_weight_scale', 'bias')))
    scores = D.get_output_for(tf.constant(images, tf.float32), is_training=True)[0]
    assert max_abs(scores, x @ v['4x4/Dense1/weight'] + v['4x4/Dense1/bias']) <= 2e-5
    assert not any('MinibatchStddev' in name for name, *_ in D.list_layers())


@pytest.mark.parametrize('ournorm', [False, True])
@pytest.mark.parametrize('lod', [None, 0, 0.4, 1])
def test_mode_recovery_generator(ournorm, lod):
    """lod None: without progression. Images have their full size, 16x16."""
    G, v = random_network('G_mnist_mode_recovery', num_channels=3, resolution=16, fmap_base=24,
                          latent_size=5, label_size=2, progressive=lod is not None,
                          use_wscale=ournorm, use_pixelnorm=ournorm, use_batchnorm=not ournorm)
    if lod is not None:
        G.set_var('lod', lod)
    z = np.concatenate([rnd(5, 5), np.eye(2)[[0, 1, 0, 0, 1]]], axis=1)

    def scaled(name, gain=np.sqrt(2)):
        w = v[f'{name}/weight']
        return w * gain / np.sqrt(np.prod(w.shape[:-1])) if ournorm else w

    def after(x, name):
        x = x + v[f'{name}/bias'].reshape(1, -1, 1, 1) if ournorm else np_batch_norm(x, v, name)
        return np_pixel_norm(np_lrelu(x, 0.3)) if ournorm else np_lrelu(x, 0.3)

    def to_rgb(x, name):
        return np_conv(x, scaled(name, 1.0)) + v[f'{name}/bias'].reshape(1, -1, 1, 1)

    x = after((np_pixel_norm(z) @ scaled('4x4/Dense',
                                         np.sqrt(2) / 4)).reshape(5, 64, 4, 4), '4x4/Dense')
    low = x = after(np_conv(np_up(x), scaled('8x8/Conv')), '8x8/Conv')
    assert x.shape[1] == 12  # nf(1)
    x = after(np_conv(np_up(x), scaled('16x16/Conv')), '16x16/Conv')
    assert x.shape[1] == 6  # nf(2)
    images = to_rgb(x, 'ToRGB_lod0')
    if lod:
        images = images * (1 - lod) + np_up(to_rgb(low, 'ToRGB_lod1')) * lod
    # all layers blended, and those that the lod needs
    for stage in ([None, 'current'] if lod is not None else ['current']):
        result = G.get_output_for(tf.constant(z[:, :5], tf.float32),
                                  tf.constant(z[:, 5:], tf.float32), is_training=True, stage=stage)
        assert max_abs(result, np.tanh(images)) <= 2e-5


@pytest.mark.parametrize('mbstat_avg', [None, 'all'])
@pytest.mark.parametrize('lod', [None, 0, 0.4, 1])
def test_mode_recovery_discriminator(mbstat_avg, lod):
    D, v = random_network('D_mnist_mode_recovery', num_channels=3, resolution=16, fmap_base=48, X=4,
                          mbstat_avg=mbstat_avg, progressive=lod is not None, use_batchnorm=lod
                          is None)
    if lod is not None:
        D.set_var('lod', lod)
    images = rnd(5, 3, 16, 16)

    def conv(x, name):
        x = np_conv(x, v[f'{name}/weight'])
        return np_down(
            np_lrelu(
                np_batch_norm(x, v, name) if lod is None else x +
                v[f'{name}/bias'].reshape(1, -1, 1, 1)))

    def from_rgb(x, name):
        return np_lrelu(np_conv(x, v[f'{name}/weight']) + v[f'{name}/bias'].reshape(1, -1, 1, 1))
    x = conv(images if lod is None else from_rgb(images, 'FromRGB_lod0'), '16x16/Conv')
    assert x.shape[1] == 3  # 48 / 4 / 2^2
    if lod:
        x = x * (1 - lod) + from_rgb(np_down(images), 'FromRGB_lod1') * lod
    x = conv(x, '8x8/Conv')
    assert x.shape[1] == 6  # 48 / 4 / 2
    x = np_mbstd(x) if mbstat_avg else x
    expected = x.reshape(5, -1) @ v['4x4/Dense/weight'] + v['4x4/Dense/bias']
    for stage in ([None, 'current'] if lod is not None else ['current']):
        scores, labels = D.get_output_for(tf.constant(images, tf.float32), is_training=True,
                                          stage=stage)
        assert max_abs(scores, expected) <= 2e-5 and labels.shape == [5, 0]


def test_mode_recovery_networks_have_the_papers_sizes():
    """Metz et al.: 64, 32, 16, 8 maps in G; 8K, 16K, 32K in D."""
    G = tfutil.Network('G', 'networks.G_mnist_mode_recovery')
    assert G.input_shapes == [[None, 64], [None, 0]] and G.output_shape == [None, 3, 32, 32]
    assert [G.vars[f'{r}x{r}/Conv/weight'].shape[3] for r in (8, 16, 32)] == [32, 16, 8]
    assert G.vars['ToRGB_lod0/weight'].shape == [3, 3, 8, 3] and 'ToRGB_lod1/weight' not in G.vars
    for X, fmaps in ((4, [2, 4, 8]), (2, [4, 8, 16])):
        D = tfutil.Network('D', 'networks.D_mnist_mode_recovery', X=X)
        assert [D.vars[f'{r}x{r}/Conv/weight'].shape[3] for r in (32, 16, 8)] == fmaps
        assert D.vars['4x4/Dense/weight'].shape == [fmaps[-1] * 16, 1]


def test_a_network_that_does_not_grow_is_not_cut():
    G = tfutil.Network('G', 'networks.G_mnist_mode_recovery', resolution=16)
    G.set_var('lod', 1.0)
    with pytest.raises(tfutil.network.ConfigError, match='only its full resolution, 16x16. Set '
                                                         'sched.lod_initial_resolution = 16'):
        G.get_output_for(tf.zeros([2, 64]))


@pytest.mark.parametrize(
    'func, options, text',
    [('D_paper', dict(mbstat_avg='spatial'), "mbstat_avg must be 'all' or None"),
     ('D_mnist_mode_recovery', dict(mbstat_avg='spatial'), "mbstat_avg must be 'all' or None"),
     ('D_mnist_mode_recovery', dict(X=0), 'X must be above 0'),
     ('D_mnist_mode_recovery', dict(X=64), 'no feature maps are left')])
def test_impossible_options_are_refused(func, options, text):
    with pytest.raises(tfutil.network.ConfigError, match=text):
        tfutil.Network('x', f'networks.{func}', **options)


def test_parameter_counts_of_the_papers_networks():
    """Table 2 of the paper: 23.1 M parameters in each network at 1024x1024."""
    for func in ('G_paper', 'D_paper'):
        net = tfutil.Network(func, f'networks.{func}', num_channels=3, resolution=1024)
        assert round(sum(np.prod(v.shape) for v in net.trainables.values()) / 1e6, 1) == 23.1


# ------------------------------------------------------------ least squares

class Scores:
    """Stand-in for a network with given outputs: D's scores and labels, or G's images."""

    def __init__(self, *outputs, labels=0, model=None):
        self.outputs, self.output_shapes, self.model = list(outputs), [[None, 1], [None,
                                                                                   labels]], model
        self.input_shapes = [[None, 3]]

    def get_output_for(self, *inputs, **options):
        assert options == {'is_training': True}
        return self.outputs.pop(0)


@pytest.mark.parametrize('labels', [0, 4])
def test_least_squares_losses(labels):
    real, fake = rnd(6, 1), rnd(6, 1, seed=1)
    real_logits, fake_logits = rnd(6, labels, seed=2), rnd(6, labels, seed=3)
    given = np.eye(max(labels, 1))[[0, 0, 0, 0, 0, 0]][:, :labels]
    as_output = [(tf.constant(s, tf.float32), tf.constant(g, tf.float32))
                 for s, g in ((real, real_logits), (fake, fake_logits))]

    def entropy(logits):
        return np.log(np.exp(logits).sum(axis=1)) - logits[:, 0] if labels else 0.0
    gdrop = theano_layers.MultiplicativeNoise(name='gdrop')
    gdrop.build()
    gdrop.average.assign(0.8)
    model = type('Model', (), dict(gdrop=gdrop))
    with summary.collecting():
        D_loss = loss.D_lsgan_acgan(Scores(None), Scores(*as_output, labels=labels,
                                                         model=model), None, None, 6, None,
                                    tf.constant(given, tf.float32), cond_weight=0.5)
        G_loss = loss.G_lsgan_acgan(Scores(None), Scores(as_output[1], labels=labels), None, None,
                                    6, cond_weight=0.5, labels=tf.constant(given, tf.float32))
    assert D_loss.shape == G_loss.shape == [6]
    expected = real[:, 0]**2 + 0.1 * (fake[:, 0] - 1)**2 + 0.5 * (entropy(real_logits) +
                                                                  entropy(fake_logits))
    assert max_abs(D_loss, expected) <= 1e-5
    assert max_abs(G_loss, fake[:, 0] ** 2 + 0.5 * entropy(fake_logits)) <= 1e-5
    average = 0.9 * 0.8 + 0.1 * np.clip(fake.mean(), 0, 1)
    assert gdrop.strength.numpy() == pytest.approx(0.2 * (average - 0.5) ** 2, rel=1e-4)


def test_noise_is_a_function_of_seed_and_step():
    D = tfutil.Network('D', 'networks.D_paper', num_channels=1, resolution=4, fmap_base=16,
                       fmap_max=4, use_gdrop=True)
    D.set_var('gdrop/strength', 0.3)
    images = tf.constant(rnd(4, 1, 4, 4), tf.float32)

    def scores(step):
        with randomness.keyed(1, step):
            return D.get_output_for(images, is_training=True)[0]
    assert max_abs(scores(1), scores(1)) == 0 and max_abs(scores(1), scores(2)) > 1e-3
    assert max_abs(D.run(images.numpy())[0], D.run(images.numpy())[0]) == 0
