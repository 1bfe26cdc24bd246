"""Conversion of pickled networks of the Theano version to this version.

A Theano network is pickled as a flat list of arrays and the options of its build function.
`pgan.nn.architecture` defines the sequence of layers, and `_LAYOUTS` the memory layout of the
weights of each kind of layer. Options and arrays are checked against both before a network is
built, so a file cannot request more memory than its arrays fill.
"""
import tfutil  # first: it reports an old Python, and sets Keras's backend

# isort: split
import functools
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np

import networks
from pgan.errors import ConfigError, DataError, did_you_mean
from pgan.nn import architecture
from pgan.nn.specs import Kind, Options, colours_last, defaults_of, with_variables
from pgan.resolutions import is_resolution

_ADVICE = ('The file is damaged or was not written by the Theano version; copy it again, or use '
           'another snapshot.')


class TheanoNetwork(tfutil.Network):
    """A pickled Theano network while it is loaded. `__setstate__` turns it into a `tfutil.Network`.
    """

    def __setstate__(self, state):
        state = convert_state(state)
        self.__class__ = tfutil.Network
        try:
            self.__setstate__(state)
        except ConfigError as error:
            raise DataError(f'Theano {str(error).rstrip(".")}. {_ADVICE}') from error


def dummy(**_ignored: Any) -> keras.Model:
    """Build function of the placeholder for unknown networks: the identity on [N, 1], without
    variables.
    """
    x = keras.Input([1], name='input')
    return keras.Model(x, x, name='dummy')


def convert_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the state of a pickled Theano network to that of a `tfutil.Network`.

    Args:
        state: dict of build_func_spec (dict of `func` and its options), param_values (flat list of
            arrays) and toplevel_params (dict of the scalar `cur_lod` and others). The pickled
            source code is ignored.

    Returns:
        A state of version 2. For an unknown function, or a mode recovery network of an unexpected
        form, prints a line and returns the state of the network 'Dummy'.

    Raises:
        DataError: an option that this version lacks, arrays that do not match the options, or a
            malformed state.
    """
    spec = _part(state, 'build_func_spec', dict, 'the state')
    params = _part(state, 'param_values', (list, tuple), 'the state')
    toplevel = _part(state, 'toplevel_params', dict, 'the state')
    func = _part(spec, 'func', str, 'build_func_spec')
    if not func.isprintable() or not func:
        raise DataError(f'Theano network: build_func_spec names a function {func!r:.100}. '
                        f'{_ADVICE}')
    if func not in _FUNCTIONS:
        return _ignore(func)
    try:
        return _convert_known(func, spec, params, toplevel)
    except DataError as error:
        if func not in _ADDED:
            raise
        # The original does not know these two, but loads the other networks of the file.
        print(error, file=sys.stderr)
        return _ignore(func)


def _ignore(func):
    print(f'Ignoring unknown Theano network: {func}')
    return _state('Dummy', 'dummy', {}, [])


def _convert_known(func, spec, params, toplevel):
    build_func, describe, order = _FUNCTIONS[func]
    static_kwargs = convert_options(spec)
    try:  # List at most one layer per parameter: the file may claim any resolution.
        options = Options(build_func, static_kwargs)
        layers = order(itertools.islice(with_variables(describe(options)), len(params) + 1))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise DataError(f'Theano network {func!r}: no network can be built from its options: '
                        f'{str(error).rstrip(".")}. {_ADVICE}') from error
    lod = _read_lod(func, toplevel, options.top - 2)
    parameters = _Parameters(func, params)
    variables = [('lod', lod)]
    for layer in layers:
        variables += _variables(layer, options.use_wscale, parameters)
    parameters.check_all_taken()
    return _state(func, build_func.__name__, static_kwargs, variables)


def convert_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Static keyword arguments of a converted network.

    Args:
        spec: build_func_spec of the Theano network: `func`, and options, all of them optional.

    Raises:
        DataError: the value of an option is invalid or not supported by this version.
    """
    func = spec['func']
    defaults = defaults_of(_FUNCTIONS[func][0])
    options = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in spec.items() if name != 'func'
    }
    for name, value in options.items():
        if not isinstance(name, str):
            raise DataError(f'Theano network {func!r}: the name of an option must be a string. '
                            f'Received: {_describe(name)}. {_ADVICE}')
        if name in _LEAVES_OUT and name not in defaults or name == 'mbstat_func':
            _check_supported(func, name, value)
            continue
        expected = _EXPECTED.get(name, _PLAIN)
        if not expected.holds(value):
            raise DataError(f'Theano network {func!r}: option {name!r} must be {expected.words}. '
                            f'Received: {_describe(value)}. {_ADVICE}')
    kept = {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT
            and not (name in _LEAVES_OUT and value == defaults.get(name, value))}
    return {**kept, **_ADDED.get(func, {'fused_scale': False, 'mbstd_group_size': 16})}


