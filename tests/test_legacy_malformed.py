"""legacy: malformed and malicious snapshots of the Theano version; the error is named."""
import copy
import pickle

import numpy as np
import pytest

import tfutil
from pgan.errors import DataError
from tests.support.golden import GOLDEN
from tests.support.theano_snapshots import load_bytes, load_state, states_of


def change(*path, value):
    """Return a function that replaces the value at a path in a state."""
    def apply(state):
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value
    return apply


def lack(*path):
    """Return a function that removes the value at a path in a state."""
    def apply(state):
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]
    return apply


def spec(**options):
    return lambda state: state['build_func_spec'].update(options)


ZERO = np.float32(0)
MALFORMED = {
    'no options': (lack('build_func_spec'), "the state lacks 'build_func_spec'"),
    'no parameters': (lack('param_values'), "the state lacks 'param_values'"),
    'no toplevel_params': (lack('toplevel_params'), "the state lacks 'toplevel_params'"),
    'no function': (lack('build_func_spec', 'func'),
                    "build_func_spec lacks 'func'"), 'no lod': (lack('toplevel_params', 'cur_lod'),
                                                                "toplevel_params lacks 'cur_lod'"),
    'options are a list': (change('build_func_spec', value=['func']),
                           "'build_func_spec' .* must be of type dict. Received: list"),
    'parameters are a dict': (change('param_values', value={}),
                              "'param_values' .* must be of type list or tuple. Received: dict"),
    'parameters are one array': (change('param_values', value=np.zeros(16)),
                                 "'param_values' .* must be of type list or tuple"),
    'toplevel_params is None': (change('toplevel_params', value=None),
                                "'toplevel_params' .* must be of type dict. Received: NoneType"),
    'function is a number': (spec(func=3),
                             "'func' of build_func_spec must be of type str. Received: int"),
    'function with control characters': (spec(func='\x1b[2J'), r"names a function '\\x1b\[2J'"),
    'name of an option is a number': (change('build_func_spec', 3, value=3),
                                      'the name of an option must be a string. Received: 3'),
    'option is an array': (spec(some_unknown_option=np.zeros(3)),
                           r"option' must be a number, .*Received: an array of shape \[3\]"),
    'resolution is text': (spec(resolution='8'),
                           "'resolution' must be a power of two, at least 4. Received: '8'"),
    'resolution 12': (spec(resolution=12),
                      'must be a power of two'), 'resolution 2': (spec(resolution=2),
                                                                  'must be a power of two'),
    'resolution has too many digits': (spec(resolution=3**20000),
                                       'must be a power of two, .*Received: an integer of'),
    'resolution -8': (spec(resolution=-8), 'must be a power of two'),
    'fmap_max 0': (spec(fmap_max=0), "'fmap_max' must be a whole number above 0. Received: 0"),
    'fmap_base is nan': (spec(fmap_base=float('nan')),
                         "'fmap_base' must be a finite number. Received: nan"),
    'fmap_base is too small': (spec(fmap_base=1),
                               'no network can be built from its options: no feature maps are '
                               'left'),
    'fmap_base is huge': (spec(fmap_base=10**400),
                          "'fmap_base' must be a finite number. Received: an integer of 1329 bits"),
    'fmap_decay is huge': (spec(fmap_decay=-1e200), 'no network can be built from its options'),
    'latent_size is half': (spec(latent_size=0.5),
                            "'latent_size' must be .*, or None. Received: 0.5"),
    'use_wscale is text': (spec(use_wscale='no'),
                           "'use_wscale' must be True or False. Received: 'no'"),
    'dtype that is none': (
        spec(dtype='int3'),
        "network 'G_paper': G_paper cannot be built: dtype must be .* Received: dtype='int3'"),
    'too few parameters': (lack(
        'param_values',
        -1), 'parameter 17, the bias of ToRGB_lod1, is missing: param_values has 17 entries'),
    'none at all': (change('param_values',
                           value=[]), 'parameter 0, the weight of 4x4/Dense, is missing'),
    'too many parameters': (lambda state: state['param_values'].append(ZERO),
                            'expected 18 entries in param_values .* Received: 19'),
    'one missing in the middle': (lack(
        'param_values',
        4), r'parameter 4, the scale of 4x4/Conv, .* \[\]. Received: an array .*\[8\]'),
    'wscale where there is none': (spec(
        use_wscale=False), r'parameter 1, the bias of 4x4/Dense, must be .*\[8\]. Received: 0.'),
    'other resolution': (
        spec(resolution=16),
        r'parameter 12, the weight of 16x16/Conv0, .*Received: an array of shape \[4, 1\]'),
    'transposed': (
        lambda state: state['param_values'].__setitem__(12, state['param_values'][12].T),
        r'parameter 12, the weight of ToRGB_lod0, must be .*shape \[4, 1\]. '
        r'Received: an array of shape \[1, 4\]'),
    'parameter is a list': (change('param_values', 2, value=[0.0] * 8),
                            r'parameter 2, the bias of 4x4/Dense, .*Received: \[0.0, '),
    'parameter is text': (change('param_values', 1, value='0.1'),
                          "parameter 1, the scale of 4x4/Dense, .*Received: '0.1'"),
    'parameter is None': (change('param_values', 0, value=None),
                          'parameter 0, the weight of 4x4/Dense, .*Received: None'),
    'parameter of integers': (change('param_values', 2, value=np.zeros(
        8, int)), 'parameter 2, .*Received: an array of .* dtype int64'), 'lod below': (change(
            'toplevel_params', 'cur_lod',
            value=np.float32(-0.5)), 'cur_lod must be a number from 0 to 1. Received: -0.5'),
    'lod above': (change('toplevel_params', 'cur_lod', value=np.float32(1.5)),
                  'cur_lod must be a number from 0 to 1. Received: 1.5'), 'lod is nan': (change(
                      'toplevel_params', 'cur_lod',
                      value=np.float32('nan')), 'cur_lod must be a number .* Received: nan'),
    'lod is an array': (change('toplevel_params', 'cur_lod', value=np.zeros(
        [1])), r'cur_lod must be .* Received: an array of shape \[1\]'), 'lod is text': (change(
            'toplevel_params', 'cur_lod',
            value='0'), "'cur_lod' of toplevel_params must be of type .* Received: str"),
}
UNKNOWN_STATE = states_of('unknown')[0]


