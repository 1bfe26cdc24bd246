"""Adversarial losses: WGAN-GP (paper, Appendix A.1) and LSGAN (Appendix B), each with an auxiliary
classifier.

A loss takes the networks as compiled for one growth stage and returns one value per sample, float32
[N]; the optimizer minimizes the mean. Images are NCHW in the networks' dynamic range. Their
resolution may be the stage's own or the full one; both give the same losses.
"""
from collections.abc import Sequence
from typing import Any, TypeAlias

from tfutil import (  # first: it sets Keras's backend
    Network,
    NetworkAtStage,
    Optimizer,
    autosummary,
    fp32,
    lerp,
    randomness,
)

# isort: split
import tensorflow as tf

from pgan.options import Count, NonNegative, Positive, Supplied, SuppliedIfTaken
from tfutil.network import defined_by_its_class

AnyNetwork: TypeAlias = Network | NetworkAtStage


def G_wgan_acgan(
    G: Supplied[Any],
    D: Supplied[Any],
    opt: Supplied[Any],
    training_set: Supplied[Any],
    minibatch_size: Supplied[Count],
    cond_weight: NonNegative = 1.0,
    latents: SuppliedIfTaken[Any] = None,
    labels: SuppliedIfTaken[Any] = None,
    augment: SuppliedIfTaken[Any] = None,
) -> tf.Tensor:
    """Generator's loss: -D(G(z)), plus the cross-entropy of D's label logits if there are labels.

    Args:
        G, D: `tfutil.Network`, or a view of one at a stage.
        opt: the generator's optimizer (unused here; losses that differentiate need its loss
            scaling).
        training_set: source of the random labels.
        minibatch_size: number of samples.
        cond_weight: weight of the label term.
        latents, labels: replace the random draws, [N, latent size] and [N, label size].
        augment: `pgan.training.augment.Augmentation` of D's inputs; None = no augmentation.
    """
    return _generator_loss(lambda scores: -scores, G, D, training_set, minibatch_size, cond_weight,
                           latents, labels, augment)


def D_wgangp_acgan(
    G: Supplied[Any],
    D: Supplied[Any],
    opt: Supplied[Any],
    training_set: Supplied[Any],
    minibatch_size: Supplied[Count],
    reals: Supplied[Any],
    labels: Supplied[Any],
    wgan_lambda: NonNegative = 10.0,
    wgan_epsilon: NonNegative = 0.001,
    wgan_target: Positive = 1.0,
    cond_weight: NonNegative = 1.0,
    latents: SuppliedIfTaken[Any] = None,
    mixing_factors: SuppliedIfTaken[Any] = None,
    augment: SuppliedIfTaken[Any] = None,
) -> tf.Tensor:
    """Discriminator's loss: D(fake) - D(real), plus gradient penalty and drift penalty.

    With labels, the cross-entropies of the reals and fakes are added.

    Args:
        reals: images in the networks' dynamic range, [N, C, r, r].
        labels: labels of the reals, [N, label size]; G gets the same labels.
        wgan_lambda, wgan_target: weight and target of the gradient penalty, wgan_lambda /
            wgan_target^2 * (norm - wgan_target)^2.
        wgan_epsilon: weight of D(real)^2, which keeps the scores from drifting (Appendix A.1).
        latents, mixing_factors: replace the random draws, [N, latent size] and [N, 1, 1, 1] in
            [0, 1).

    The others are those of `G_wgan_acgan`.
    """
    latents = _latents(G, minibatch_size, latents)
    if mixing_factors is None:
        mixing_factors = randomness.uniform([minibatch_size, 1, 1, 1])
    reals, fake_images = _reals_and_fakes(G, reals, labels, latents, augment)
    real_scores, fake_scores, logits = _judge(D, reals, fake_images)

    # The penalty interpolates between the images that D is shown, augmented or not.
    reals, fake_images = fp32(reals, fake_images)
    mixed_images = lerp(reals, fake_images, mixing_factors)
    mixed_norms = autosummary('Loss/mixed_norms', gradient_norms(D, opt, mixed_images))
    gradient_penalty = tf.square(mixed_norms - wgan_target) * (wgan_lambda / wgan_target ** 2)
    epsilon_penalty = autosummary('Loss/epsilon_penalty', tf.square(real_scores))

    loss = fake_scores - real_scores + gradient_penalty + epsilon_penalty * wgan_epsilon
    return _with_label_penalties(loss, D, labels, logits, cond_weight)


def G_lsgan_acgan(
    G: Supplied[Any],
    D: Supplied[Any],
    opt: Supplied[Any],
    training_set: Supplied[Any],
    minibatch_size: Supplied[Count],
    cond_weight: NonNegative = 1.0,
    latents: SuppliedIfTaken[Any] = None,
    labels: SuppliedIfTaken[Any] = None,
    augment: SuppliedIfTaken[Any] = None,
) -> tf.Tensor:
    """Generator's least-squares loss: D(G(z))^2, plus the label term of `G_wgan_acgan`.

    D is trained to give 0 for reals. Same arguments as `G_wgan_acgan`.
    """
    return _generator_loss(tf.square, G, D, training_set, minibatch_size, cond_weight, latents,
                           labels, augment)