def _state(name, build_func_name, static_kwargs, variables):
    return dict(version=2, name=name, static_kwargs=static_kwargs, build_module_src='',
                build_func_name=build_func_name, variables=variables)


def _part(container, key, kind, where):
    """Return container[key]. Raise DataError if it is missing or not of type `kind`."""
    if not isinstance(container, dict):
        raise DataError(f'Theano network: {where} must be a dict. Received: '
                        f'{type(container).__name__}. {_ADVICE}')
    if key not in container:
        raise DataError(f'Theano network: {where} lacks {key!r}.{did_you_mean(key, container)} '
                        f'Received: {sorted(map(str, container))!r:.200}. {_ADVICE}')
    if not isinstance(container[key], kind):
        expected = ' or '.join(k.__name__
                               for k in kind) if isinstance(kind, tuple) else kind.__name__
        raise DataError(f'Theano network: {key!r} of {where} must be of type {expected}. '
                        f'Received: {type(container[key]).__name__}. {_ADVICE}')
    return container[key]


# ---------------------------------------------------------------- options

class _Expected(NamedTuple):
    """A test of an option's value, and its description for messages."""
    holds: Callable
    words: str


def _is_plain(value):
    return value is None or isinstance(
        value, (bool, int, float, str)) or isinstance(value,
                                                      (list, tuple)) and all(map(_is_plain, value))


def _is_count(value):
    return type(value) is int and value > 0


def _is_number(value):
    return type(value) in (int, float) and abs(value) < 1e300


_PLAIN = _Expected(_is_plain, 'a number, a bool, a string, None or a list of these')
_COUNT = _Expected(_is_count, 'a whole number above 0')
_NUMBER = _Expected(_is_number, 'a finite number')
_FLAG = _Expected(lambda value: type(value) in (bool, int) and value in (0, 1), 'True or False')
_EXPECTED = {
    'num_channels': _COUNT, 'resolution': _Expected(
        lambda value: _is_count(value) and is_resolution(value),
        'a power of two, at least 4'), 'fmap_base': _NUMBER, 'fmap_decay': _NUMBER,
    'fmap_max': _COUNT, 'latent_size': _Expected(lambda value: value is None or _is_count(value),
                                                 'a whole number above 0, or None'),
    'normalize_latents': _FLAG, 'use_wscale': _FLAG, 'use_pixelnorm': _FLAG, 'use_leakyrelu': _FLAG,
    'label_size': _Expected(lambda value: value == 0 and type(value) is int or _is_count(value),
                            'a whole number, 0 or above'), 'use_batchnorm': _FLAG,
    'tanh_at_end': _Expected(lambda value: value is None or _is_number(value),
                             'a finite number, or None'),
    'mbstat_avg': _Expected(
        lambda value: value is None or isinstance(value, str) and value == 'all', "'all', or None"),
    'mbdisc_kernels': _Expected(lambda value: value is None or _is_count(value),
                                'a whole number above 0, or None'), 'use_layernorm': _FLAG,
    'progressive': _FLAG, 'X': _Expected(lambda value: _is_number(value) and value > 0,
                                         'a number above 0'),
}

