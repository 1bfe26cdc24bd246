"""loss.py compared with the original's losses and gradients, at full resolution (as in the
original) and at the stage's own (as in training).
"""
import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import loss
import tfutil
from pgan.nn import fused_convolutions, layers, sharing
from tests.support.golden import ROOT, load_json, load_npz
from tests.support.networks import max_abs, network_from
from tfutil import Stage, summary
from tfutil.fusion import fusing

CASES = load_json('losses.json')['cases']


class GivenLabels:
    """Stand-in for a training set that returns the labels drawn by the original."""

    def __init__(self, labels):
        self.labels = labels

    def get_random_labels_tf(self, n):
        return tf.constant(self.labels)


def load(case):
    info, data = CASES[case], load_npz(f'losses-{case}.npz')
    nets = [
        network_from(data, f'{n}/', info[f'{n}_func'], info[f'{n}_static_kwargs'], n) for n in 'GD'
    ]
    return info, data, *nets


def views(G, D, mode, lod):
    """Networks as the loss gets them: all layers at full resolution, or one stage at its own
    resolution.
    """
    if mode == 'full':
        return G, D, lambda x: x
    stage = Stage.of(lod, G.model.resolution)
    return G.at_stage(stage, native=True), D.at_stage(
        stage), lambda x: x[:, :, ::2**stage.floor_lod, ::2**stage.floor_lod]


@contextlib.contextmanager
def evaluating_as(mode, monkeypatch, *views):
    """Evaluate networks in a given mode. All modes must give the same numbers.

    'full': kernels computed for each evaluation, else once. 'parts': the minibatch in two parts.
    '4x4': the original's kernels. 'fused': small operations compiled by XLA, as on GPUs.
    """
    with contextlib.ExitStack() as stack:
        monkeypatch.setattr(fused_convolutions, 'kernels_hold_the_box', lambda: '4x4' in mode)
        stack.enter_context(fusing('fused' in mode))
        if mode != 'full':
            stack.enter_context(sharing.evaluating(2 if mode == 'parts' else 1))
        if 'fused' in mode:
            for view in views:
                layers.make_kernels(view)
        yield


def check(key, actual, data, info):
    assert max_abs(actual, np.reshape(data[key],
                                      np.shape(actual))) <= info['accuracy'][key]['atol'], key


def check_gradients(which, gradients, net, data, info):
    """Within the measured tolerances (rtol 1e-4 or better), a tenth of those required."""
    for (name, var), g in zip(net.trainables.items(), gradients, strict=True):
        expected = data[f'{which}_loss/grad/{name}']
        actual = np.zeros(var.shape) if g is None else g.numpy()
        bound = info[f'{which}_grad_rtol'] * np.abs(expected).max() + info[f'{which}_grad_atol']
        assert max_abs(actual, expected) <= bound, name


# XLA takes long to compile
FUSED = [('lod0.4', 'fused'), ('truncated-labels-lod0', 'fused 4x4')]


def cases_in(usual, others):
    """Each case in the usual ways; the first one in the other ways, too."""
    for case in CASES:
        marks = [] if case == next(iter(CASES)) else [pytest.mark.exhaustive]
        for way in usual:
            yield case, *way
        for way in others:
            yield pytest.param(case, *way, marks=marks)


def G_cases():
    yield from cases_in([('full', True, False), ('native', False, False)],
                        [('native', True, True), ('parts', True, False), ('4x4', True, False)])
    for fused in FUSED:
        yield *fused, True, True


@pytest.mark.first(3, rest='slow')
@pytest.mark.parametrize('case, mode, compiled, scaling', [*G_cases()])
def test_G_loss(case, mode, compiled, scaling, monkeypatch):
    info, data, G, D = load(case)
    G_view, D_view, _ = views(G, D, mode, info['lod'])
    opt = tfutil.Optimizer('TrainG', use_loss_scaling=scaling, loss_scaling_init=8.0)
    labels = GivenLabels(data['G_loss/labels'])

    def compute_loss():
        with evaluating_as(mode, monkeypatch, G_view, D_view):
            return loss.G_wgan_acgan(G_view, D_view, opt, labels, info['minibatch'],
                                     latents=data['G_loss/latents'], **info['G_loss_kwargs'])

    def compute():
        with fusing('fused' in mode):
            return opt.compute_gradients(compute_loss, list(G.trainables.values()))
    values, gradients = tf.function(compute, autograph=False)() if compiled else compute()
    assert values.shape == [info['minibatch']]
    check('G_loss/loss_mean', tf.reduce_mean(values), data, info)
    assert max_abs(values,
                   data['G_loss/loss_per_sample']) <= info['accuracy']['G_loss/loss']['atol']
    unscaled = [None if g is None else opt.undo_loss_scaling(g) for g in gradients]
    check_gradients('G', unscaled, G, data, info)


