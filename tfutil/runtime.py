"""Setup of TensorFlow: seeds, threads, memory growth, TensorFloat-32, CPU devices."""
import os
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, did_you_mean
from tfutil.devices import make_cpu_devices


def _allow_growth(value: bool) -> None:
    for gpu in tf.config.list_physical_devices('GPU'):
        tf.config.experimental.set_memory_growth(gpu, bool(value))


def _allow_soft_placement(value: bool) -> None:
    tf.config.set_soft_device_placement(bool(value))


def allow_tf32(value: bool) -> None:
    """Allow or forbid TensorFloat-32 for convolutions and matrix products of float32 tensors.

    With it, GPUs from Ampere on round factors to a mantissa of 10 bits: about 2x faster, with
    relative errors of 1e-3.
    """
    tf.config.experimental.enable_tensor_float_32_execution(bool(value))
    # Tensor cores need channels last, which the networks use. TensorFlow's layout optimizer would
    # convert large float32 steps to channels first, for GPUs without tensor cores.
    tf.config.optimizer.set_experimental_options({'layout_optimizer': not value})


def tf32_allowed() -> bool:
    """Whether convolutions and matrix products of float32 tensors may use TensorFloat-32."""
    return tf.config.experimental.tensor_float_32_execution_enabled()


# TensorFlow's default is True, but float32 should mean float32 in this program.
allow_tf32(False)


# Keys of tf_config and their setters. Dotted keys are those of TF1's ConfigProto. None: silently
# accepted because the original's config.py sets it; it has no effect in TensorFlow 2.
TF_CONFIG_OPTIONS: dict[str, Callable[[Any], None] | None] = {
    'gpu_options.allow_growth': _allow_growth,
    'allow_soft_placement': _allow_soft_placement,
    'intra_op_parallelism_threads': tf.config.threading.set_intra_op_parallelism_threads,
    'inter_op_parallelism_threads': tf.config.threading.set_inter_op_parallelism_threads,
    'graph_options.place_pruned_graph': None,
    'tf32': allow_tf32,
}


def check_tf_config(config_dict: Mapping[str, Any]) -> None:
    """Check names and values of tf_config.

    TensorFlow itself would abort the process for a negative number of threads.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type or range.
    """
    for key, value in config_dict.items():
        if key not in TF_CONFIG_OPTIONS:
            hint = did_you_mean(key, TF_CONFIG_OPTIONS)
            raise ConfigError(f'tf_config has no option {key!r}.{hint} Known: '
                              f'{", ".join(TF_CONFIG_OPTIONS)}.')
        if key.endswith('_threads'):
            is_integer = isinstance(value, int) and not isinstance(value, bool)
            good, expected = is_integer and 0 <= value < 2 ** 31, 'an integer, at least 0'
        else:
            good, expected = value in (True, False), 'True or False'
        if not good:
            raise ConfigError(f'tf_config[{key!r}]: expected {expected}. Received: {value!r}.')


def expect_eager() -> None:
    """Raise ConfigError if eager execution is disabled, as in code for TensorFlow 1."""
    if not tf.compat.v1.executing_eagerly_outside_functions():
        raise ConfigError("TensorFlow's eager execution is off, and networks need it. Leave out "
                          'tf.compat.v1.disable_eager_execution(), disable_v2_behavior(), '
                          '`with tf.Graph().as_default():` and tf.compat.v1.Session(); import '
                          'tensorflow, not tensorflow.compat.v1. Networks are evaluated without a '
                          'session: Gs.run(latents).')


def init_tf(config_dict: Mapping[str, Any] | None = None, random_seed: int | None = None,
            num_gpus: int = 1) -> None:
    """Set up TensorFlow. Call it once, before the first tensor is created.

    TensorFloat-32 is off unless config_dict['tf32'] is True.

    Args:
        config_dict: config.tf_config.
        random_seed: seed of Python's, NumPy's and TensorFlow's generators; None leaves them
            unchanged.
        num_gpus: number of CPU devices that stand in for GPUs on a machine without any.

    Raises:
        ConfigError: see `check_tf_config`; or TensorFlow can no longer change an option.
    """
    check_tf_config(config_dict or {})
    for key, value in {'tf32': False, **(config_dict or {})}.items():
        set_option = TF_CONFIG_OPTIONS[key]
        if set_option is None:
            continue
        try:
            set_option(value)
        except RuntimeError as error:
            raise ConfigError(f'tf_config[{key!r}] = {value!r} comes too late: {error}') from error
    if not tf.config.list_physical_devices('GPU'):
        if num_gpus > 1:
            make_cpu_devices(num_gpus)
        # This graph optimization fails on the gradients of leaky ReLU and logs an error. Steps are
        # just as fast without it.
        tf.config.optimizer.set_experimental_options({'remapping': False})
        # By default, oneDNN recreates the primitives for large minibatches and for gradients of
        # kernels at each use, to save a little memory.
        os.environ.setdefault('TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE', '0')
    if random_seed is not None:
        random.seed(random_seed)
        np.random.seed(random_seed)
        tf.random.set_seed(random_seed)


def _evaluated(value):
    if callable(value):
        return value()
    return value.numpy() if hasattr(value, 'numpy') else value


def run(*values: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
    """The original's session call: evaluate tensors and variables to arrays, and call functions.

    Args:
        values: tensors, variables, functions, or lists, tuples and dicts of them.
        feed_dict: must be empty; may also be the second of two values, as for a session.

    Returns:
        One result for one value, otherwise a list. Structures are preserved.

    Raises:
        ConfigError: feed_dict is not empty, as TensorFlow 2 has no placeholders.
    """
    fed = values[-1] if len(values) == 2 else None
    if isinstance(fed, Mapping) and not any(isinstance(key, str) for key in fed):
        values, feed_dict = values[:1], fed
    if feed_dict:
        raise ConfigError('tfutil.run: there are no placeholders in TensorFlow 2, so nothing can '
                          f'be fed to them. Received: a feed_dict of {len(feed_dict)}. Call a '
                          'function with the values, e.g. Gs.run(latents, labels), and leave '
                          'feed_dict out.')
    results = [tf.nest.map_structure(_evaluated, value) for value in values]
    return results[0] if len(results) == 1 else results


def set_vars(var_to_value: Mapping[Any, np.ndarray | float]) -> None:
    """Set variables from a dict {variable or its reference: value}.

    Kept from the original; unused here.
    """
    for var, value in var_to_value.items():
        (var.deref() if hasattr(var, 'deref') else var).assign(value)


def init_uninited_vars(_variables: Any = None) -> None:
    """Do nothing: TensorFlow 2 initializes variables on creation. Kept for old scripts."""


def create_session(_config_dict: Any = None, **_kwargs: Any) -> None:
    """Do nothing: TensorFlow 2 has no sessions. Kept for old scripts."""
