"""Networks of the Theano version of this program, turned into this version's.

A Theano network is pickled as a flat list of arrays and the options of the function that built it.
What that list means is written here as it is: one table per network says which layers follow each
other (`_generator_layers` and the others), one row per kind of layer says how its weight is laid
out (`_CONV` and the others). Everything in a file is checked against these before a network is
built, so that options in a file cannot ask for more memory than its arrays fill. """
import inspect
import itertools
import math
import sys
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

import networks
import tfutil
from pgan.errors import ConfigError, DataError, did_you_mean
from pgan.nn import mode_recovery
from pgan.nn.layers import GAIN
from pgan.nn.theano_layers import BatchNorm, LayerNorm

_ADVICE = ('The file is damaged or was not written by the Theano version; copy it again, or use '
           'another snapshot.')


class TheanoNetwork(tfutil.Network):
    """What a pickled Theano network is while it is read: setting its state makes it an ordinary
    `tfutil.Network`.
    """

    def __setstate__(self, state):
        state = convert_state(state)
        self.__class__ = tfutil.Network
        try:
            self.__setstate__(state)
        except ConfigError as error:
            raise DataError(f'Theano {str(error).rstrip(".")}. {_ADVICE}') from error


def dummy(**_ignored):
    """Build function of a network that stands for one of an unknown function: [N, 1] to the same
    [N, 1]; no variables.
    """
    x = keras.Input([1], name='input')
    return keras.Model(x, x, name='dummy')


def convert_state(state):
    """Turn the state of a pickled Theano network into that of a `tfutil.Network`.

    Args:
        state: dict of build_func_spec (dict of `func` and its options), param_values (flat list of
            arrays) and toplevel_params (dict of the scalar `cur_lod` and others). The source text
            that comes with it is not looked at.

    Returns:
        A state of version 2. For an unknown function, or a mode recovery network that is not as
        expected, that of the network 'Dummy', and a line is printed.

    Raises:
        DataError: an option that this version lacks, arrays that do not fit the options, or a state
    of another form. """
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
        # The original knew nothing of these two, and loaded what else is in the file.
        print(error, file=sys.stderr)
        return _ignore(func)


def _ignore(func):
    print(f'Ignoring unknown Theano network: {func}')
    return _state('Dummy', 'dummy', {}, [])


def _convert_known(func, spec, params, toplevel):
    build_func, list_layers = _FUNCTIONS[func]
    static_kwargs = convert_options(spec)
    options = _Options({'X': 1, **_defaults(build_func), **static_kwargs})
    lod = _read_lod(func, toplevel, options.log2_resolution - 2)
    return _state(func, build_func.__name__, static_kwargs,
                  [('lod', lod), *_variables(func, options, list_layers, params)])


