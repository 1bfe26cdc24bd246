"""Floating point operations of a training step, from the shapes of the layers.

Counted are matrix products and convolutions, a multiplication and an addition as two, as if padding
were pixels like others. Everything else (activations, normalisation, the minibatch statistic) is
left out, as is usual; the optimizer is counted apart. `graph_flops` counts the same in a compiled
step, from its operations; a test compares the two. """
from typing import NamedTuple

ADAM_FLOPS = 12  # per parameter: 3 for m, 4 for v, 5 for the weight
# per parameter: gradient, weight and both moments are read, the last three are written
ADAM_BYTES = 28
AVERAGE_FLOPS, AVERAGE_BYTES = 3, 12  # Gs towards G


class Layer(NamedTuple):
    """A layer with weights: FLOPs per image of one evaluation (each of its two gradients takes as
    many), parameters, place.
    """
    name: str
    flops: int
    parameters: int
    after_statistic: bool = False  # of D: above the minibatch stddev layer


def feature_maps(stage, fmap_base, fmap_max):
    return min(int(fmap_base / 2.0 ** stage), fmap_max)


def _conv(name, inputs, fmaps, size, kernel=3, fused=False, after_statistic=False):
    """`size`: of the output; of a layer that also scales by 2, of the smaller side."""
    weights = kernel * kernel * inputs * fmaps
    taps = fused_taps() if fused else kernel * kernel
    return Layer(name, 2 * taps * inputs * fmaps * size * size, weights + fmaps, after_statistic)


def fused_taps():
    """Size of the kernels of layers that also scale by 2, as they are on this machine."""
    from pgan.nn.fused_convolutions import kernels_hold_the_box
    return 16 if kernels_hold_the_box() else 9