@pytest.mark.parametrize(('spoil', 'message'), MALFORMED.values(), ids=MALFORMED)
def test_malformed_states_are_named(spoil, message, in_tmp):
    state = copy.deepcopy(UNKNOWN_STATE)
    spoil(state)
    with pytest.raises(DataError, match=message) as caught:
        load_state(state)
    assert str(caught.value).endswith('use another snapshot.') and '\n' not in str(caught.value)


@pytest.mark.parametrize('state', [None, 3, [1, 2], (None, {'vars': 1}), b'state'])
def test_states_of_another_type(state, in_tmp):
    data = b'\x80\x02cnetwork\nNetwork\n)\x81' + pickle.dumps(state, protocol=2)[2:-1] + b'b.'
    with pytest.raises(DataError,
                       match=f'the state must be a dict. Received: {type(state).__name__}'):
        load_bytes(data)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(fmap_max=10**7, fmap_base=10**9), 'parameter 0, the weight of 4x4/Dense'),
        (dict(latent_size=10**9), 'parameter 0, the weight of 4x4/Dense'),
        (dict(num_channels=10**9), 'parameter 12, the weight of ToRGB_lod0'),
        (dict(resolution=2**4000), 'no feature maps are left at 64x64'),
        # Names that are too long.
        (dict(resolution=2**40000, fmap_decay=0,
              fmap_base=8), 'parameter 6, the weight of 8x8/Conv0'),
    ])
