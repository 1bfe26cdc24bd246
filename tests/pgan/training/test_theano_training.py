"""Training features that only the Theano version had: ramps, dequantized reals, joint updates,
initialization from reals, batch statistics.
"""
import math
import types

import numpy as np
import pytest
import tensorflow as tf

import loss
import tfutil
from pgan.errors import ConfigError
from pgan.training import loop
from pgan.training.reals import initialize_from_reals
from pgan.training.schedule import TrainingSchedule
from pgan.training.step import TrainingSteps, UpdateOptions
from tests.support.networks import max_abs, moment
from tests.support.replica_inputs import Noise
from tfutil import randomness, summary
from tfutil.devices import make_devices, replica_copies
from train import process_reals

SET_32 = types.SimpleNamespace(resolution_log2=5)
OPTIONS = dict(num_channels=1, resolution=8, fmap_base=16, fmap_max=4)


# ------------------------------------------------------------ schedule and reals

def rates(kimg, **options):
    s = TrainingSchedule(round(kimg * 1000), SET_32, G_lrate_base=0.002, D_lrate_dict={4: 0.003},
                         **options)
    return [s.G_lrate / 0.002, s.D_lrate / 0.003]


@pytest.mark.parametrize('kimg', [0, 1, 20, 39.999, 40, 41, 9000])
def test_rampup(kimg):
    p = kimg / 40
    factor = math.exp(-5 * (1 - p) ** 2) if p < 1 else 1
    assert rates(kimg, rampup_kimg=40, lod_training_kimg=1e6) == pytest.approx([factor] * 2,
                                                                               rel=1e-12)


@pytest.mark.parametrize('kimg, factor', [(0, 1), (70, 1), (80, 1), (85, 0.75), (99, 0.05),
                                          (100, 0), (101, 0)])
def test_rampdown(kimg, factor):
    assert rates(kimg, rampdown_kimg=20, total_kimg=100,
                 lod_training_kimg=1e6) == pytest.approx([factor] * 2, abs=1e-12)


def test_both_ramps_and_none():
    both = rates(5, rampup_kimg=10, rampdown_kimg=10, total_kimg=10, lod_training_kimg=1e6)
    assert both == pytest.approx([math.exp(-1.25) * 0.5] * 2, rel=1e-12)
    assert rates(5, total_kimg=10, lod_training_kimg=1e6) == [1, 1]


@pytest.mark.parametrize('lod', [0, 0.5])
def test_dequantized_reals(lod):
    """Noise over the whole range between two pixel values, added to the stored values."""
    images = np.random.RandomState(0).randint(0, 256, size=[64, 3, 8, 8]).astype(np.uint8)
    plain = process_reals(images, lod, False, [0, 255], [0, 255]).numpy()
    with randomness.keyed(1, 2):
        noise = process_reals(images, lod, False, [0, 255], [0, 255],
                              dequantize=True).numpy() - plain
    assert np.abs(noise).max() <= 0.5 + 1e-4 and abs(noise.mean()) < 0.01
    if lod == 0:
        assert noise.min() < -0.49 and noise.max() > 0.49 and noise.std() == pytest.approx(
            1 / math.sqrt(12), rel=0.02)
    with randomness.keyed(1, 2):
        scaled = process_reals(images, lod, False, [0, 255], [-1, 1], dequantize=True).numpy()
    assert max_abs(scaled, (plain + noise) / 127.5 - 1) <= 1e-5


# ------------------------------------------------------------ updates

def networks(**options):
    rnd = np.random.RandomState(5)
    nets = [tfutil.Network(name, f'networks.{name}_paper', **OPTIONS, **options) for name in 'GD']
    for net in nets:
        for name, var in net.trainables.items():
            net.set_var(name, rnd.randn(*var.shape))
    return nets


# With a large epsilon, Adam's first step is proportional to the gradient; with a small one it
# equals the learning rate for any gradient.
PROPORTIONAL = dict(beta1=0.0, beta2=0.99, epsilon=1.0)


