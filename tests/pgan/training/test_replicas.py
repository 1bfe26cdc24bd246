"""Training on several devices gives the same result as one device with the same shares."""
import numpy as np
import pytest
import tensorflow as tf

import dataset
import loss
import tfutil
from pgan.training.step import UpdateOptions
from tests.support.networks import max_abs, moment
from tests.support.replica_inputs import (
    GENTLE,
    ONE_DEVICE,
    Noise,
    in_shares,
    make_steps,
    train,
    weights,
)
from tests.support.toy_runs import make_toy
from tfutil import randomness
from tfutil.devices import make_devices, replica_copies


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('replicas, lod, labels', [(2, 0.5, 0), (4, 1, 3)])
def test_replicas_compute_what_one_device_computes_from_their_shares(replicas, lod, labels):
    """Compare statistics and weights after 12 steps, with the minibatch stddev groups and draws of
    each share. Tolerance 1e-4; observed 1e-6.
    """
    devices = make_devices(replicas)
    together = make_steps(devices, Noise(16, 1, label_size=labels), **GENTLE)
    alone = make_steps(ONE_DEVICE, Noise(16, 1, label_size=labels),
                       in_shares(loss.G_wgan_acgan, replicas),
                       in_shares(loss.D_wgangp_acgan, replicas), **GENTLE)
    alone.key_streams = replicas
    before = weights(alone)
    expected, received = train(alone, lod, 12, lrate=0.01), train(together, lod, 12, lrate=0.01)
    assert expected.keys() == received.keys(
    ) and 'Loss/mixed_norms' in expected and 'TrainG/overflow_frequency' in expected
    for tag in expected:
        assert received[tag] == pytest.approx(expected[tag], abs=1e-4, rel=1e-4), tag
    after, ours = weights(alone), weights(together)
    assert max(max_abs(before[name], after[name]) for name in after) > 0.03
    for name in after:
        assert max_abs(after[name], ours[name]) <= 1e-4, name


@pytest.mark.slow
def test_the_reference_tells_shares_from_a_whole():
    """Sensitivity of the test above: without per-replica groups and draws, the numbers differ."""
    losses = loss.D_wgangp_acgan, in_shares(loss.D_wgangp_acgan, 2)
    whole, shares = (make_steps(D_loss=D_loss, **GENTLE) for D_loss in losses)
    shares.key_streams = 2
    whole, shares = (train(steps, 2, 3) for steps in (whole, shares))
    assert abs(whole['Loss/fake_scores'] - shares['Loss/fake_scores']) > 1e-3


def recording(seen):
    """A D loss that records the reals and draws of each replica, by its index."""
    def D_loss(G, D, opt, training_set, minibatch_size, reals, labels):
        def note(replica, *arrays):
            seen.setdefault(int(replica), []).append(arrays)
            return np.float32(0)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        noted = tf.numpy_function(
            note,
            [replica, reals, labels, randomness.normal([minibatch_size, 4])], tf.float32)
        return D.get_output_for(reals, is_training=True)[0][:, 0] + noted
    return D_loss


@pytest.mark.slow
@pytest.mark.parametrize('replicas', [1, 2, 4])
def test_no_image_is_seen_twice_in_an_epoch_and_none_is_missed(replicas, in_tmp):
    """Count two epochs of 40 images; labels stay with their images, and every replica has its own
    draws.
    """
    make_toy(resolution=16, channels=1)
    training_set = dataset.TFRecordDataset('datasets/toy', max_label_size='full', random_seed=1)
    originals = training_set.read_images(range(40))
    seen = {}
    steps = make_steps(make_devices(replicas), training_set, D_loss=recording(seen))
    for _ in range(10):
        steps.step('D', moment(0, 8, 0.001))
    assert sorted(seen) == list(range(replicas)) and all(
        len(calls) == 10 for calls in seen.values())
    by_step = [
        np.concatenate([np.rint((seen[r][i][0] + 1) * 127.5)
                        for r in range(replicas)]).astype(np.uint8) for i in range(10)
    ]
    numbers = [
        int(np.flatnonzero((originals == image).all(axis=(1, 2, 3)))[0]) for images in by_step
        for image in images
    ]
    assert sorted(numbers[:40]) == sorted(numbers[40:]) == list(
        range(40)) and numbers[:40] != numbers[40:]
    labels = np.concatenate(
        [np.concatenate([seen[r][i][1] for r in range(replicas)]) for i in range(10)])
    assert (labels.argmax(axis=1) == np.array(numbers) % 3).all()
    draws = [seen[r][i][2] for r in range(replicas) for i in range(10)]
    assert len({draw.tobytes() for draw in draws}) == len(draws)


@pytest.mark.parametrize('parts', [1, 2, 4])
def test_processes_share_minibatches_between_them(parts, in_tmp):
    """Each worker reads its own part and all stay in step, across the end of an epoch and a change
    of size and resolution.
    """
    make_toy()
    whole, *each = [
        dataset.TFRecordDataset('datasets/toy', max_label_size='full', random_seed=4)
        for _ in range(parts + 1)
    ]
    for size, lod in [(12, 2), (12, 2), (12, 2), (12, 2), (8, 1.5), (16, 0)]:
        for data in (whole, *each):
            data.configure(size, lod)
        images, labels = whole.get_minibatch_tf()
        shares = [data.get_minibatch_tf(i, parts) for i, data in enumerate(each)]
        assert max_abs(tf.concat([share[0] for share in shares], axis=0), images) == 0
        assert max_abs(tf.concat([share[1] for share in shares], axis=0), labels) == 0
        assert {data.position for data in each} == {whole.position}


