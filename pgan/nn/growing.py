"""Base of the growing networks: options, layers built from their specs, stages."""
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from pgan.nn.fused_convolutions import DownConv2D, UpConv2D
from pgan.nn.layers import Conv2D, Dense, DenseToImage
from pgan.nn.specs import Kind, LayerSpec, Options, block_name, with_variables
from pgan.nn.theano_layers import BatchNorm, LayerNorm, MinibatchDiscrimination
from tfutil import Stage

ActivationType = Literal['float32', 'float16', 'bfloat16', 'float64']
Structure = Literal['linear', 'recursive', None]

_CLASSES: dict[Kind, Callable[..., keras.layers.Layer]] = {
    Kind.CONV_3X3: Conv2D,
    Kind.CONV_1X1: functools.partial(Conv2D, kernel=1),
    Kind.UP: UpConv2D,
    Kind.DOWN: DownConv2D,
    Kind.DENSE_TO_IMAGE: DenseToImage,
    Kind.DENSE_OF_IMAGE: Dense,
    Kind.SCORES: Dense,
    Kind.MINIBATCH_DISCRIMINATION: lambda inputs, fmaps, **_: MinibatchDiscrimination(
        inputs, fmaps - inputs),
}
_NORMS = {None: None, 'BatchNorm': BatchNorm, 'LayerNorm': LayerNorm}


def make_layer(spec: LayerSpec, use_wscale: bool) -> keras.layers.Layer:
    """Build the Keras layer of a `LayerSpec`, which becomes its attribute `spec`."""
    layer = _CLASSES[spec.kind](spec.inputs, spec.fmaps, gain=spec.gain, use_wscale=use_wscale,
                                norm=_NORMS[spec.norm], name=spec.name.rpartition('/')[2])
    layer.spec = spec
    return layer


class GrowingModel(keras.Model):
    """Model with a lod: it grows from 4x4 (log2 2) to `resolution`.

    The active resolution is the highest one in use, or is blended with the one below. Subclasses
    describe their layers in `layer_specs` and create them with `build_layers`.

    Args:
        build_func: the model's build function; the model gets its name.
        keywords: dict of the function's keywords; the others have their defaults.

    Attributes:
        options: `specs.Options`.
        blocks: {log2 of the resolution: Block}.
    """

    def __init__(self, build_func: Callable[..., Any], keywords: Mapping[str, Any]):
        super().__init__(name=build_func.__name__, dtype='float32', autocast=False)
        options = Options(build_func, keywords)
        if options.dtype not in ('float32', 'float16', 'bfloat16', 'float64'):
            raise ValueError("dtype must be 'float32', 'float16' or 'bfloat16'. Received: "
                             f'dtype={options.dtype!r}')
        if options.structure not in (None, 'linear', 'recursive'):
            raise ValueError("structure must be None, 'linear' or 'recursive'. Received: "
                             f'structure={options.structure!r}')
        self.options = options
        self.resolution = options.resolution
        self.log2_resolution = options.top
        self.activation_dtype = options.dtype

    def describe_tensors(self, inputs: Mapping[str, Sequence[int]],
                         outputs: Mapping[str, Sequence[int]]) -> None:
        """Set `inputs` and `outputs` from dicts {name: shape without the minibatch axis}."""
        self.inputs, self.outputs = (
            [keras.KerasTensor((None, *shape), name=name) for name, shape in tensors.items()]
            for tensors in (inputs, outputs))

    def layer_specs(self) -> Iterable[LayerSpec]:
        """The `LayerSpec` of each layer, in the order of `Network.print_layers`."""
        raise NotImplementedError

    def layer_rows(self) -> list[tuple[str, list[int]]]:
        """(name, NCHW output shape without the minibatch axis) of each layer, for
        `Network.print_layers`.
        """
        return [(spec.name, spec.shape) for spec in self.layer_specs()]

    def build_layers(self, specs: Iterable[LayerSpec],
                     *more: keras.layers.Layer) -> dict[int, keras.layers.Layer]:
        """Create the layers and, in the given order, their variables; set `blocks`.

        Args:
            specs: `LayerSpec` of each layer; those without variables are skipped.
            more: layers without a `LayerSpec`, created last.

        Returns:
            The layers between feature maps and colours: {log2 of the resolution: layer}.
        """
        blocks, colours, ordered = {}, {}, []
        groups = itertools.groupby(with_variables(specs), lambda spec: (spec.r, spec.in_block))
        for (r, in_block), group in groups:
            layers = [make_layer(spec, self.options.use_wscale) for spec in group]
            if in_block:
                layer = blocks[r] = Block(r, layers)
            else:
                layer, = layers
                colours[r] = layer
            ordered.append(layer)
        self.build_in_order([*ordered, *more])
        self.blocks = blocks
        return colours

    def build_in_order(self, layers: Sequence[keras.layers.Layer]) -> None:
        """Create the variables with the paths and the order of the pickles: `lod`, then each
        layer's.

        Keras orders variables by the attribute that first refers to their layer. Set no other
        attribute that holds layers before this call.
        """
        self.lod = self.add_weight(name='lod', shape=(), initializer='zeros', trainable=False)
        self.parts = layers
        for layer in layers:
            layer.build()

    def image_shape(self) -> list[int]:
        return [self.options.num_channels, self.resolution, self.resolution]

    def lod_of(self, log2_res: int) -> int:
        """The lod at which images of this resolution are used without blending."""
        return self.log2_resolution - log2_res

    def blend(self, fine: tf.Tensor, coarse: tf.Tensor, lod_of_fine: int) -> tf.Tensor:
        """Cross-fade by the variable lod: `fine` up to lod_of_fine, `coarse` from lod_of_fine + 1.
        """
        t = tf.clip_by_value(tf.convert_to_tensor(self.lod) - lod_of_fine, 0.0, 1.0)
        return fine + (coarse - fine) * tf.cast(t, fine.dtype)


class Block(keras.layers.Layer):
    """Layers of one resolution, in order: '8x8' holds 'Conv0_up' and 'Conv1'."""

    def __init__(self, log2_res: int, layers: Sequence[keras.layers.Layer]):
        super().__init__(name=block_name(log2_res), dtype='float32', autocast=False)
        self.parts = layers

    def build(self) -> None:
        for layer in self.parts:
            layer.build()


def layers_of_stage(model: GrowingModel, colours: Mapping[int, keras.layers.Layer],
                    stage: Stage | None) -> list[keras.layers.Layer]:
    """Return the layers that a stage evaluates.

    Args:
        model: a `GrowingModel`.
        colours: the result of `GrowingModel.build_layers`.
        stage: `tfutil.Stage`; None = all layers.
    """
    layers = [*(layer for block in model.blocks.values() for layer in block.parts),
              *colours.values()]
    if stage is None:
        return layers
    top = model.log2_resolution - stage.floor_lod
    return [layer for layer in layers if layer.spec.is_used(top, stage.fading)]