def steps_of(nets, D_loss=loss.D_wgangp_acgan, G_loss=loss.G_wgan_acgan, training_set=None,
             devices=None, **options):
    opts = [tfutil.Optimizer(f'Train{name}', **PROPORTIONAL) for name in 'GD']
    return TrainingSteps([*nets, nets[0].clone('Gs')], opts, [G_loss, D_loss],
                         training_set or Noise(8, 1),
                         UpdateOptions(G_smoothing=0.9, random_seed=3, **options), devices)


def update(net, rate, loss_of):
    """One update of a network with a loss (a function of the optimizer)."""
    opt = tfutil.Optimizer(net.name, **PROPORTIONAL)
    with summary.collecting():
        opt.register_gradients(lambda: loss_of(opt), list(net.trainables.values()))
        opt.apply_updates(rate)


@pytest.mark.slow
@pytest.mark.parametrize('lod', [0.0, 0.5])
def test_joint_updates_start_from_the_same_networks_and_latents(lod):
    """Each network moves as it would in a separate update, from the same starting point and with
    the latents that both losses used.
    """
    G, D = networks()
    before = [net.clone() for net in (G, D)]
    seen = [tf.Variable(tf.zeros([4, G.input_shape[1]])) for _ in 'DG']

    def D_loss(latents, **others):
        seen[0].assign(latents)
        return loss.D_wgangp_acgan(latents=latents, mixing_factors=tf.fill([4, 1, 1, 1], 0.3),
                                   **others)

    def G_loss(latents, labels, **others):
        seen[1].assign(latents)
        return loss.G_wgan_acgan(latents=latents, labels=labels, **others)
    steps = steps_of([G, D], D_loss, G_loss, joint=True)
    steps.step('both', moment(lod, 4, 30.0, 2.0))
    assert max_abs(seen[0], seen[1]) == 0 and seen[0].numpy().std() > 0.5

    for net in before:
        net.set_var('lod', lod)
    reals = process_reals(Noise(8, 1)._read(0, 4, 0)[0], lod, False, [0, 255], [-1, 1])
    alone = [net.clone() for net in before]
    common = dict(training_set=None, minibatch_size=4, labels=tf.zeros([4, 0]),
                  latents=tf.convert_to_tensor(seen[0]))
    update(alone[0], 2.0, lambda opt: loss.G_wgan_acgan(G=alone[0], D=before[1], opt=opt, **common))
    update(
        alone[1], 30.0, lambda opt: loss.D_wgangp_acgan(G=before[0], D=alone[
            1], opt=opt, reals=reals, mixing_factors=tf.fill([4, 1, 1, 1], 0.3), **common))
    in_turns = before[0].clone()
    update(in_turns, 2.0, lambda opt: loss.G_wgan_acgan(G=in_turns, D=alone[1], opt=opt, **common))
    for net, expected, start in zip((G, D), alone, before):
        # float32 rounding of gradients through several layers: a thousandth of the step
        for name in net.trainables:
            step = expected.get_var(name) - start.get_var(name)
            assert max_abs(net.get_var(name),
                           expected.get_var(name)) <= 1e-3 * np.abs(step).max() + 1e-6, name
    step = alone[0].get_var('4x4/Conv/weight') - before[0].get_var('4x4/Conv/weight')
    apart = max_abs(in_turns.get_var('4x4/Conv/weight'), G.get_var('4x4/Conv/weight'))
    assert apart > 0.05 * np.abs(step).max() > 0  # not alternately
    follows = networks()[0].get_var('4x4/Conv/weight') * 0.9 + G.get_var('4x4/Conv/weight') * 0.1
    assert max_abs(steps.Gs.get_var('4x4/Conv/weight'), follows) <= 1e-5