# Options of layers that this version lacks, or has in one form only: the supported value.
_LEAVES_OUT = {
    'label_size': 0,
    'use_batchnorm': False,
    'tanh_at_end': None,
    'mbstat_func': 'Tstdeps',
    'mbstat_avg': 'all',
    'mbdisc_kernels': None,
    'use_layernorm': False,
}

# Options to drop: noise that is added only in training, so it changes neither parameters nor
# outputs, and the name of the minibatch statistic, of which there is only one.
_WITHOUT_EFFECT = {'use_gdrop', 'mbstat_func'}

# Options added to converted networks, by build function; the default is for the paper's networks.
_ADDED: dict[str, dict[str, Any]] = {'G_mnist_mode_recovery': {}, 'D_mnist_mode_recovery': {}}


def _check_supported(func, name, value):
    supported = _LEAVES_OUT[name]
    if not _is_plain(value) or value != supported:
        raise DataError(f'Theano network {func!r} has the option {name} = {_describe(value)}, '
                        f'which cannot be converted. Supported: {name} = {supported!r}. Use a '
                        'snapshot of a network that was trained with it.')


# ---------------------------------------------------------------- layers

class _Layout(NamedTuple):
    """Memory layout of a kind of layer's weight.

    Attributes:
        shape: function of (inputs, fmaps) that returns the shape in Theano's layout.
        convert: function that converts a weight to this version's layout.
    """
    shape: Callable
    convert: Callable


# Theano convolves, TensorFlow correlates: kernels are reversed in space.
_LAYOUTS = {
    Kind.CONV_3X3: _Layout(lambda inputs, fmaps: (fmaps, inputs, 3, 3),
                           lambda w: w.transpose(2, 3, 1, 0)[::-1, ::-1]),
    Kind.CONV_1X1: _Layout(lambda inputs, fmaps: (inputs, fmaps),
                           lambda w: w[np.newaxis, np.newaxis]),
    Kind.DENSE_TO_IMAGE: _Layout(lambda inputs, fmaps: (fmaps, inputs, 4, 4),
                                 lambda w: w.swapaxes(0, 1).reshape(w.shape[1], -1)),
    Kind.DENSE_OF_IMAGE: _Layout(lambda inputs, fmaps: (fmaps, inputs // 16, 4, 4),
                                 lambda w: w[:, :, ::-1, ::-1].reshape(len(w), -1).T),
    Kind.SCORES: _Layout(lambda inputs, fmaps: (inputs, fmaps), lambda w: w),
}

# Lasagne's batch normalization stores the reciprocal of the standard deviation.
_NORM_PARTS = {
    None: ['bias'], 'BatchNorm': ['beta', 'gamma', 'mean', 'inv_std'], 'LayerNorm': ['gain', 'bias']
}


def _variables(layer, use_wscale, parameters):
    """Take the next parameters and return (local name, array) of each variable of a layer."""
    if layer.kind is Kind.MINIBATCH_DISCRIMINATION:
        kernels = layer.fmaps - layer.inputs
        shapes = dict(theta=(layer.inputs, kernels, 5), log_weight_scale=(kernels, 5),
                      bias=(kernels, ))
        return [(f'{layer.name}/{part}', parameters.take(layer, part, shape))
                for part, shape in shapes.items()]
    if layer.kind is Kind.SCORES and layer.fmaps > 1:  # two layers in Theano: score and labels
        parts = [_weight_and_bias(replace(layer, fmaps=fmaps), use_wscale, parameters)
                 for fmaps in (1, layer.fmaps - 1)]
        return [(name, np.concatenate([score, labels], axis=-1))
                for (name, score), (_, labels) in zip(*parts)]
    return _weight_and_bias(layer, use_wscale, parameters)


def _weight_and_bias(layer, use_wscale, parameters):
    """Weight of a layer, and its bias or normalization parameters.

    With use_wscale, the weight is multiplied by the scalar stored after it.
    """
    take, layout = functools.partial(parameters.take, layer), _LAYOUTS[layer.kind]
    weight = layout.convert(take('weight', layout.shape(layer.inputs, layer.fmaps)))
    if use_wscale:
        he_std = layer.gain / math.sqrt(math.prod(weight.shape[:-1]))
        weight = weight * np.float32(take('scale', ()) / he_std)
    prefix = f'{layer.name}/{layer.norm}' if layer.norm else layer.name
    return [(f'{layer.name}/weight', weight),
            *((f'{prefix}/{part}', take(part, () if part == 'gain' else (layer.fmaps, )))
              for part in _NORM_PARTS[layer.norm])]


# Build functions of the Theano version: this version's build function, the function that lists its
# layers, and the one that puts them into Theano's order.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    'G_paper': (networks.G_paper, architecture.generator_layers, colours_last),
    'G_progressive_8': (networks.G_paper, architecture.generator_layers, colours_last),
    'D_paper': (networks.D_paper, architecture.discriminator_layers, list),
    'D_progressive_8': (networks.D_paper, architecture.discriminator_layers, list),
    'G_mnist_mode_recovery': (networks.G_mnist_mode_recovery,
                              architecture.mode_recovery_generator_layers, colours_last),
    'D_mnist_mode_recovery': (networks.D_mnist_mode_recovery,
                              architecture.mode_recovery_discriminator_layers, list),
}


