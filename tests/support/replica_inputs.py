"""Tiny networks that train on several devices, and the equivalent computation on one device."""
import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf

import dataset
import loss
import tfutil
from pgan.training.step import TrainingSteps, UpdateOptions
from tests.support.networks import moment
from tfutil import randomness
from tfutil.devices import Devices, replica_copies

OPTIONS = dict(num_channels=1, resolution=16, fmap_base=32, fmap_max=8)
ONE_DEVICE = Devices(tf.distribute.get_strategy())

# With an epsilon above the gradients, Adam's update is proportional to the gradient, so rounding
# stays small. With the usual epsilon it is the gradient's sign, which is arbitrary for gradients
# that are zero up to rounding.
GENTLE = dict(epsilon=1.0)


class Noise(dataset.SyntheticDataset):
    """Random images, a pure function of the position; labels cycle through three classes."""

    def _read(self, position, count, lod):
        images = [
            np.random.RandomState(position + i).randint(0, 256, self._shape_at(lod))
            for i in range(count)
        ]
        return np.stack(images).astype(np.uint8), np.eye(
            3, dtype=np.float32)[(position + np.arange(count)) % 3][:, :self.label_size]

    def get_random_labels_tf(self, minibatch_size):
        return tf.one_hot(randomness.integers([minibatch_size], 3), 3)[:, :self.label_size]


def in_shares(loss_func, count):
    """The loss that `count` devices compute on their shares of the minibatch, computed on one
    device.
    """
    def whole(*, minibatch_size, reals=None, labels=None, **others):
        key, losses = randomness._active.get(), []
        first = key.draws
        for i in range(count):
            share = {} if reals is None else dict(reals=tf.split(reals, count)[i], labels=tf.split(
                labels, count)[i])
            key.draws = first
            with mock.patch.object(randomness, '_replica', lambda i=i: i):
                losses.append(loss_func(minibatch_size=minibatch_size // count, **share, **others))
        return tf.concat(losses, axis=0)
    return whole


def make_steps(devices=ONE_DEVICE, training_set=None, G_loss=loss.G_wgan_acgan,
               D_loss=loss.D_wgangp_acgan, dtype='float32', options=UpdateOptions(), resolution=16,
               G={}, D={}, **opt):
    """Training steps of tiny networks whose weights depend only on the order of their names."""
    training_set = training_set or Noise(16, 1, label_size=3)
    rnd = np.random.RandomState(5)
    with devices.strategy.scope():
        nets = [
            tfutil.Network(name, f'networks.{name}_paper', label_size=training_set.label_size,
                           dtype=dtype, **{**OPTIONS, 'resolution': resolution}, **own)
            for name, own in (('G', G), ('D', D))
        ]
        for net in nets:
            for name, var in net.trainables.items():
                net.set_var(name,
                            rnd.randn(*var.shape) if 'weight' in name else np.zeros(var.shape))
        opts = [
            tfutil.Optimizer(f'Train{name}', **{**dict(beta1=0.0, beta2=0.99), **opt})
            for name in 'GD'
        ]
        options = dataclasses.replace(options, G_smoothing=0.9, random_seed=3)
        return TrainingSteps([*nets, nets[0].clone('Gs')], opts, [G_loss, D_loss], training_set,
                             options, devices)


def train(steps, lod, count, minibatch=16, lrate=0.001):
    """Run some D and G updates; return the means of the statistics."""
    tfutil.summary.flush()
    for _ in range(count):
        steps.step('DG', moment(lod, minibatch, lrate, lrate))
    return tfutil.summary.flush()


def weights(steps):
    """All variables of all three networks; checks that they are equal on all devices."""
    found = {}
    for net in (steps.G, steps.D, steps.Gs):
        for name, var in net.vars.items():
            values = [copy.numpy() for copy in replica_copies(var)]
            assert all(np.array_equal(value, values[0]) for value in values), name
            found[f'{net.name}/{name}'] = values[0]
    return found