def test_nothing_is_built_before_the_arrays_fit(options, message, in_tmp, monkeypatch):
    """Small files must not reserve much memory."""
    monkeypatch.setattr(tfutil.Network, '_create', lambda *args: pytest.fail('a network was built'))
    state = copy.deepcopy(UNKNOWN_STATE)
    state['build_func_spec'].update(options)
    with pytest.raises(DataError, match=message):
        load_state(state)


@pytest.mark.parametrize('func', ['G_paper', 'some_function', 'os.mkdir', 'mkdir', 'dummy'])
def test_source_in_the_file_is_never_executed(func, in_tmp, capsys):
    state = copy.deepcopy(UNKNOWN_STATE)
    state['build_func_spec']['func'] = func
    state['build_module_src'] = (
        f"open('hacked', 'w')\ndef {func}(**options):\n    open('hacked', 'w')\n")
    net = load_state(state, trust_source=True)
    assert net.name == ('G_paper' if func == 'G_paper' else 'Dummy')
    assert capsys.readouterr().out == ('' if func == 'G_paper' else
                                       f'Ignoring unknown Theano network: {func}\n')
    assert not (in_tmp / 'hacked').exists()


BLANK = b'cnetwork\nNetwork\n)\x81'
ATTACKS = {
    'network without a state': (b'\x80\x02' + BLANK + b'.', 'a Theano network without a state'),
    'networks without a state, in a list': (b'\x80\x02](' + BLANK + BLANK + b'e.',
                                            'a Theano network without a state'),
    'network that is thrown away': (b'\x80\x02' + BLANK + b'0N.',
                                    'a Theano network without a state'),
    'network made by calling its class': (b'cnetwork\nNetwork\n(S"x"\nS"os.getcwd"\ntR.',
                                          'a Theano network without a state'),
    'network as an old instance': (b'(S"x"\nS"os.getcwd"\ninetwork\nNetwork\n.',
                                   'a Theano network without a state'),
    'change of the class': (b'\x80\x02cnetwork\nNetwork\n' + pickle.dumps(
        (None, {'run': 1}), 2)[2:-1] + b'b.', 'tries to change a part'),
    'another class of the module': (b'cnetwork\nOther\n(tR.', 'asks for network.Other'),
    'the converter': (b'clegacy\nconvert_state\n(dtR.', 'asks for legacy.convert_state'),
    'a state of this version': (b'\x80\x02' + BLANK +
                                pickle.dumps(dict(version=2, build_func_name='mkdir'), 2)[2:-1] +
                                b'b.', "the state lacks 'build_func_spec'"),
}


@pytest.mark.parametrize(('data', 'message'), ATTACKS.values(), ids=ATTACKS)
def test_hostile_pickles(data, message, in_tmp):
    with pytest.raises(DataError, match=message):
        load_bytes(data)


def test_a_network_is_not_an_option(in_tmp):
    """Options are stored and pickled with the network, so they must be plain values."""
    state = dict(UNKNOWN_STATE,
                 build_func_spec={**UNKNOWN_STATE['build_func_spec'], 'extra': 'PLACE'})
    text = pickle.dumps(state, protocol=2)[2:-1]
    place = pickle.dumps('PLACE', protocol=2)[2:-1]
    place = place[:place.index(b'PLACE') + 5]
    assert text.count(place) == 1
    with pytest.raises(
            DataError,
            match="option 'extra' must be a number, a bool, a string, None or a list of these"):
        load_bytes(b'\x80\x02' + BLANK + text.replace(place, b'cnetwork\nNetwork\n') + b'b.')


def test_truncated_at_any_place(in_tmp):
    data = (GOLDEN / 'theano-unknown.pkl').read_bytes()
    for length in range(1, len(data), 997):
        with pytest.raises(DataError, match='theano.pkl'):
            load_bytes(data[:length])
