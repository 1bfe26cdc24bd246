"""Evaluation of networks over arrays, minibatch by minibatch, on one device or several.

`Network.run` is the public interface.
"""
import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, expect
from pgan.options import is_integer
from pgan.progress_bar import progress_bar
from tfutil.devices import replica_devices
from tfutil.ops import box_average

if TYPE_CHECKING:
    from tfutil.network import Network

DType: TypeAlias = str | type | np.dtype | tf.DType


@dataclasses.dataclass(frozen=True)
class OutputOptions:
    """Conversions of a network's outputs, in the order of application.

    Attributes:
        mul, add: factor, then offset.
        shrink: factor of box averaging of images.
        dtype: final type; integers are rounded half to even and saturated. None = float32.
    """
    mul: float = 1.0
    add: float = 0.0
    shrink: int = 1
    dtype: DType | None = None


class Evaluation:
    """Evaluator of one network, with its compiled functions.

    Args:
        network: the network.

    Attributes:
        network: as given.
        compiled: tf.functions by growth stage and options.
        copies: evaluators of copies of the network on other devices, by device name.
    """

    def __init__(self, network: 'Network'):
        self.network = network
        self.compiled: dict[tuple, Callable[..., list[tf.Tensor]]] = {}
        self.copies: dict[str, Evaluation] = {}

    def run(self, inputs: Sequence[np.ndarray], output: OutputOptions,
            dynamic_kwargs: Mapping[str, Any], *, minibatch_size: int | None, num_gpus: int,
            print_progress: bool) -> list[np.ndarray]:
        """Evaluate on float32 arrays, one for each of the network's inputs. See `Network.run`."""
        self._check_shapes(inputs)
        self._check_shrink(output.shrink)
        dynamic_kwargs = self.network.known_options(dynamic_kwargs)
        count = len(inputs[0])
        step = max(count if minibatch_size is None else minibatch_size, 1)
        starts = progress_bar(range(0, count, step), desc=self.network.name, unit='minibatch',
                              silent=not print_progress)
        with self._on_devices(num_gpus, output, dynamic_kwargs) as evaluate:
            parts = [part for i in starts for part in evaluate([x[i:i + step] for x in inputs])]
        if not parts:
            return self._empty(output)
        return [np.concatenate(part) for part in zip(*parts)]

    # ------------------------------------------------------------ devices

    @contextlib.contextmanager
    def _on_devices(
            self, num_gpus: int, output: OutputOptions, dynamic_kwargs: Mapping[str, Any]
    ) -> Iterator[Callable[[Sequence[np.ndarray]], list[list[np.ndarray]]]]:
        """Yield a function of a minibatch's inputs to its outputs, a list of arrays per share."""
        def evaluate(evaluation, device, inputs):
            # a single device is the caller's choice
            with tf.device(device) if device else contextlib.nullcontext():
                function = evaluation._compile(output.shrink, output.dtype, dynamic_kwargs)
                outputs = function(tf.constant(output.mul, tf.float32),
                                   tf.constant(output.add, tf.float32), *map(tf.constant, inputs))
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
                return list(threads.map(evaluate, [evaluations[i] for i in places],
                                        [devices[i] for i in places], shares))
            yield evaluate_shares

    def _copy_on(self, device: str) -> 'Evaluation':
        """Return a cached copy of the network on a device, with the current values."""
        if device not in self.copies:
            with tf.device(device):
                self.copies[device] = Evaluation(self.network.clone())
        self.copies[device].network.copy_vars_from(self.network)
        return self.copies[device]

    # ------------------------------------------------------------ compiling

    def _compile(self, shrink: int, dtype: DType | None,
                 dynamic_kwargs: Mapping[str, Any]) -> Callable[..., list[tf.Tensor]]:
        """Return the cached tf.function of the current stage and these options.

        Returns:
            Function of (mul, add, *inputs) to a list of outputs.
        """
        dtype = None if dtype is None else tf.as_dtype(dtype)
        network, stage = self.network, self.network.stage
        key = (stage, shrink, dtype, tuple(sorted(dynamic_kwargs.items())))
        if key not in self.compiled:
            @tf.function(autograph=False, input_signature=self._signature())
            def evaluate(mul, add, *inputs):
                outputs = network.get_output_for(*inputs, stage=stage, return_as_list=True,
                                                 **dynamic_kwargs)
                return [convert_output(y, mul, add, shrink, dtype) for y in outputs]
            # one for each set of options is meant: TensorFlow's warning of retracing is not
            evaluate._omit_frequent_tracing_warning = True
            self.compiled[key] = evaluate
        return self.compiled[key]

    def _signature(self):
        """Return an input signature for any minibatch size; None if the inputs are not all vectors.

        Layers that compare samples (minibatch stddev) need a static size.
        """
        shapes = self.network.input_shapes
        if any(len(shape) != 2 for shape in shapes):
            return None
        number = tf.TensorSpec([], tf.float32)
        return [number, number, *[tf.TensorSpec(shape, tf.float32) for shape in shapes]]

    # ------------------------------------------------------------ shapes

    def _check_shapes(self, arrays):
        network = self.network
        count = len(arrays[0])
        for name, shape, array in zip(network.input_names, network.input_shapes, arrays):
            agrees = array.ndim == len(shape) and len(array) == count
            if not agrees or not self._fits(shape, array.shape):
                smaller = (' (images may also be smaller by powers of two, down to what the lod '
                           'needs)') if self._takes_smaller(shape) else ''
                raise ConfigError(f'network {network.name!r}, input {name!r}: expected shape '
                                  f'{["N", *shape[1:]]} with one N for all inputs{smaller}. '
                                  f'Received: {list(array.shape)}.')

    def _check_shrink(self, shrink):
        sides = [side for shape in self.network.output_shapes if len(shape) == 4
                 for side in shape[2:]]
        most = min([side for side in sides if side is not None], default=None)
        good = is_integer(shrink) and shrink >= 1 and (most is None or shrink <= most)
        expect(good, 'out_shrink', f'an integer from 1 to {most}, the side of the images'
               if most else 'an integer of at least 1', shrink)

    def _takes_smaller(self, shape):
        return len(shape) == 4 and self.network.stage is not None

    def _fits(self, shape, received):
        if self._takes_smaller(shape) and received[1] == shape[1] and received[2] == received[3]:
            lods = range(self.network.stage.floor_lod + 1)
            return received[3] in [shape[3] >> lod for lod in lods]
        return all(size is None or size == own for size, own in zip(shape, received))

    def _empty(self, output: OutputOptions) -> list[np.ndarray]:
        """Return the outputs for zero samples."""
        arrays = []
        for _, *shape in self.network.output_shapes:
            if len(shape) == 3:
                shape[1:] = [size // output.shrink for size in shape[1:]]
            arrays.append(np.zeros([0, *shape], output.dtype or np.float32))
        return arrays


def convert_output(y: tf.Tensor, mul: float | tf.Tensor, add: float | tf.Tensor, shrink: int,
                   dtype: tf.DType | None) -> tf.Tensor:
    """Apply the output options of `Network.run` in float32, see `OutputOptions`."""
    y = tf.cast(y, tf.float32) * mul + add
    if shrink > 1 and y.shape.rank == 4:
        y = box_average(y, shrink)
    if dtype is None:
        return y
    return tf.saturate_cast(tf.round(y), dtype) if dtype.is_integer else tf.cast(y, dtype)