# ---------------------------------------------------------------- values

class _Parameters:
    """The flat list of a network's parameters, taken one by one."""

    def __init__(self, func, values):
        self._func = func
        self._values = values
        self._taken = 0

    def take(self, layer, what, shape):
        """Return the next parameter as a float32 array. Raise DataError if its shape is wrong."""
        where = (f'Theano network {self._func!r}: parameter {self._taken}, the {what} of '
                 f'{layer.name},')
        if self._taken == len(self._values):
            raise DataError(f'{where} is missing: param_values has {len(self._values)} entries. '
                            f'{_ADVICE}')
        value = self._values[self._taken]
        if not isinstance(
                value, (np.ndarray, np.generic)) or value.dtype.kind != 'f' or value.shape != shape:
            raise DataError(f'{where} must be a float array of shape {list(shape)}. Received: '
                            f'{_describe(value)}. The options in build_func_spec and the arrays '
                            'in param_values do not match. ' + _ADVICE)
        self._taken += 1
        return np.asarray(value, np.float32)

    def check_all_taken(self):
        if self._taken < len(self._values):
            raise DataError(f'Theano network {self._func!r}: expected {self._taken} entries in '
                            'param_values by the options in build_func_spec. Received: '
                            f'{len(self._values)}. {_ADVICE}')


def _read_lod(func, toplevel, highest):
    """cur_lod as a float32 number: from 0, the full resolution, to the lod of 4x4."""
    value = _part(toplevel, 'cur_lod', (np.ndarray, np.generic, float, int), 'toplevel_params')
    number = np.asarray(value)
    if number.dtype.kind not in 'fi' or number.shape != () or not 0 <= number <= highest:
        raise DataError(f'Theano network {func!r}: cur_lod must be a number from 0 to {highest}. '
                        f'Received: {_describe(value)}. {_ADVICE}')
    return np.float32(number)


def _describe(value):
    """Short description of a value for messages."""
    if isinstance(value, (np.ndarray, np.generic)):
        if not value.shape:
            return repr(value.item())
        return f'an array of shape {list(value.shape)} and dtype {value.dtype}'
    # Python refuses to print very large integers.
    if isinstance(value, int) and value.bit_length() > 256:
        return f'an integer of {value.bit_length()} bits'
    return f'{value!r:.100}'