def generator_layers(resolution, fmap_base, fmap_max, channels=3, labels=0, fading=False):
    """Layers of G_paper at the stage of a resolution, from the latents on."""
    nf = lambda stage: feature_maps(stage, fmap_base, fmap_max)
    top = resolution.bit_length() - 1
    layers = [
        Layer('4x4/Dense', 2 * (nf(0) + labels) * nf(1) * 16,
              (nf(0) + labels) * nf(1) * 16 + nf(1)),
        _conv('4x4/Conv', nf(1), nf(1), 4)
    ]
    for r in range(3, top + 1):
        size = 2 ** r
        layers += [_conv(f'{size}x{size}/Conv0_up', nf(r - 2), nf(r - 1), size // 2, fused=True),
                   _conv(f'{size}x{size}/Conv1', nf(r - 1), nf(r - 1), size)]
    layers.append(
        _conv(f'{resolution}x{resolution}/ToRGB', nf(top - 1), channels, resolution, kernel=1))
    if fading:
        layers.append(
            _conv(f'{resolution // 2}x{resolution // 2}/ToRGB', nf(top - 2), channels,
                  resolution // 2, kernel=1))
    return layers


def discriminator_layers(resolution, fmap_base, fmap_max, channels=3, labels=0, fading=False):
    """Layers of D_paper at the stage of a resolution, from the image on."""
    nf = lambda stage: feature_maps(stage, fmap_base, fmap_max)
    top = resolution.bit_length() - 1
    layers = [
        _conv(f'{resolution}x{resolution}/FromRGB', channels, nf(top - 1), resolution, kernel=1)
    ]
    if fading:
        layers.append(
            _conv(f'{resolution // 2}x{resolution // 2}/FromRGB', channels, nf(top - 2),
                  resolution // 2, kernel=1))
    for r in range(top, 2, -1):
        size = 2 ** r
        layers += [_conv(f'{size}x{size}/Conv0', nf(r - 1), nf(r - 1), size),
                   _conv(f'{size}x{size}/Conv1_down', nf(r - 1), nf(r - 2), size // 2, fused=True)]
    dense0, dense1 = nf(1) * 16 * nf(0), nf(0) * (1 + labels)
    return [
        *layers,
        _conv('4x4/Conv',
              nf(1) + 1, nf(1), 4, after_statistic=True),
        Layer('4x4/Dense0', 2 * dense0, dense0 + nf(0), True),
        Layer('4x4/Dense1', 2 * dense1, dense1 + 1 + labels, True)
    ]


def step_flops(resolution, fmap_base, fmap_max, channels=3, labels=0, fading=False):
    """FLOPs per image of one D and one G update of WGAN-GP, by kind of work.

    Returns:
        dict: forward (evaluations), backward (gradients of the losses by weights and by
            activations), second_order (the gradient penalty's
        own: D's gradient by the mixed images, and that gradient's by weights, and through the
        minibatch statistic by activations), total of the three; and per update, not per image:
        optimizer (Adam and the moving average), optimizer_bytes (memory that they pass). """
    shape = dict(resolution=resolution, fmap_base=fmap_base, fmap_max=fmap_max, channels=channels,
                 labels=labels, fading=fading)
    G, D = generator_layers(**shape), discriminator_layers(**shape)
    g, d = (sum(layer.flops for layer in net) for net in (G, D))
    from_rgb = sum(layer.flops for layer in D if layer.name.endswith('FromRGB'))
    below = sum(layer.flops for layer in D if not layer.after_statistic)
    # D's update evaluates G once and D three times (reals, fakes, mixed); G's evaluates both once.
    forward = (g + 3 * d) + (g + d)
    # Of reals and fakes: every layer's gradient by its weights and by its input, but not by the
    # images. For G: those of D's layers by their inputs, images too, and those of G's layers by
    # both, but not by the latents.
    backward = 2 * (2 * d - from_rgb) + d + (2 * g - G[0].flops)
    # The inner gradient goes through every layer once (by its input). Its own gradient goes through
    # that chain again (by what flowed into each layer, from the images up, but not by the constant
    # at the end; and by the weights). What the minibatch statistic makes of its input is not
    # piecewise linear, so the gradient also goes down the evaluation, below the statistic: by
    # weights and by activations.
    second_order = d + (d - D[-1].flops) + d + (2 * below - from_rgb)
    parameters = [sum(layer.parameters for layer in net) for net in (G, D)]
    return dict(forward=forward, backward=backward, second_order=second_order,
                total=forward + backward + second_order,
                optimizer=ADAM_FLOPS * sum(parameters) + AVERAGE_FLOPS * parameters[0],
                optimizer_bytes=ADAM_BYTES * sum(parameters) + AVERAGE_BYTES * parameters[0])


# ---------------------------------------------------------------- counting in a graph

def graph_flops(function):
    """FLOPs of the matrix products and convolutions that a concrete function executes, by type of
    operation.

    Args:
        function: tf.types.experimental.ConcreteFunction whose tensors have known shapes.

    Returns:
        {'Conv2D': ..., 'Conv2DBackpropInput': ..., 'Conv2DBackpropFilter': ..., 'MatMul': ...}
    """
    totals = {}
    for op in _executed(function.graph):
        if op.type in _COUNTS:
            totals[op.type] = totals.get(op.type, 0) + _COUNTS[op.type](op)
    return totals


def _executed(graph):
    """Operations that outputs or side effects depend on: TensorFlow drops the rest before it runs a
    graph.
    """
    pending = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    seen = set()
    while pending:
        op = pending.pop()
        if op.name not in seen:
            seen.add(op.name)
            yield op
            pending += [tensor.op for tensor in op.inputs] + list(op.control_inputs)


def _product(shape):
    result = 1
    for size in shape:
        result *= int(size)
    return result


def _shape_given(op, index):
    """The shape of the result where an operation is told it as an input."""
    import tensorflow as tf
    value = tf.get_static_value(op.inputs[index])
    return op.outputs[0].shape.as_list() if value is None else [int(size) for size in value]


def _conv_flops(filter_shape, spatial):
    """`spatial`: [N, H, W, C] of the side that the filter stands on once per pixel."""
    return 2 * _product(filter_shape) * _product(spatial[:3])


# A convolution's gradients take what it takes: for each pixel of its output, one product with the
# filter.
_COUNTS = {
    'Conv2D': lambda op: _conv_flops(op.inputs[1].shape, op.outputs[0].shape),
    'Conv2DBackpropInput': lambda op: _conv_flops(op.inputs[1].shape, op.inputs[2].shape),
    'Conv2DBackpropFilter': lambda op: _conv_flops(_shape_given(op, 1), op.inputs[2].shape),
    'MatMul': lambda op: 2 * _product(op.outputs[0].shape) * int(op.inputs[0].shape[
        0 if op.get_attr('transpose_a') else 1]),
}
