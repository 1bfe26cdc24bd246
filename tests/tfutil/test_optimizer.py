"""tfutil/optimizer.py compared with trajectories of the original's optimizer: overflow, loss
scaling, averaging, reset.
"""
import numpy as np
import pytest
import tensorflow as tf

import tfutil
from tests.support.golden import load_npz
from tests.support.networks import max_abs

GOLDEN = load_npz('optimizer.npz')


def scenario(name):
    return {
        key[len(name) + 1:]: value
        for key, value in GOLDEN.items() if key.startswith(name + '/')
    }


@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('name', ['plain', 'scaled', 'averaged'])
def test_trajectory_is_the_originals(name, compiled):
    data = scenario(name)
    names = [str(n) for n in data['var_names']]
    variables = {n: tf.Variable(data[f'init/{n}'], dtype=tf.float32) for n in names}
    scaling = {
        key: data[key].item()
        for key in ('loss_scaling_init', 'loss_scaling_inc', 'loss_scaling_dec') if key in data
    }
    opt = tfutil.Optimizer('Train', use_loss_scaling=name == 'scaled', beta1=data['beta1'].item(),
                           beta2=data['beta2'].item(), epsilon=data['epsilon'].item(), **scaling)
    opt.create_slots(list(variables.values()))

    def step(gradients, rate):
        for tower in range(data['towers']):
            # A linear loss whose gradient is exactly the stored one; it does not depend on d.
            # compute_gradients takes the mean of the loss, so the loss is a scalar.
            opt.register_gradients(
                lambda tower=tower: tf.add_n(
                    [tf.reduce_sum(variables[n] * gradients[n][tower]) for n in 'abc']),
                list(variables.values()))
        return opt.apply_updates(rate)
    step = tf.function(step) if compiled else step

    for t, kind in enumerate(data['step_kind']):
        if data['reset_before_step'][t]:
            opt.reset_optimizer_state()
        gradients = {n: tf.constant(data[f'grads/{n}'][t]) for n in 'abc'}
        applied = step(gradients, tf.constant(data['lrate'][t], tf.float32))
        assert bool(applied) != bool(data['skipped'][t]), (t, kind)
        for n in names:
            np.testing.assert_allclose(variables[n].numpy(), data[f'value/{n}'][t], rtol=1e-5,
                                       atol=2e-6)
            m, v = opt.slots[variables[n].ref()]
            largest = np.nanmax(
                np.abs(np.where(np.isfinite(data[f'grads/{n}']), data[f'grads/{n}'], 0)), initial=0)
            assert max_abs(m.numpy(), data[f'm/{n}'][t]) <= 1e-6 * max(largest, 1), (t, n)
            np.testing.assert_allclose(v.numpy(), data[f'v/{n}'][t], rtol=1e-5,
                                       atol=1e-6 * max(largest, 1))
        assert opt.beta1_power.numpy() == pytest.approx(data['beta1_power'][t], abs=1e-7)
        assert opt.beta2_power.numpy() == pytest.approx(data['beta2_power'][t], rel=1e-5)
        if name == 'scaled':
            assert abs(opt.loss_scaling.numpy() - data['loss_scale_log2'][t]) <= 1e-4


def test_skipped_updates_are_counted():
    summary = tfutil.summary
    summary.flush()
    var = tf.Variable([1.0, 2.0])
    opt = tfutil.Optimizer('TrainX', beta1=0.0, beta2=0.99)
    for factor in (1.0, np.nan, np.inf, 1.0):
        opt.register_gradients(lambda factor=factor: tf.reduce_sum(var) * factor, [var])
        opt.apply_updates(0.1)
    means = summary.flush()
    assert means['TrainX/overflow_frequency'] == 0.5
    assert means['TrainX/learning_rate'] == pytest.approx(0.1)
    assert 'TrainX/loss_scaling_log2' not in means
    assert np.isfinite(var.numpy()).all()


def test_registrations_of_different_variables_are_all_applied():
    a, b = tf.Variable([1.0]), tf.Variable([1.0, 2.0])
    opt = tfutil.Optimizer(beta1=0.0, beta2=0.99)
    opt.register_gradients(lambda: tf.reduce_sum(a), [a])
    opt.register_gradients(lambda: tf.reduce_sum(b), [b])
    opt.apply_updates(0.1)
    assert a.numpy() < 1 and (b.numpy() < [1, 2]).all()
    with pytest.raises(ValueError, match='register_gradients'):
        opt.apply_updates(0.1)
