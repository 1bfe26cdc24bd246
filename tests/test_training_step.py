"""training/step.py: what one update moves, and what it leaves alone."""
import numpy as np
import pytest
from helpers import max_abs

import dataset
import loss
import tfutil
from training.step import TrainingSteps

OPTIONS = dict(num_channels=1, resolution=16, fmap_base=32, fmap_max=8)


def make(structure=None, smoothing=0.9, **options):
    training_set = dataset.SyntheticDataset(16, 1, **options)
    nets = [tfutil.Network(n, f'networks.{n}_paper', structure=structure, label_size=training_set.label_size, **OPTIONS) for n in 'GD']
    opts = [tfutil.Optimizer(f'Train{n}', beta1=0.0, beta2=0.99) for n in 'GD']
    steps = TrainingSteps(*nets, nets[0].clone('Gs'), *opts, loss.G_wgan_acgan, loss.D_wgangp_acgan, training_set, smoothing, [-1, 1],
                          False, random_seed=3)
    return steps, training_set


def values(net):
    return {name: net.get_var(name) for name in net.trainables}


def moved(before, net):
    return {name for name, value in before.items() if (value != net.get_var(name)).any()}


@pytest.mark.parametrize('lod, layers', [
    (2, {'4x4', 'RGB_lod2'}), (1.5, {'4x4', '8x8', 'RGB_lod2', 'RGB_lod1'}), (1, {'4x4', '8x8', 'RGB_lod1'}),
    (0, {'4x4', '8x8', '16x16', 'RGB_lod0'})])
def test_a_step_moves_the_layers_of_its_stage_and_no_others(lod, layers):
    steps, training_set = make()
    training_set.configure(8, lod)
    steps.set_lod(lod)
    before_G, before_D, before_Gs = values(steps.G), values(steps.D), values(steps.Gs)
    steps.train_D(lod, 8, 0.01)
    assert not moved(before_G, steps.G)
    assert {name.split('/')[0].removeprefix('From') for name in moved(before_D, steps.D)} == layers
    after_D = values(steps.D)
    steps.train_G(lod, 8, 0.01)
    assert not moved(after_D, steps.D)
    assert {name.split('/')[0].removeprefix('To') for name in moved(before_G, steps.G)} == layers
    assert not moved(before_Gs, steps.Gs)  # Gs follows at the next D update
    steps.train_D(lod, 8, 0.01)
    for name, old in before_Gs.items():
        expected = steps.G.get_var(name) + (old - steps.G.get_var(name)) * np.float32(0.9)
        assert max_abs(steps.Gs.get_var(name), expected) <= 1e-6, name
    assert steps.Gs.lod == lod


@pytest.mark.parametrize('lod', [2, 1.5, 0])
def test_linear_networks_train_to_the_same_weights(lod):
    """Full resolution and everything evaluated, against the stage alone: float32 rounding of two updates."""
    results = []
    for structure in ('linear', None):
        np.random.seed(0)
        steps, training_set = make(structure)
        rnd = np.random.RandomState(1)
        for net in (steps.G, steps.D):
            for name in net.trainables:
                net.set_var(name, rnd.randn(*net.vars[name].shape))
        training_set.configure(8, lod)
        steps.set_lod(lod)
        steps.train_D(lod, 8, 0.001)
        steps.train_G(lod, 8, 0.001)
        results.append((values(steps.G), values(steps.D)))
    for linear, staged in zip(*results):
        for name in linear:
            # Adam's first update is lr * sign(gradient): only gradients that are zero but for rounding may differ.
            assert np.mean(np.abs(linear[name] - staged[name]) > 1e-5) <= 0.01, name


def test_conditional_steps_draw_labels_of_the_data_set():
    steps, training_set = make(label_size=3)
    training_set.configure(8, 2)
    steps.set_lod(2)
    steps.train_D(2, 8, 0.01)
    steps.train_G(2, 8, 0.01)
    means = tfutil.summary.flush()
    assert np.isfinite(means['Loss/label_penalty_reals']) and np.isfinite(means['Loss/label_penalty_fakes'])
