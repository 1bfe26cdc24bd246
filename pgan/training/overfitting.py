"""How well the discriminator knows its images by heart, and the augmentation that follows from it.

Every few steps D is asked three times at the same moment: about images it trains on, about images
held out from it (`dataset.validation`), and about fakes. A discriminator that generalizes scores
held-out images like the others. The more it has memorised, the closer they come to the fakes:

    signal = (real scores - held-out scores) / (real scores - fake scores),

0 without overfitting, 1 when a held-out image looks like a fake. This is r_v of Karras et al. 2020,
arXiv:2006.06676, section 3. Their other signal, the share of reals with a positive score, needs
scores that are logits. The scores of a Wasserstein critic have no zero: only differences mean
something, and the signal consists of differences.

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
MOST = 0.8  # from here on augmentation itself would be learnt (Karras et al. 2020, section 2.2)


class Overfitting:
    """Running means of D's scores, and the probability of augmentation.

    Make it in the scope of the run's devices.

    Args:
        target: of the signal, or None: the probability stays 0.
        kimg: thousands of images in which the probability can rise from 0 to 1.

    Attributes:
        values: variable [3]: probability, and running means of what D's scores of reals are above
            those of held-out images, and above those of fakes.
    """

    def __init__(self, target: float | None, kimg: float):
        self._target = target
        self._kimg = kimg
        self.values = tf.Variable(np.zeros(3, np.float32), trainable=False, name='overfitting')

    def probability(self) -> tf.Tensor:
        """Of each transformation of adaptive augmentation, a scalar."""
        return tf.convert_to_tensor(self.values)[0]

    def observe(self, reals: tf.Tensor, held_out: tf.Tensor, fakes: tf.Tensor,
                images: int) -> None:
        """Take in D's mean scores, inside a replica's step.

        Args:
            reals, held_out, fakes: scalars, means over all devices.
            images: shown since the last observation.
        """
        before = tf.convert_to_tensor(self.values)
        leads = lerp(tf.stack([reals - held_out, reals - fakes]), before[1:], DECAY)
        probability = before[0]
        if self._target is not None:
            # Without a division: early in training D's lead over fakes may be nothing.
            # A critic scores fakes below reals, D of a least-squares GAN above: then the leads are
            # negative, and the signal is the same.
            direction = tf.sign(leads[0] - self._target * leads[1]) * tf.sign(leads[1])
            probability = tf.clip_by_value(
                probability + direction * (images / (1000 * self._kimg)), 0.0, MOST)
            autosummary('Augment/probability', probability)
        set_in_replica(self.values, tf.concat([[probability], leads], axis=0))
        for name, score in (('real', reals), ('held_out', held_out), ('fake', fakes)):
            autosummary(f'Overfitting/{name}_scores', score)
        autosummary('Overfitting/signal', leads[0] / leads[1])

    def state(self) -> list[float]:
        """The variable's values, for a checkpoint."""
        return [float(value) for value in self.values.numpy()]

    def restore(self, state: Sequence[float]) -> None:
        """Set the variable to what `state` gave."""
        self.values.assign(np.asarray(state, np.float32))