@pytest.mark.slow
@pytest.mark.parametrize('bad', [np.inf, np.nan])
def test_an_overflow_on_one_device_stops_the_update_on_all(bad):
    """Weights, moments and step count are unchanged, the scale drops by one step on all replicas,
    and the next update succeeds.
    """
    devices = make_devices(2)
    spoilt = tf.Variable(0)

    def D_loss(D, reals, **others):
        here = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 1) & tf.equal(
            spoilt, 1)
        return D.get_output_for(reals)[0][:, 0] * tf.where(here, tf.constant(bad, tf.float32), 1.0)

    steps = make_steps(devices, D_loss=D_loss, use_loss_scaling=True, loss_scaling_init=8.0,
                       loss_scaling_inc=0.25, loss_scaling_dec=2.0)

    def state():
        opt = steps.D_opt
        variables = [
            *steps.D.vars.values(), opt.beta1_power, opt.beta2_power,
            *(slot for pair in opt.slots.values() for slot in pair)
        ]
        return [copy.numpy() for var in variables for copy in replica_copies(var)]

    def scales():
        return [copy.numpy() for copy in replica_copies(steps.D_opt.loss_scaling)]

    train(steps, 1, 1)
    before, (scale, *_) = state(), scales()
    assert scale == 8.25
    spoilt.assign(1)
    assert train(steps, 1, 1)['TrainD/overflow_frequency'] == 1
    assert all(np.array_equal(a, b)
               for a, b in zip(before, state())) and set(scales()) == {scale - 2}
    spoilt.assign(0)
    assert train(steps, 1, 1)['TrainD/overflow_frequency'] == 0
    assert not all(np.array_equal(a, b)
                   for a, b in zip(before, state())) and set(scales()) == {scale - 1.75}
    weights(steps)


@pytest.mark.slow
def test_statistics_are_of_all_devices_and_told_once():
    """With a loss that reports the replica's index, 16 samples of 0 to 3 have the mean 1.5."""
    devices = make_devices(4)

    def D_loss(D, reals, minibatch_size, **others):
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
        tfutil.autosummary('Test/replica', tf.fill([minibatch_size], replica))
        return D.get_output_for(reals)[0][:, 0]
    steps = make_steps(devices, D_loss=D_loss)
    tfutil.summary.flush()
    steps.step('D', moment(1, 16, 0.25))
    assert tfutil.summary.state()['Test/replica'] == [24.0, 16.0]
    assert tfutil.summary.flush()['TrainD/learning_rate'] == 0.25


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize('replicas, lod', [(1, 0.5), (2, 1)])
def test_xla_gives_the_same_numbers(replicas, lod):
    """Same result with and without XLA, including the draws: tolerance 1e-4 after 5 steps."""
    devices = make_devices(replicas)
    options = [UpdateOptions(mirror_augment=True, xla=xla) for xla in (False, True)]
    expected, compiled = [
        make_steps(devices, Noise(8, 1), options=own, resolution=8, **GENTLE) for own in options
    ]
    assert train(compiled, lod, 5, lrate=0.01) == pytest.approx(train(expected, lod, 5, lrate=0.01),
                                                                abs=1e-4)
    theirs, ours = weights(expected), weights(compiled)
    assert all(max_abs(theirs[name], ours[name]) <= 1e-4 for name in theirs)


@pytest.mark.slow
def test_what_xla_cannot_compile_is_said():
    steps = make_steps(D_loss=recording({}), options=UpdateOptions(xla=True))
    with pytest.raises(tfutil.devices.ConfigError,
                       match='train.xla = True.*PyFunc.*Set train.xla = '
                       'False'):
        train(steps, 2, 1)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_batch_statistics_of_ones_own_generator(tmp_path, monkeypatch):
    """Keras's batch normalization on two devices trains, and its running averages are equal on
    both.
    """
    (tmp_path / 'own_batchnorm.py').write_text('''
import keras

def G(num_channels, resolution, label_size, **kwargs):
    z, labels = keras.Input([8], name='latents_in'), keras.Input([label_size], name='labels_in')
    x = keras.layers.BatchNormalization()(keras.layers.Dense(num_channels * resolution ** 2)(z))
    shape = [num_channels, resolution, resolution]
    return keras.Model([z, labels], keras.layers.Reshape(shape, name='images_out')(x))
''')
    monkeypatch.syspath_prepend(str(tmp_path))
    devices = make_devices(2)
    steps = make_steps(devices, Noise(16, 1))
    with devices.strategy.scope():
        G = tfutil.Network('G', 'own_batchnorm.G', num_channels=1, resolution=16, label_size=0)
        opts = [tfutil.Optimizer(name) for name in ('TrainG', 'TrainD')]
        steps = type(steps)([G, steps.D, G.clone('Gs')], opts,
                            [loss.G_wgan_acgan, loss.D_wgangp_acgan], steps.training_set,
                            UpdateOptions(G_smoothing=0.9, random_seed=3), devices)
    before = weights(steps)
    train(steps, 1, 3)
    steps.step('D', moment(1, 16, 0.001))  # Gs copies them in that step
    after = weights(steps)
    moved = {name for name in after if max_abs(before[name], after[name]) > 0}
    assert any('moving_mean' in name for name in moved) and any('dense' in name for name in moved)
    averages = [name for name in after if name.startswith('G/') and 'moving' in name]
    assert averages and all(
        max_abs(after[name], after[name.replace('G/', 'Gs/', 1)]) == 0 for name in averages)