def D_lsgan_acgan(
    G: Supplied[Any],
    D: Supplied[Any],
    opt: Supplied[Any],
    training_set: Supplied[Any],
    minibatch_size: Supplied[Count],
    reals: Supplied[Any],
    labels: Supplied[Any],
    L2_fake_weight: NonNegative = 0.1,
    gdrop_coef: NonNegative = 0.2,
    cond_weight: NonNegative = 1.0,
    latents: SuppliedIfTaken[Any] = None,
    augment: SuppliedIfTaken[Any] = None,
) -> tf.Tensor:
    """Discriminator's least-squares loss: D(real)^2 + L2_fake_weight * (D(fake) - 1)^2.

    With labels, the cross-entropies of the reals and fakes are added. With D's option use_gdrop,
    the loss also sets the strength of D's noise: it grows as D recognizes fakes better.

    Args:
        L2_fake_weight: weight of the fakes.
        gdrop_coef: the strength of the noise is gdrop_coef * max(a - 0.5, 0)^2, with a = running
            average of D(fake), clipped to [0, 1].

    The others are those of `D_wgangp_acgan`.
    """
    latents = _latents(G, minibatch_size, latents)
    real_scores, fake_scores, logits = _judge(
        D, *_reals_and_fakes(G, reals, labels, latents, augment))
    gdrop = getattr(D.model, 'gdrop', None)
    if gdrop is not None:
        gdrop.follow(tf.reduce_mean(fake_scores), gdrop_coef)
        autosummary('Loss/gdrop_strength', tf.convert_to_tensor(gdrop.strength))

    loss = tf.square(real_scores) + tf.square(fake_scores - 1.0) * L2_fake_weight
    return _with_label_penalties(loss, D, labels, logits, cond_weight)


# --------------------------------------------------------------------------------------------------
# Shared parts of the losses.

def _latents(G, minibatch_size, latents):
    """Return `latents`, or a minibatch of random latents if it is None."""
    if latents is not None:
        return latents
    return randomness.normal([minibatch_size, *G.input_shapes[0][1:]])


def _generator_loss(loss_of, G, D, training_set, minibatch_size, cond_weight, latents, labels,
                    augment):
    """Evaluate G and D; return `loss_of` D's scores [N], with the label term added."""
    latents = _latents(G, minibatch_size, latents)
    labels = training_set.get_random_labels_tf(minibatch_size) if labels is None else labels
    fake_images = G.get_output_for(latents, labels, is_training=True)
    if augment is not None:
        fake_images, = augment(fake_images)
    scores, logits = fp32(*D.get_output_for(fake_images, is_training=True))
    loss = loss_of(scores[:, 0])
    if has_labels(D):
        loss += label_penalty(labels, logits) * cond_weight
    return loss


def _reals_and_fakes(G, reals, labels, latents, augment):
    """Return the reals and the same number of fakes, both augmented."""
    fake_images = G.get_output_for(latents, labels, is_training=True)
    return (reals, fake_images) if augment is None else augment(reals, fake_images)


def _judge(D, reals, fakes):
    """Evaluate D on real images and fakes.

    Returns:
        (scores [N] of the reals, scores [N] of the fakes, pair of their label logits).
    """
    (real_scores, real_logits), (fake_scores, fake_logits) = evaluate_both(D, reals, fakes)
    real_scores = autosummary('Loss/real_scores', real_scores[:, 0])
    fake_scores = autosummary('Loss/fake_scores', fake_scores[:, 0])
    return real_scores, fake_scores, (real_logits, fake_logits)


def _with_label_penalties(loss, D, labels, logits, cond_weight):
    """Return D's loss plus the cross-entropies of reals and fakes if D has label logits."""
    if has_labels(D):
        for which, each in zip(('reals', 'fakes'), logits):
            penalty = autosummary(f'Loss/label_penalty_{which}', label_penalty(labels, each))
            loss += penalty * cond_weight
    return loss


def evaluate_both(D: AnyNetwork, reals: tf.Tensor,
                  fakes: tf.Tensor) -> Sequence[Sequence[tf.Tensor]]:
    """Return D's outputs for two minibatches: float32 (scores [N, 1], label logits [N, label size])
    for each.

    Uses a single evaluation if D keeps minibatches apart: half the number of operations, each on
    twice the number of images.
    """
    if not defined_by_its_class(D.model,
                                'keeps_minibatches_apart') or not D.model.keeps_minibatches_apart:
        return [fp32(*D.get_output_for(images, is_training=True)) for images in (reals, fakes)]
    outputs = fp32(
        *D.get_output_for(tf.concat(fp32(reals, fakes), axis=0), minibatches=2, is_training=True))
    return list(zip(*(tf.split(output, 2) for output in outputs)))


def gradient_norms(D: AnyNetwork, opt: Optimizer, images: tf.Tensor) -> tf.Tensor:
    """Per-sample norm [N] of the gradient of D's score with respect to the full-resolution image.

    The original differentiates with respect to the full-resolution image. `images` may be 2^f times
    smaller. In the up-scaled image, replicated pixels share the gradient, so its norm is 2^f times
    smaller than that of `images`. Divide by 2^f accordingly.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = autosummary('Loss/mixed_scores',
                             fp32(D.get_output_for(images, is_training=True)[0]))
        scaled = opt.apply_loss_scaling(tf.reduce_sum(scores))
    gradients = opt.undo_loss_scaling(fp32(tape.gradient(scaled, images)))
    native_norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]))
    return native_norms / (D.input_shapes[0][-1] // images.shape[-1])


def has_labels(D: AnyNetwork) -> bool:
    """Whether the discriminator has label logits."""
    return D.output_shapes[1][1] > 0


def label_penalty(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy [N] of label logits.

    Its gradient is softmax(logits) - labels even for all-zero rows of truncated labels, because the
    original learns from such rows. With determinism on, the gradient of TensorFlow's own operation
    differs there.
    """
    labels = tf.cast(labels, logits.dtype)

    @tf.custom_gradient
    def cross_entropy(logits):
        log_probs = tf.nn.log_softmax(logits)
        return -tf.reduce_sum(labels * log_probs,
                              axis=1), lambda dy: dy[:, None] * (tf.exp(log_probs) - labels)
    return cross_entropy(logits)