def test_joint_updates_need_one_D_update_each():
    def options(separate_funcs, D_repeats):
        given = dict(G_smoothing=0.9, drange_net=[-1, 1], mirror_augment=False,
                     dequantize_reals=False, xla=False, augment=None, augment_target=0.5,
                     augment_kimg=100)
        return loop.update_options(
            types.SimpleNamespace(separate_funcs=separate_funcs, D_repeats=D_repeats, **given), 1,
            1)
    assert not options(True, 5).joint and options(False, 1).joint
    with pytest.raises(ConfigError, match='separate_funcs = False .*D_repeats must be 1. '
                                          'Received: 5'):
        options(False, 5)


@pytest.mark.slow
@pytest.mark.parametrize('count', [1, 2])
def test_batch_statistics_are_those_of_all_devices(count):
    """Running averages change in G and D updates, are equal on all devices, and are copied to Gs.
    """
    devices = make_devices(count)
    with devices.strategy.scope():
        G = tfutil.Network('G', 'networks.G_paper', **OPTIONS, use_batchnorm=True)
        D = tfutil.Network('D', 'networks.D_mnist_mode_recovery', num_channels=1, resolution=8, X=1)
        steps = steps_of([G, D], devices=devices)
    steps.step('G', moment(0.0, 8, 0.001))
    after_G = G.get_var('8x8/Conv1/BatchNorm/mean')
    steps.step('D', moment(0.0, 8, 0.001))
    for net, name in ((G, '8x8/Conv1/BatchNorm/mean'), (D, '8x8/Conv/BatchNorm/inv_std')):
        values = [copy.numpy() for copy in replica_copies(net.vars[name])]
        assert len(values) >= count and all(max_abs(value, values[0]) == 0 for value in values)
    assert np.abs(after_G).min() > 0 and max_abs(after_G, G.get_var('8x8/Conv1/BatchNorm/mean')) > 0
    assert max_abs(steps.Gs.get_var('8x8/Conv1/BatchNorm/mean'),
                   G.get_var('8x8/Conv1/BatchNorm/mean')) == 0
    assert D.get_var('8x8/Conv/BatchNorm/inv_std').std() > 0


@pytest.mark.slow
@pytest.mark.parametrize('lod', [0.0, 0.5, 1.0])
def test_minibatch_discrimination_looks_at_reals_first(lod):
    _, D = networks(mbdisc_kernels=3, mbstat_avg=None)
    D.set_var('lod', lod)
    before = {name: D.get_var(name) for name in D.vars}
    training_set = Noise(8, 1)
    initialize_from_reals(D, training_set, lod, [-1, 1], count=100)
    assert training_set.position == 100
    changed = {name for name in D.vars if max_abs(D.get_var(name), before[name]) > 0}
    assert changed == {
        '4x4/MinibatchDiscrimination/log_weight_scale', '4x4/MinibatchDiscrimination/bias'
    }
    reals = process_reals(
        Noise(8, 1)._read(0, 100, int(lod))[0], lod, False, [0, 255], [-1, 1], native=True)
    features = D.model._features(reals, D.stage).numpy()[:, -3:]
    assert max_abs(features.mean(axis=0), 0) <= 1e-4


def test_other_discriminators_are_left_alone():
    _, D = networks()
    training_set = Noise(8, 1)
    initialize_from_reals(D, training_set, 0.0, [-1, 1])
    assert training_set.position == 0


@pytest.mark.slow
def test_least_squares_with_noise_trains():
    """After a few updates nothing is NaN, and the strength of the noise follows D's score of fakes.
    """
    nets = networks(use_gdrop=True)
    steps = steps_of(nets, loss.D_lsgan_acgan, loss.G_lsgan_acgan, dequantize_reals=True)
    nets[1].set_var('gdrop/average', 0.9)
    summary.flush()
    for _ in range(3):
        steps.step('D', moment(0.0, 4, 0.001))
        steps.step('G', moment(0.0, 4, 0.001))
    told = summary.flush()
    assert 0 < told['Loss/gdrop_strength'] <= 0.2 * 0.5**2 and np.isfinite(told['Loss/fake_scores'])
    assert 0.9 ** 3 * 0.9 - 1e-6 <= nets[1].get_var('gdrop/average') <= 1
    assert all(np.isfinite(net.get_var(name)).all() for net in nets for name in net.vars)
