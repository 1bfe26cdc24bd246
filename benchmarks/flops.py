"""FLOPs of a training step, from the shapes of its layers.

Counted are matrix products and convolutions; a multiplication and an addition are two FLOPs, and
padding counts like pixels. As usual, everything else (activations, normalisation, the minibatch
statistic) is ignored; the optimizer is counted separately. `graph_flops` counts the operations of a
compiled step; a test compares the two.
"""
from typing import NamedTuple

from pgan.nn import architecture
from pgan.nn.specs import Options, with_variables

ADAM_FLOPS = 12  # per parameter: 3 for m, 4 for v, 5 for the weight
# per parameter: gradient, weight and both moments are read, the last three are written
ADAM_BYTES = 28
AVERAGE_FLOPS, AVERAGE_BYTES = 3, 12  # moving Gs towards G


class Layer(NamedTuple):
    """A layer with weights: FLOPs per image of one evaluation, parameters, position.

    Each of its two gradients takes the same FLOPs.
    """
    name: str
    flops: int
    parameters: int
    after_statistic: bool = False  # of D: above the minibatch stddev layer


def fused_taps():
    """Number of kernel taps of layers that also scale by 2, on this machine."""
    from pgan.nn.fused_convolutions import kernels_hold_the_box
    return 16 if kernels_hold_the_box() else 9


def generator_layers(*args, **kwargs):
    """Layers of G_paper at a stage, from the latents on. Takes the arguments of `step_flops`."""
    from networks import G_paper
    return _layers(G_paper, architecture.generator_layers, *args, **kwargs)


def discriminator_layers(*args, **kwargs):
    """Layers of D_paper at a stage, from the image on. Takes the arguments of `step_flops`."""
    from networks import D_paper
    return _layers(D_paper, architecture.discriminator_layers, *args, **kwargs)


def _layers(build_func, describe, resolution, fmap_base, fmap_max, channels=3, labels=0,
            fading=False):
    options = Options(build_func,
                      dict(resolution=resolution, fmap_base=fmap_base, fmap_max=fmap_max,
                           num_channels=channels, label_size=labels))
    return [
        Layer(spec.name, 2 * spec.multiplications(fused_taps()), spec.weight_size + spec.fmaps,
              after_statistic=spec.name.startswith('4x4/'))
        for spec in with_variables(describe(options))
        if spec.is_used(options.top, fading)
    ]


def step_flops(resolution, fmap_base, fmap_max, channels=3, labels=0, fading=False):
    """FLOPs per image of one D and one G update of WGAN-GP, by kind of work.

    Returns:
        dict, per image: forward (evaluations), backward (gradients of the losses with respect to
            weights and activations), second_order (for the gradient penalty: D's gradient with
            respect to the mixed images; that gradient's own gradient with respect to the weights
            and, through the minibatch statistic, to activations), total of the three;
            per update: optimizer (Adam and the moving average), optimizer_bytes (memory traffic).
    """
    shape = dict(resolution=resolution, fmap_base=fmap_base, fmap_max=fmap_max, channels=channels,
                 labels=labels, fading=fading)
    G, D = generator_layers(**shape), discriminator_layers(**shape)
    g, d = (sum(layer.flops for layer in net) for net in (G, D))
    from_rgb = sum(layer.flops for layer in D if layer.name.startswith('FromRGB'))
    below = sum(layer.flops for layer in D if not layer.after_statistic)
    # D's update evaluates G once and D three times (reals, fakes, mixed); G's evaluates both once.
    forward = (g + 3 * d) + (g + d)
    # D's update: for reals and fakes, each layer's gradients with respect to its weights and its
    # input, except for the images. G's update: for D's layers, gradients with respect to their
    # inputs, including the images; for G's layers, both, except for the latents.
    backward = 2 * (2 * d - from_rgb) + d + (2 * g - G[0].flops)
    # The inner gradient passes through every layer once, with respect to its input. The gradient of
    # that chain passes through it again, with respect to each layer's incoming gradient (except the
    # constant at the end) and to the weights. The minibatch statistic is not piecewise linear, so
    # the gradient also passes through the evaluation below it, with respect to weights and
    # activations.
    second_order = d + (d - D[-1].flops) + d + (2 * below - from_rgb)
    parameters = [sum(layer.parameters for layer in net) for net in (G, D)]
    return dict(forward=forward, backward=backward, second_order=second_order,
                total=forward + backward + second_order,
                optimizer=ADAM_FLOPS * sum(parameters) + AVERAGE_FLOPS * parameters[0],
                optimizer_bytes=ADAM_BYTES * sum(parameters) + AVERAGE_BYTES * parameters[0])


# ---------------------------------------------------------------- counting in a graph

def graph_flops(function):
    """FLOPs of the matrix products and convolutions that a concrete function executes, by type.

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
    """Operations that outputs or side effects depend on.

    TensorFlow prunes all others before it runs a graph.
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
    """Output shape of an operation that takes this shape as an input."""
    import tensorflow as tf
    value = tf.get_static_value(op.inputs[index])
    return op.outputs[0].shape.as_list() if value is None else [int(size) for size in value]


def _conv_flops(filter_shape, spatial):
    """FLOPs of a convolution. `spatial`: [N, H, W, C] of the side with one filter position per
    pixel.
    """
    return 2 * _product(filter_shape) * _product(spatial[:3])


# A convolution's gradients cost the same as the convolution: one product with the filter for each
# output pixel.
_COUNTS = {
    'Conv2D': lambda op: _conv_flops(op.inputs[1].shape, op.outputs[0].shape),
    'Conv2DBackpropInput': lambda op: _conv_flops(op.inputs[1].shape, op.inputs[2].shape),
    'Conv2DBackpropFilter': lambda op: _conv_flops(_shape_given(op, 1), op.inputs[2].shape),
    'MatMul': lambda op: 2 * _product(op.outputs[0].shape) * int(op.inputs[0].shape[
        0 if op.get_attr('transpose_a') else 1]),
}
