"""Inner activations of a discriminator, by which images are compared."""
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError
from tfutil import Network

# Images whose features differ by less than this part of their squared length are taken for equal:
# float32 rounds sums differently from minibatch to minibatch.
ROUNDING = 1e-10


def feature_function(D: Network, minibatch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Function from images to the activations of an inner layer.

    The layer is the one that the build function's model names with `features`; of the paper's
    networks what enters the 4x4 block. It has seen the whole image, still knows what is where, and
    looks at no other image. Of the layers after it, minibatch stddev compares images, and the dense
    ones keep only what tells real from fake. Other models: what the last layer with variables gets.

    Args:
        D: the discriminator, evaluated at its current lod.
        minibatch_size: images of each evaluation; fewer are filled up.

    Returns:
        A function: uint8 [N, C, R, R], N at most minibatch_size, to float32 [N, features].

    Raises:
        ConfigError: (the function) no such layer was found.
    """
    def features(images: np.ndarray) -> np.ndarray:
        count = len(images)
        # minibatch stddev of a network of one's own may want whole groups
        filled = images[np.arange(minibatch_size) % count]
        inputs = tf.constant(filled.astype(np.float32) / np.float32(127.5) - 1)
        own = getattr(D.model, 'features', None)
        found = own(inputs, D.stage) if own is not None else _input_of_last_layer(D, inputs)
        if found is None or found.shape.rank < 2 or found.shape[0] != minibatch_size:
            raise ConfigError(
                f'{D.name} has no features to compare images by. Expected Keras layers with '
                'variables, of which the last one gets a tensor of shape [N, ...]; or a method '
                'features(images, stage) of the model, which gives one.')
        flat = tf.reshape(tf.cast(found, tf.float32), [minibatch_size, -1])
        return flat.numpy()[:count]
    return features


def _input_of_last_layer(D, images):
    """The first input of the layer with variables that a model evaluates last; None if it has no
    such layer.
    """
    with noting_inputs(D.model) as inputs:
        D.get_output_for(images)
    return inputs[-1] if inputs else None


@contextlib.contextmanager
def noting_inputs(model: Any) -> Iterator[list[Any]]:
    """Inputs of the innermost layers with variables, in the order of their evaluation."""
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
