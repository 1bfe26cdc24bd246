"""Half precision: training in float16 and bfloat16 follows training in float32, without overflow or
NaN.
"""
import numpy as np
import pytest
import tensorflow as tf

import dataset
import tfutil
from loss import D_wgangp_acgan, G_wgan_acgan
from pgan.nn import operations
from pgan.training.step import TrainingSteps, UpdateOptions
from tests.support.networks import moment


class Blobs(dataset.SyntheticDataset):
    """A bright spot on black; its position and size depend on the index."""

    def _generate_images(self, minibatch_size, lod, shape):
        rnd = np.random.RandomState(self.position)
        axis = np.linspace(-1, 1, shape[-1])
        x, y = rnd.uniform(-0.5, 0.5, [2, minibatch_size, 1, 1])
        size = rnd.uniform(0.2, 0.5, [minibatch_size, 1, 1])
        spots = np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / size ** 2)
        return (spots[:, None] * 255).astype(np.uint8)


FADING = 1.5  # from 4x4 to 8x8
SCALING = {'float16': dict(use_loss_scaling=True, loss_scaling_init=10.0)}


def train(dtype, lod, steps=200, scaling=None):
    """Statistics of each 20 updates, as {tag: [10 means]}, and the networks."""
    options = dict(num_channels=1, resolution=16, fmap_base=64, fmap_max=16, dtype=dtype)
    scaling = SCALING.get(dtype, {}) if scaling is None else scaling
    rnd = np.random.RandomState(1)
    nets = [
        tfutil.Network('G', 'networks.G_paper',
                       pixelnorm_epsilon=1e-4 if dtype == 'float16' else 1e-8, **options),
        tfutil.Network('D', 'networks.D_paper', **options)
    ]
    for net in nets:
        for name, var in net.trainables.items():
            net.set_var(name, rnd.randn(*var.shape) if 'weight' in name else np.zeros(var.shape))
    opts = [
        tfutil.Optimizer(name, beta1=0.0, beta2=0.99, **scaling) for name in ('TrainG', 'TrainD')
    ]
    run = TrainingSteps([*nets, nets[0].clone('Gs')], opts, [G_wgan_acgan, D_wgangp_acgan],
                        Blobs(16, 1), UpdateOptions(G_smoothing=0.9, random_seed=3))
    tfutil.summary.flush()
    means = []
    for i in range(steps):
        run.step('D', moment(lod, 8, 0.001))
        run.step('G', moment(lod, 8, 0.001))
        if i % 20 == 19:
            means.append(tfutil.summary.flush())
    return {tag: np.array([mean[tag] for mean in means]) for tag in means[0]}, run


@pytest.fixture(scope='module')
def in_float32():
    """Statistics of the same training in float32."""
    return train('float32', FADING)[0]


# Bounds on |difference| / (1 + largest value) over 200 updates. Observed over three seeds: 0.035
# and 0.13 (docs/distributed.md).
BOUNDS = {
    'Loss/mixed_norms': 0.05, 'Loss/real_scores': 0.15, 'Loss/fake_scores': 0.15,
    'Loss/mixed_scores': 0.15
}


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_precision_follows_single(dtype, in_float32):
    """While a stage fades in, the layers of both of its resolutions are evaluated."""
    expected, (received, run) = in_float32, train(dtype, FADING)
    for tag, bound in BOUNDS.items():
        distance = np.abs(received[tag] - expected[tag]).max() / (1 + np.abs(expected[tag]).max())
        assert distance <= bound, (tag, received[tag], expected[tag])
        assert np.ptp(expected[tag]) > 4 * bound  # they change by more than the bound allows
    assert received['TrainD/overflow_frequency'].max(
    ) <= 0.1 and received['TrainG/overflow_frequency'].max() <= 0.1
    for net in (run.G, run.D, run.Gs):
        for name, var in net.vars.items():
            assert var.dtype == tf.float32 and np.isfinite(net.get_var(name)).all(), name


@pytest.mark.slow
def test_float16_finds_its_scale_from_the_default():
    """Starting from 2^64, some fifty updates of each network overflow, as in the original, then
    almost none, and no progress is lost.
    """
    statistics, run = train('float16', 2, steps=100, scaling={'use_loss_scaling': True})
    for name in ('TrainD', 'TrainG'):
        skipped = statistics[f'{name}/overflow_frequency']
        assert 30 <= 20 * skipped[:3].sum() <= 60 and skipped[3:].max() <= 0.1, skipped
    for opt in (run.G_opt, run.D_opt):
        assert 8 <= opt.loss_scaling.numpy() <= 20
    assert all(
        np.isfinite(net.get_var(name)).all() for net in (run.G, run.D, run.Gs) for name in net.vars)


@pytest.mark.slow
def test_what_stays_in_float32_and_what_does_not():
    """Activations and their gradients have the network's dtype; losses, norms, minibatch statistics
    and gradients of weights are float32.
    """
    seen = {}

    def G_loss(G, D, opt, training_set, minibatch_size):
        images = G.get_output_for(tf.ones([minibatch_size, 8]))
        seen['images'] = images.dtype
        return D.get_output_for(images)[0][:, 0]

    nets = [
        tfutil.Network(name, f'networks.{name}_paper', num_channels=1, resolution=8, fmap_base=32,
                       fmap_max=8, dtype='float16') for name in 'GD'
    ]
    opt = tfutil.Optimizer('TrainG', use_loss_scaling=True, loss_scaling_init=4.0)
    loss_value, gradients = opt.compute_gradients(lambda: G_loss(*nets, opt, None, 4),
                                                  list(nets[0].trainables.values()))
    assert seen['images'] == tf.float16 and all(g.dtype == tf.float32
                                                for g in gradients if g is not None)
    # The square of a deviation of 3e-5 is below the range of float16, and below the 1e-8 under the
    # square root: the map shows its root, 1e-4.
    x = tf.constant(np.float32([[0.0], [6e-5], [0.0], [6e-5]]).reshape(4, 1, 1, 1), tf.float16)
    spread = operations.minibatch_stddev(x, 4)[..., 1]
    assert spread.dtype == tf.float16 and spread.numpy() == pytest.approx(
        np.sqrt(9e-10 + 1e-8), rel=2e-3)
