"""Networks over arrays: minibatch by minibatch, on one device or several, with options for the
outputs. `Network.run` leads here.
"""
import concurrent.futures
import contextlib

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pgan.errors import ConfigError
from tfutil.devices import replica_devices
from tfutil.ops import box_average


class Evaluation:
    """What evaluates one network, and what it keeps from one call to the next.

    Attributes:
        network: the `tfutil.Network`.
        compiled: tf.functions by growth stage and options.
        copies: `Evaluation`s of copies of the network on other devices, by the device's name.
    """

    def __init__(self, network):
        self.network = network
        self.compiled = {}
        self.copies = {}

    def run(self, inputs, minibatch_size, num_gpus, print_progress, out_mul, out_add, out_shrink,
            out_dtype, dynamic_kwargs):
        """Evaluate on a list of float32 arrays, one for each of the network's inputs. Returns a
        list of arrays. See `Network.run`.
        """
        self._check_shapes(inputs)
        count = len(inputs[0])
        step = max(count if minibatch_size is None else minibatch_size, 1)
        starts = tqdm(range(0, count, step), desc=self.network.name, unit='minibatch',
                      disable=not print_progress)
        with self._on_devices(num_gpus, out_mul, out_add, out_shrink, out_dtype,
                              dynamic_kwargs) as evaluate:
            parts = [part for i in starts for part in evaluate([x[i:i + step] for x in inputs])]
        return [np.concatenate(part)
                for part in zip(*parts)] if parts else self._empty(out_shrink, out_dtype)

    # ------------------------------------------------------------ devices

    @contextlib.contextmanager
    def _on_devices(self, num_gpus, out_mul, out_add, *options):
        """A function from a minibatch's inputs to its outputs, a list of arrays for each of its
        `num_gpus` shares.
        """
        def evaluate(evaluation, device, inputs):
            # alone, it stays where the caller wants it
            with tf.device(device) if device else contextlib.nullcontext():
                function = evaluation._compile(*options)
                outputs = function(tf.constant(out_mul, tf.float32),
                                   tf.constant(out_add, tf.float32), *map(tf.constant, inputs))
                return [y.numpy() for y in outputs]

        if num_gpus == 1:
            yield lambda inputs: [evaluate(self, None, inputs)]
            return
        devices = replica_devices(num_gpus)
        evaluations = [self, *map(self._copy_on, devices[1:])]
        with concurrent.futures.ThreadPoolExecutor(len(devices)) as threads:
            def evaluate_shares(inputs):
                shares = list(zip(*(np.array_split(x, min(num_gpus, len(x))) for x in inputs)))
                places = [i % len(devices) for i in range(len(shares))]
                return list(
                    threads.map(evaluate, [evaluations[i] for i in places],
                                [devices[i] for i in places], shares))
            yield evaluate_shares

    def _copy_on(self, device):
        """A copy of the network on a device, with its present values; kept for the next call."""
        if device not in self.copies:
            with tf.device(device):
                self.copies[device] = Evaluation(self.network.clone())
        self.copies[device].network.copy_vars_from(self.network)
        return self.copies[device]

    # ------------------------------------------------------------ compiling

    def _compile(self, out_shrink, out_dtype, dynamic_kwargs):
        """The tf.function of the current stage and these options: (out_mul, out_add, inputs) to
        outputs. Kept for the next call.
        """
        dtype = None if out_dtype is None else tf.as_dtype(out_dtype)
        network, stage = self.network, self.network.stage
        key = (stage, out_shrink, dtype, tuple(sorted(dynamic_kwargs.items())))
        if key not in self.compiled:
            @tf.function(autograph=False, input_signature=self._signature())
            def evaluate(out_mul, out_add, *inputs):
                outputs = network.get_output_for(*inputs, stage=stage, return_as_list=True,
                                                 **dynamic_kwargs)
                return [convert_output(y, out_mul, out_add, out_shrink, dtype) for y in outputs]
            self.compiled[key] = evaluate
        return self.compiled[key]

    def _signature(self):
        """One compilation for every minibatch size, where the inputs are vectors; layers that
        compare samples want to know the size.
        """
        shapes = self.network.input_shapes
        if any(len(shape) != 2 for shape in shapes):
            return None
        number = tf.TensorSpec([], tf.float32)
        return [number, number, *[tf.TensorSpec(shape, tf.float32) for shape in shapes]]

    # ------------------------------------------------------------ shapes

    def _check_shapes(self, arrays):
        network = self.network
        for name, shape, array in zip(network.input_names, network.input_shapes, arrays):
            if array.ndim != len(shape) or len(array) != len(
                    arrays[0]) or not self._fits(shape, array.shape):
                smaller = (' (images may also be smaller by powers of two, down to what the lod '
                           'needs)') if self._takes_smaller(shape) else ''
                raise ConfigError(f'network {network.name!r}, input {name!r}: expected shape '
                                  f'{["N", *shape[1:]]} with one N for all inputs{smaller}. '
                                  f'Received: {list(array.shape)}.')

    def _takes_smaller(self, shape):
        return len(shape) == 4 and self.network.stage is not None

    def _fits(self, shape, received):
        if self._takes_smaller(shape) and received[1] == shape[1] and received[2] == received[3]:
            return received[3] in [
                shape[3] >> lod for lod in range(self.network.stage.floor_lod + 1)
            ]
        return all(size is None or size == own for size, own in zip(shape, received))

    def _empty(self, out_shrink, out_dtype):
        """The outputs for no samples."""
        shrunk = [[0, *shape[1:-2], *[s // out_shrink
                                      for s in shape[-2:]]] if len(shape) == 4 else [0, *shape[1:]]
                  for shape in self.network.output_shapes]
        return [np.zeros(shape, out_dtype or np.float32) for shape in shrunk]


def convert_output(y, out_mul, out_add, out_shrink, out_dtype):
    """Multiply, add, box-shrink the last two axes of images, round and saturate: the output options
    of `Network.run`, in float32.
    """
    y = tf.cast(y, tf.float32) * out_mul + out_add
    if out_shrink > 1 and y.shape.rank == 4:
        y = box_average(y, out_shrink)
    if out_dtype is None:
        return y
    return tf.saturate_cast(tf.round(y), out_dtype) if out_dtype.is_integer else tf.cast(
        y, out_dtype)
