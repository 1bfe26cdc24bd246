"""Overfitting of the discriminator, and the probability of augmentation controlled by it.

Every few steps, D scores three minibatches: images it trains on, images held out from training
(`dataset.validation`), and fakes. A discriminator that generalizes gives held-out images the same
scores as training images. The more it has memorized, the closer their scores come to those of
fakes:

    signal = (real scores - held-out scores) / (real scores - fake scores),

0 without overfitting, 1 when a held-out image looks like a fake. This is r_v of Karras et al. 2020,
arXiv:2006.06676, section 3. Their other signal, the fraction of reals with a positive score, needs
scores that are logits. The scores of a Wasserstein critic have an arbitrary offset, so only
differences are meaningful, and the signal consists of differences.

With `train.augment = 'ada'` the probability of augmentation rises while the signal is above
`augment_target`, and falls while it is below.
"""
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfutil import autosummary, lerp
from tfutil.devices import set_in_replica

STEPS_BETWEEN = 16  # an observation costs less than a quarter of a step
DECAY = 0.9  # of the running means, per observation
MOST = 0.8  # above this, G learns the augmentation itself (Karras et al. 2020, section 2.2)


class Overfitting:
    """Running means of D's scores, and the probability of augmentation.

    Create it in the scope of the run's devices.

    Args:
        target: target of the signal; None = the probability stays 0.
        kimg: thousands of images in which the probability can rise from 0 to 1.

    Attributes:
        values: variable [3]: the probability, and running means of the differences between D's
            scores of reals and those of held-out images, and of fakes.
    """

    def __init__(self, target: float | None, kimg: float):
        self._target = target
        self._kimg = kimg
        self.values = tf.Variable(np.zeros(3, np.float32), trainable=False, name='overfitting')

    def probability(self) -> tf.Tensor:
        """Probability of each transformation of adaptive augmentation, a scalar."""
        return tf.convert_to_tensor(self.values)[0]

    def observe(self, reals: tf.Tensor, held_out: tf.Tensor, fakes: tf.Tensor,
                images: int) -> None:
        """Update the running means and the probability, inside a replica's step.

        Args:
            reals, held_out, fakes: D's mean scores over all devices, scalars.
            images: number of images shown since the last observation.
        """
        before = tf.convert_to_tensor(self.values)
        leads = lerp(tf.stack([reals - held_out, reals - fakes]), before[1:], DECAY)
        probability = before[0]
        if self._target is not None:
            # Compare without dividing: early in training, reals and fakes may have equal scores.
            # A Wasserstein critic scores fakes below reals. If D of a least-squares GAN scores them
            # above, both differences are negative, and the signal is the same.
            direction = tf.sign(leads[0] - self._target * leads[1]) * tf.sign(leads[1])
            probability = tf.clip_by_value(
                probability + direction * (images / (1000 * self._kimg)), 0.0, MOST)
            autosummary('Augment/probability', probability)
        set_in_replica(self.values, tf.concat([[probability], leads], axis=0))
        for name, score in (('real', reals), ('held_out', held_out), ('fake', fakes)):
            autosummary(f'Overfitting/{name}_scores', score)
        autosummary('Overfitting/signal', leads[0] / leads[1])

    def state(self) -> list[float]:
        """Values of the variable, for a checkpoint."""
        return [float(value) for value in self.values.numpy()]

    def restore(self, state: Sequence[float]) -> None:
        """Restore the result of `state`."""
        self.values.assign(np.asarray(state, np.float32))
