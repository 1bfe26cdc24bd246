"""Discriminator features, for comparing images."""
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError
from tfutil import Network

# Relative tolerance of squared distances below which features count as equal: the rounding of
# float32 sums differs between minibatches.
ROUNDING = 1e-10


def feature_function(D: Network, minibatch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Create a function from images to the activations of an inner layer of D.

    The activations are those that the model's method `features` returns. In the paper's networks
    this is the input of the 4x4 block: it depends on the whole image, keeps spatial information,
    and is independent of the other images. In later layers, minibatch stddev mixes images, and the
    dense layers keep only what separates real from fake. For models without `features`, it is the
    input of the last layer with variables.

    Args:
        D: the discriminator, evaluated at its current lod.
        minibatch_size: images per evaluation; smaller minibatches are padded by repetition.

    Returns:
        A function from uint8 [N, C, R, R], N at most minibatch_size, to float32 [N, features]. It
            raises ConfigError if D has no such features.
    """
    def features(images: np.ndarray) -> np.ndarray:
        count = len(images)
        # Minibatch stddev of a user-defined network may require complete groups.
        filled = images[np.arange(minibatch_size) % count]
        inputs = tf.constant(filled.astype(np.float32) / np.float32(127.5) - 1)
        own = getattr(D.model, 'features', None)
        found = own(inputs, D.stage) if own is not None else _input_of_last_layer(D, inputs)
        if found is None or found.shape.rank < 2 or found.shape[0] != minibatch_size:
            raise ConfigError(
                f'{D.name} has no features for comparing images. Expected Keras layers with '
                'variables, the last of which has an input of shape [N, ...]; or a method '
                'features(images, stage) of the model that returns such a tensor.')
        flat = tf.reshape(tf.cast(found, tf.float32), [minibatch_size, -1])
        return flat.numpy()[:count]
    return features


def _input_of_last_layer(D, images):
    """First input of the last-evaluated layer with variables; None if there is no such layer."""
    with noting_inputs(D.model) as inputs:
        D.get_output_for(images)
    return inputs[-1] if inputs else None


@contextlib.contextmanager
def noting_inputs(model: Any) -> Iterator[list[Any]]:
    """Record the inputs of the innermost layers with variables, in order of evaluation."""
    found: list[Any] = []
    layers = [layer for layer in model._flatten_layers(include_self=False)
              if layer.weights and not any(
                  inner.weights for inner in layer._flatten_layers(include_self=False))]

    def noting(call):
        def noted(*args, **kwargs):
            first = args[0] if args else next(iter(kwargs.values()), None)
            if tf.is_tensor(first):
                found.append(first)
            return call(*args, **kwargs)
        return noted
    for layer in layers:
        object.__setattr__(layer, 'call', noting(layer.call))
    try:
        yield found
    finally:
        for layer in layers:
            object.__delattr__(layer, 'call')