def convert_options(spec):
    """The static keywords of a converted network.

    Args:
        spec: the Theano network's build_func_spec: `func`, and options of which any may be left
            out.

    Raises:
        DataError: an option has a value that this version does not support, or one that is no such
    thing. """
    func = spec['func']
    defaults = _defaults(_FUNCTIONS[func][0])
    options = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in spec.items() if name != 'func'
    }
    for name, value in options.items():
        if not isinstance(name, str):
            raise DataError(f'Theano network {func!r}: the name of an option must be text. '
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
    """An entry of a dict of the file, which must be there and of a kind."""
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
    """What an option's value must be: a test, and its words."""
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


_PLAIN = _Expected(_is_plain, 'a number, a truth value, text, None or a list of these')
_COUNT = _Expected(_is_count, 'a whole number above 0')
_NUMBER = _Expected(_is_number, 'a finite number')
_FLAG = _Expected(lambda value: type(value) in (bool, int) and value in (0, 1), 'True or False')
_EXPECTED = {
    'num_channels': _COUNT, 'resolution': _Expected(
        lambda value: _is_count(value) and value >= 4 and not value & (value - 1),
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

# Options of layers that not every network has: the value that leaves the layer out, or that asks
# for the one there is.
_LEAVES_OUT = {
    'label_size': 0,
    'use_batchnorm': False,
    'tanh_at_end': None,
    'mbstat_func': 'Tstdeps',
    'mbstat_avg': 'all',
    'mbdisc_kernels': None,
    'use_layernorm': False,
}

# Noise in training only: it changes neither parameters nor outputs. And the name of the one
# minibatch statistic that there is.
_WITHOUT_EFFECT = {'use_gdrop', 'mbstat_func'}

# Options that converted networks get by their function; the paper's networks get two more.
_ADDED = {'G_mnist_mode_recovery': {}, 'D_mnist_mode_recovery': {}}


def _check_supported(func, name, value):
    supported = _LEAVES_OUT[name]
    if not _is_plain(value) or value != supported:
        raise DataError(f'Theano network {func!r} has the option {name} = {_describe(value)}, '
                        f'which cannot be converted. Supported: {name} = {supported!r}. Use a '
                        'snapshot of a network that was trained with it.')


def _defaults(build_func):
    parameters = inspect.signature(build_func).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


class _Options:
    """Sizes that the layers' tables need, from all options of a network, defaults included."""

    def __init__(self, options):
        self.width = networks.Width(options['fmap_base'] / options['X'], options['fmap_decay'],
                                    options['fmap_max'])
        self.num_channels, self.resolution, self.use_wscale = options['num_channels'], options[
            'resolution'], options['use_wscale']
        self.log2_resolution = self.resolution.bit_length() - 1
        self.label_size = options['label_size']
        self.kernels = options.get('mbdisc_kernels') or 0
        self.has_mbstat, self.progressive = options.get('mbstat_avg') == 'all', options.get(
            'progressive')
        self.norm = BatchNorm if options.get('use_batchnorm') else LayerNorm if options.get(
            'use_layernorm') else None
        self._latent_size = options.get('latent_size')

    @property
    def latent_size(self):
        return self.width(0) if self._latent_size is None else self._latent_size


# ---------------------------------------------------------------- layers

class _Kind(NamedTuple):
    """How the weight of a kind of layer is laid out: its shape by (inputs, fmaps) in Theano's
    layout; the way to this version's.
    """
    shape: Callable
    convert: Callable


# Theano convolves, TensorFlow correlates: kernels are reversed in space.
_CONV = _Kind(lambda inputs, fmaps: (fmaps, inputs, 3, 3),
              lambda w: w.transpose(2, 3, 1, 0)[::-1, ::-1])
_CONV_1X1 = _Kind(lambda inputs, fmaps: (inputs, fmaps), lambda w: w[np.newaxis, np.newaxis])
_DENSE_TO_IMAGE = _Kind(lambda inputs, fmaps: (fmaps, inputs, 4, 4),
                        lambda w: w.swapaxes(0, 1).reshape(w.shape[1], -1))
_DENSE_OF_IMAGE = _Kind(lambda inputs, fmaps: (fmaps, inputs, 4, 4),
                        lambda w: w[:, :, ::-1, ::-1].reshape(len(w), -1).T)
_DENSE = _Kind(lambda inputs, fmaps: (inputs, fmaps), lambda w: w)


class _Layer(NamedTuple):
    """A weighted layer: its local name, the number of incoming and outgoing feature maps, its He
    gain, what takes the bias's place.
    """
    name: str
    kind: _Kind
    inputs: int
    fmaps: int
    gain: float = GAIN
    norm: type | None = None

    def variables(self, use_wscale, parameters):
        """A layer's parameters: its weight, with use_wscale the scalar that the weight is
        multiplied by, and its bias or normalization.
        """
        weight = self.kind.convert(
            parameters.take(self, 'weight', self.kind.shape(self.inputs, self.fmaps)))
        if use_wscale:
            he_std = self.gain / math.sqrt(math.prod(weight.shape[:-1]))
            weight = weight * np.float32(parameters.take(self, 'scale', ()) / he_std)
        yield f'{self.name}/weight', weight
        for part in _NORM_PARTS[self.norm]:
            path = f'{self.norm.__name__}/{part}' if self.norm else part
            yield f'{self.name}/{path}', parameters.take(self, part, () if part == 'gain' else
                                                         (self.fmaps, ))


# Lasagne's batch normalization keeps the reciprocal of the standard deviation.
_NORM_PARTS = {
    None: ['bias'], BatchNorm: ['beta', 'gamma', 'mean', 'inv_std'], LayerNorm: ['gain', 'bias']
}


class _MinibatchDiscrimination(NamedTuple):
    """The layer of that name: incoming features and kernels."""
    inputs: int
    kernels: int
    name: str = '4x4/MinibatchDiscrimination'

    def variables(self, use_wscale, parameters):
        for part, shape in (('theta', (self.inputs, self.kernels, 5)),
                            ('log_weight_scale', (self.kernels, 5)), ('bias', (self.kernels, ))):
            yield f'{self.name}/{part}', parameters.take(self, part, shape)


class _Output(NamedTuple):
    """The last dense layer of a discriminator: two of Theano's, for the score and for the labels,
    side by side.
    """
    name: str
    inputs: int
    label_size: int

    def variables(self, use_wscale, parameters):
        parts = [
            _Layer(self.name, _DENSE, self.inputs, size, gain=1.0) for size in (1, self.label_size)
            if size
        ]
        values = [[value for _, value in part.variables(use_wscale, parameters)] for part in parts]
        yield f'{self.name}/weight', np.concatenate([weight for weight, _ in values], axis=1)
        yield f'{self.name}/bias', np.concatenate([bias for _, bias in values])


def _generator_layers(options):
    """The layers in the order of the Theano network's parameters: upward, then all ToRGB
    downward.
    """
    nf, top, norm = options.width, options.log2_resolution, options.norm
    yield _Layer('4x4/Dense', _DENSE_TO_IMAGE, options.latent_size + options.label_size, nf(1),
                 GAIN / 4, norm)
    yield _Layer('4x4/Conv', _CONV, nf(1), nf(1), norm=norm)
    for r in range(3, top + 1):
        yield _Layer(f'{2 ** r}x{2 ** r}/Conv0', _CONV, nf(r - 2), nf(r - 1), norm=norm)
        yield _Layer(f'{2 ** r}x{2 ** r}/Conv1', _CONV, nf(r - 1), nf(r - 1), norm=norm)
    for r in range(top, 1, -1):
        yield _Layer(f'ToRGB_lod{top - r}', _CONV_1X1, nf(r - 1), options.num_channels, gain=1.0)


def _discriminator_layers(options):
    """The layers in the order of the Theano network's parameters: downward, each FromRGB before the
    first layer that sees it.
    """
    nf, top, norm = options.width, options.log2_resolution, options.norm
    yield _Layer('FromRGB_lod0', _CONV_1X1, options.num_channels, nf(top - 1))
    for r in range(top, 2, -1):
        yield _Layer(f'{2 ** r}x{2 ** r}/Conv0', _CONV, nf(r - 1), nf(r - 1), norm=norm)
        yield _Layer(f'{2 ** r}x{2 ** r}/Conv1', _CONV, nf(r - 1), nf(r - 2), norm=norm)
        yield _Layer(f'FromRGB_lod{top - r + 1}', _CONV_1X1, options.num_channels, nf(r - 2))
    # One more for the minibatch statistic.
    yield _Layer('4x4/Conv', _CONV, nf(1) + options.has_mbstat, nf(1), norm=norm)
    yield _Layer('4x4/Dense0', _DENSE_OF_IMAGE, nf(1), nf(0), norm=norm)
    if options.kernels:
        yield _MinibatchDiscrimination(nf(0), options.kernels)
    yield _Output('4x4/Dense1', nf(0) + options.kernels, options.label_size)


def _mode_recovery_generator_layers(options):
    """As `_generator_layers`, of the network for MNIST-RGB, whose ToRGB are 3x3."""
    nf, top, norm = options.width, options.log2_resolution, options.norm
    first = mode_recovery.FIRST_FMAPS
    yield _Layer('4x4/Dense', _DENSE_TO_IMAGE, options.latent_size + options.label_size, first,
                 GAIN / 4, norm)
    for r in range(3, top + 1):
        yield _Layer(f'{2 ** r}x{2 ** r}/Conv', _CONV, first if r == 3 else nf(r - 3), nf(r - 2),
                     norm=norm)
    for r in range(top, 1, -1) if options.progressive else [top]:
        yield _Layer(f'ToRGB_lod{top - r}', _CONV, first if r == 2 else nf(r - 2),
                     options.num_channels, gain=1.0)


def _mode_recovery_discriminator_layers(options):
    """As `_discriminator_layers`, of the network for MNIST-RGB, whose last layer is an ordinary
    dense one.
    """
    nf, top, norm = options.width, options.log2_resolution, options.norm
    inputs = nf(max(top - 2, 0)) if options.progressive else options.num_channels
    if options.progressive:
        yield _Layer('FromRGB_lod0', _CONV_1X1, options.num_channels, inputs)
    for r in range(top, 2, -1):
        yield _Layer(f'{2 ** r}x{2 ** r}/Conv', _CONV, inputs, nf(r - 2), norm=norm)
        inputs = nf(r - 2)
        if options.progressive:
            yield _Layer(f'FromRGB_lod{top - r + 1}', _CONV_1X1, options.num_channels, inputs)
    yield _Output('4x4/Dense', (inputs + options.has_mbstat) * 16, options.label_size)


# The Theano version's build functions: this version's, and the table of their layers.
_FUNCTIONS = {
    'G_paper': (networks.G_paper, _generator_layers),
    'G_progressive_8': (networks.G_paper, _generator_layers),
    'D_paper': (networks.D_paper, _discriminator_layers),
    'D_progressive_8': (networks.D_paper, _discriminator_layers),
    'G_mnist_mode_recovery': (networks.G_mnist_mode_recovery, _mode_recovery_generator_layers),
    'D_mnist_mode_recovery': (networks.D_mnist_mode_recovery, _mode_recovery_discriminator_layers),
}


# ---------------------------------------------------------------- values

def _variables(func, options, list_layers, params):
    """List of (local name, float32 array) of all layers; every parameter is used, none twice."""
    parameters = _Parameters(func, params)
    try:  # No more layers than parameters: a file may ask for any resolution.
        layers = list(itertools.islice(list_layers(options), len(params) + 1))
    except (ValueError, ArithmeticError) as error:
        raise DataError(f'Theano network {func!r}: its options make no network: '
                        f'{str(error).rstrip(".")}. {_ADVICE}') from error
    variables = []
    for layer in layers:
        variables += layer.variables(options.use_wscale, parameters)
    parameters.check_all_taken()
    return variables


class _Parameters:
    """The flat list of a network's parameters, taken one after the other."""

    def __init__(self, func, values):
        self._func = func
        self._values = values
        self._taken = 0

    def take(self, layer, what, shape):
        """The next parameter as a float32 array, if it has the shape that the layer needs."""
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
                            'in param_values do not belong together. ' + _ADVICE)
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
    """A value of the file in a few words; numbers as they are."""
    if isinstance(value, (np.ndarray, np.generic)):
        if not value.shape:
            return repr(value.item())
        return f'an array of shape {list(value.shape)} and dtype {value.dtype}'
    # Python refuses to print very large ones.
    if isinstance(value, int) and value.bit_length() > 256:
        return f'an integer of {value.bit_length()} bits'
    return f'{value!r:.100}'