def D_cases():
    yield from cases_in([('full', False), ('native', False)],
                        [('native', True), ('parts', False), ('4x4', False)])
    for fused in FUSED:
        yield *fused, True


@pytest.mark.first(3, rest='slow')
@pytest.mark.parametrize('case, mode, scaling', [*D_cases()])
def test_D_loss(case, mode, scaling, monkeypatch):
    info, data, G, D = load(case)
    G_view, D_view, shrink = views(G, D, mode, info['lod'])
    opt = tfutil.Optimizer('TrainD', use_loss_scaling=scaling, loss_scaling_init=8.0)

    def compute_loss():
        with evaluating_as(mode, monkeypatch, G_view, D_view):
            return loss.D_wgangp_acgan(G_view, D_view, opt, None, info['minibatch'],
                                       tf.constant(shrink(data['D_loss/reals'])),
                                       data['D_loss/labels'], latents=data['D_loss/latents'],
                                       mixing_factors=data['D_loss/mixing_factors'],
                                       **info['D_loss_kwargs'])

    @tf.function(autograph=False)
    def compute():
        with fusing('fused' in mode), summary.collecting() as collected:
            values, gradients = opt.compute_gradients(compute_loss, list(D.trainables.values()))
            return values, gradients, collected.statistics()
    values, gradients, statistics = compute()
    assert values.shape == [info['minibatch']]
    check('D_loss/loss_mean', tf.reduce_mean(values), data, info)
    assert max_abs(values,
                   data['D_loss/loss_per_sample']) <= info['accuracy']['D_loss/loss']['atol']
    check_gradients('D', [None if g is None else opt.undo_loss_scaling(g) for g in gradients], D,
                    data, info)

    reported = {
        tag.split('/')[1]: s / n
        for tag, (s, n) in zip(statistics.tags, statistics.values.numpy())
    }
    expected = {'real_scores', 'fake_scores', 'mixed_scores', 'mixed_norms', 'epsilon_penalty'}
    expected |= {'label_penalty_reals', 'label_penalty_fakes'
                 } if info['label_mode'] != 'none' else set()
    assert set(reported) == expected
    for name in expected:
        key = f'D_loss/{name}'
        assert abs(reported[name] - data[key].mean()) <= info['accuracy'][key]['atol'], name


@pytest.mark.slow
def test_with_determinism_on_they_are_the_same():
    """The same tests in a process with TF_DETERMINISTIC_OPS, where TensorFlow's own cross-entropy
    has another gradient.
    """
    done = subprocess.run([
        sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', __file__,
        '-k', 'native and (truncated or lod2.6)'
    ], env={**os.environ, 'TF_DETERMINISTIC_OPS': '1'}, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and '4 passed' in done.stdout, done.stdout


@pytest.mark.parametrize('dtype', ['float64', 'int32', 'uint8'])
def test_labels_of_other_types(dtype):
    """A label file may contain any numbers."""
    labels = np.array([[0, 1, 0], [0, 0, 0]])
    logits = tf.constant([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])
    expected = loss.label_penalty(tf.constant(labels, tf.float32), logits)
    assert max_abs(loss.label_penalty(tf.constant(labels.astype(dtype)), logits), expected) == 0


@pytest.mark.slow
def test_without_given_draws_the_losses_draw_by_seed_and_step():
    _, data, G, D = load('base-lod0')
    opt, labels = tfutil.Optimizer(), GivenLabels(np.zeros([4, 0], np.float32))

    @tf.function
    def value(step):
        with tfutil.randomness.keyed(7, step):
            return loss.G_wgan_acgan(G, D, opt, labels, 4)
    first, again, other = [value(tf.constant(step)).numpy() for step in (1, 1, 2)]
    assert max_abs(first, again) == 0 and max_abs(first, other) > 1e-3


def test_a_loss_may_call_functions_of_its_own():
    """A tf.function nested in the compiled step has its own tensors: neither statistics nor shared
    kernels may leak out of it.
    """
    _, data, G, D = load('base-lod0')
    opt, labels = tfutil.Optimizer(), GivenLabels(np.zeros([4, 0], np.float32))
    nested = tf.function(
        lambda z: tfutil.autosummary('nested', loss.G_wgan_acgan(G, D, opt, labels, 4, latents=z)))

    @tf.function
    def step(z):
        with summary.collecting() as collected, sharing.evaluating():
            return nested(z) + loss.G_wgan_acgan(G, D, opt, labels, 4,
                                                 latents=z), collected.statistics()
    summary.flush()
    values, _ = step(data['G_loss/latents'])
    assert max_abs(values, 2 * data['G_loss/loss_per_sample']) <= 1e-4
    assert summary.flush()['nested'] == pytest.approx(data['G_loss/loss_mean'], abs=1e-4)
