"""Export of networks: SavedModel folders, ONNX files, and weights by name.

`Network.export`, `save_weights` and `load_weights` are the public interface.
"""
import os
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, DataError, in_short
from pgan.files import atomic_path, atomic_write, read_npz
from tfutil.context import holding
from tfutil.gradients import PLAIN_OPERATIONS

if TYPE_CHECKING:
    from tfutil.network import Network

ONNX_OPSET = 17  # of 2022; current ONNX readers support it


class _Served(tf.Module):
    """A network at its current stage, as one function of float32 tensors.

    Zero-width inputs and outputs are left out.
    """

    def __init__(self, network):
        super().__init__()
        self.variables_of_network = list(network.vars.values())
        inputs = list(zip(network.input_names, network.input_shapes))
        stage = network.stage
        signature = [tf.TensorSpec(shape, tf.float32, name)
                     for name, shape in inputs if 0 not in shape]

        @tf.function(autograph=False, input_signature=signature)
        def evaluate(*arrays):
            given, count = iter(arrays), tf.shape(arrays[0])[0]
            full = [tf.zeros([count, *shape[1:]]) if 0 in shape else next(given)
                    for _, shape in inputs]
            with holding(PLAIN_OPERATIONS, True):
                tensors = network.get_output_for(*full, stage=stage, return_as_list=True)
            outputs = zip(network.output_names, network.output_shapes, tensors)
            return {name: tf.cast(output, tf.float32)
                    for name, shape, output in outputs if 0 not in shape}

        self.evaluate = evaluate


def export(network: 'Network', path: str | os.PathLike, overwrite: bool = False) -> None:
    """Export a network: see `Network.export`."""
    path = os.path.abspath(path)
    if os.path.lexists(path) and not overwrite:
        raise DataError(f'{path!r} exists. Choose another name, or pass overwrite=True.')
    if not os.path.isdir(os.path.dirname(path)):
        raise DataError(f'cannot export to {path!r}: there is no folder '
                        f'{os.path.dirname(path)!r}. Create it, or correct the path.')
    if network.activation_dtype != 'float32':
        network = network.convert(dtype='float32')  # other programs may not support lower precision
    write = _write_onnx if path.endswith('.onnx') else _write_saved_model
    write(_Served(network), path)


def _write_onnx(served, path):
    try:
        import tf2onnx
    except ImportError as error:
        raise ConfigError('writing ONNX files needs the package tf2onnx, which is not installed. '
                          'Install it with: pip install tf2onnx (or export a SavedModel: a path '
                          'that does not end in .onnx).') from error
    function = served.evaluate
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature,
                                             opset=ONNX_OPSET)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def _write_saved_model(served, path):
    if os.path.lexists(path) and not os.path.isfile(os.path.join(path, 'saved_model.pb')):
        raise DataError(f'{path!r} exists and is not a SavedModel, so it is not overwritten. '
                        'Choose another name.')
    with atomic_path(path, make_error=_cannot_export) as temporary:
        try:
            tf.saved_model.save(served, temporary,
                                signatures={'serving_default': served.evaluate})
        except (OSError, tf.errors.OpError) as error:
            raise _cannot_export(path, error) from error


def _cannot_export(path, error):
    return DataError(f'cannot export to {path!r}: {in_short(error)}. Nothing was overwritten. '
                     'Check free space and permissions, then export again.')


def save_weights(network: 'Network', path: str | os.PathLike) -> None:
    """Write all variables as an .npz file: see `Network.save_weights`."""
    with atomic_write(path) as file:
        np.savez(file, **{name: var.numpy() for name, var in network.vars.items()})


def load_weights(network: 'Network', path: str | os.PathLike) -> None:
    """Read variables from an .npz file: see `Network.load_weights`."""
    path = os.fspath(path)
    values = _read_npz(path)
    missing = sorted(set(network.vars) - set(values))
    unknown = sorted(set(values) - set(network.vars))
    if missing or unknown:
        raise DataError(f'the weights {path!r} do not fit network {network.name!r}: missing '
                        f'{missing[:5]}, unknown {unknown[:5]} ({len(missing)} and {len(unknown)} '
                        'in all). Load them into a network of the same build function and options.')
    for name, var in network.vars.items():
        if values[name].shape != tuple(var.shape) or values[name].dtype.kind not in 'fiu':
            raise DataError(f'the weights {path!r} do not fit network {network.name!r}: {name!r} '
                            f'is {values[name].dtype} of shape {list(values[name].shape)}. '
                            f'Expected numbers of shape {list(var.shape)}.')
    for name, var in network.vars.items():
        var.assign(values[name].astype(var.dtype.as_numpy_dtype))


def _read_npz(path):
    try:
        return read_npz(path)
    # a damaged archive can raise almost any exception
    except Exception as error:
        raise DataError(f'the weights {path!r} cannot be read: {in_short(error)}. Expected an '
                        '.npz file written by Network.save_weights.') from error
