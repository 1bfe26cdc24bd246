"""What all growing networks share: widths, stages, blocks."""
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

ActivationType = Literal['float32', 'float16', 'bfloat16', 'float64']
Structure = Literal['linear', 'recursive', None]


class Width:
    """Feature maps of each stage: s = 1 is the 4x4 resolution, s = 0 the latents' and last dense
    layer's.
    """

    def __init__(self, fmap_base, fmap_decay, fmap_max):
        self.fmap_base = fmap_base
        self.fmap_decay = fmap_decay
        self.fmap_max = fmap_max

    def __call__(self, stage):
        fmaps = min(int(self.fmap_base / 2.0 ** (stage * self.fmap_decay)), self.fmap_max)
        if fmaps < 1:
            raise ValueError(f'no feature maps are left at {2 ** (stage + 1)}x{2 ** (stage + 1)}: '
                             f'fmap_base={self.fmap_base}, fmap_decay={self.fmap_decay}, '
                             f'fmap_max={self.fmap_max}. Raise fmap_base.')
        return fmaps


class GrowingModel(keras.Model):
    """A model with a lod: resolutions 4x4 (log2 2) to `resolution`, of which the last or the last
    two are active.
    """

    def __init__(self, name, num_channels, resolution, dtype, structure):
        super().__init__(name=name, dtype='float32', autocast=False)
        log2_resolution = int(np.log2(resolution))
        if resolution != 2 ** log2_resolution or resolution < 4:
            raise ValueError('resolution must be a power of two, at least 4. Received: '
                             f'resolution={resolution}')
        if dtype not in ('float32', 'float16', 'bfloat16', 'float64'):
            raise ValueError("dtype must be 'float32', 'float16' or 'bfloat16'. Received: "
                             f'dtype={dtype!r}')
        if structure not in (None, 'linear', 'recursive'):
            raise ValueError("structure must be None, 'linear' or 'recursive'. Received: "
                             f'structure={structure!r}')
        self.num_channels = num_channels
        self.resolution = resolution
        self.log2_resolution = log2_resolution
        self.activation_dtype = dtype
        self.structure = structure

    def describe_tensors(self, inputs, outputs):
        """Set `inputs` and `outputs` from dicts of name: shape without the minibatch axis."""
        self.inputs = [
            keras.KerasTensor((None, *shape), name=name) for name, shape in inputs.items()
        ]
        self.outputs = [
            keras.KerasTensor((None, *shape), name=name) for name, shape in outputs.items()
        ]

    def build_in_order(self, layers):
        """Create the variables: `lod`, then each layer's, so that paths and order are those of the
        pickles.

        Keras orders variables by which attribute holds their layer first: set no other attribute
        with layers before this call. """
        self.lod = self.add_weight(name='lod', shape=(), initializer='zeros', trainable=False)
        self.parts = layers
        for layer in layers:
            layer.build()

    def image_shape(self, log2_res=None):
        size = 2 ** (self.log2_resolution if log2_res is None else log2_res)
        return [self.num_channels, size, size]

    def lod_of(self, log2_res):
        """The lod at which a resolution is the full image."""
        return self.log2_resolution - log2_res

    def blend(self, fine, coarse, lod_of_fine):
        """Cross-fade: `fine` where the variable lod is at most lod_of_fine, `coarse` from one above
        it.
        """
        t = tf.clip_by_value(tf.convert_to_tensor(self.lod) - lod_of_fine, 0.0, 1.0)
        return fine + (coarse - fine) * tf.cast(t, fine.dtype)


class Block(keras.layers.Layer):
    """The layers of one resolution, by name and in order: '8x8' holds 'Conv0_up' and 'Conv1'."""

    def __init__(self, log2_res, layers):
        super().__init__(name=f'{2 ** log2_res}x{2 ** log2_res}', dtype='float32', autocast=False)
        self.parts = layers

    def build(self):
        for layer in self.parts:
            layer.build()


def suffixes():
    """'', '_1', '_2', ...: how repeated layers are told apart."""
    yield ''
    count = 0
    while True:
        count += 1
        yield f'_{count}'
