"""legacy: networks of the Theano version are converted as the original converts them; whatever else
a file says is an error.
"""
import copy
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

import legacy
import misc
import tfutil
from pgan.errors import DataError
from tests.support.golden import GOLDEN, ROOT, load_json, load_npz
from tests.support.networks import max_abs
from tests.support.theano_snapshots import load_bytes, load_state, theano_bytes, theano_weight

THEANO = load_json('theano.json')
CASES = ('wscale', 'progressive8', 'unknown')
NAMES = ('G', 'D', 'Gs')


class TheanoPickle(pickle.Unpickler):
    """Reads the states in a Theano snapshot, to write them anew with a change."""

    def find_class(self, module, name):
        return types.SimpleNamespace if (module,
                                         name) == ('network',
                                                   'Network') else super().find_class(module, name)


def states_of(case):
    """The states of (G, D, Gs) in a golden snapshot."""
    with open(GOLDEN / f'theano-{case}.pkl', 'rb') as file:
        return [vars(network) for network in TheanoPickle(file, encoding='latin1').load()]


def assert_equal_networks(received, expected):
    assert type(received) is tfutil.Network
    assert (received.name, received.static_kwargs,
            list(received.vars)) == (expected.name, expected.static_kwargs, list(expected.vars))
    for name in expected.vars:
        np.testing.assert_array_equal(received.get_var(name), expected.get_var(name))


# ------------------------------------------------------------ golden

@pytest.fixture(scope='module')
def golden():
    """The networks of the three golden snapshots: {case: {name: network}}."""
    return {
        case: dict(zip(NAMES, misc.load_pkl(GOLDEN / f'theano-{case}.pkl'), strict=True))
        for case in CASES
    }


@pytest.mark.parametrize('case', CASES)
def test_what_is_printed(case, capsys):
    misc.load_pkl(GOLDEN / f'theano-{case}.pkl')
    assert capsys.readouterr().out == THEANO[case]['stdout']


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('case', CASES)
def test_networks_are_those_of_the_original(case, name, golden):
    net, expected, data = golden[case][name], THEANO[case]['networks'][name], load_npz(
        f'theano-{case}.npz')
    assert type(net) is tfutil.Network
    assert (net.name, net.__getstate__()['build_func_name']) == (expected['name'],
                                                                 expected['build_func_name'])
    assert net.static_kwargs == expected['static_kwargs']
    assert [[n, v.shape.as_list(), v.dtype.name]
            for n, v in net.vars.items()] == expected['variables']
    assert list(net.trainables) == expected['trainables']
    assert (net.input_names, net.output_names) == (expected['input_names'],
                                                   expected['output_names'])
    assert (net.input_shapes, net.output_shapes) == (expected['input_shapes'],
                                                     expected['output_shapes'])
    assert net.lod == expected['stored_lod']
    for local_name in net.vars:
        np.testing.assert_allclose(net.get_var(local_name), data[f'{name}/var/{local_name}'],
                                   rtol=1e-6)


@pytest.mark.parametrize(('case', 'i'),
                         [(case, i) for case in CASES for i in range(len(THEANO[case]['lods']))])
def test_outputs_are_those_of_the_original(case, i, golden):
    nets, data = {name: net.clone()
                  for name, net in golden[case].items()}, load_npz(f'theano-{case}.npz')
    assert THEANO[case]['lods'][0] == pytest.approx(golden[case]['G'].lod)
    for name in ('G', 'Gs'):
        nets[name].set_var('lod', THEANO[case]['lods'][i])
        images = nets[name].run(data['latents'], np.zeros([5, 0]))
        assert max_abs(images, data[f'{name}/images/{i}']) < 1e-4
    if case == 'unknown':
        np.testing.assert_array_equal(nets['D'].run(data['D/dummy_in']), data['D/dummy_out'])
        return
    nets['D'].set_var('lod', THEANO[case]['lods'][i])
    for count in (5, 16, 32):
        scores, _ = nets['D'].run(data['D_images'][:count])
        assert max_abs(scores, data[f'D/scores{count}/{i}']) < 1e-4


# ------------------------------------------------------------ options

def wscale_state(net):
    return states_of('wscale')[NAMES.index(net)]


# What the original refused and this version has layers for: the options alone do not fit the
# arrays, except for a layer without any.
WITH_OTHER_ARRAYS = {('G', 'label_size'), ('G', 'use_batchnorm'), ('D', 'label_size'),
                     ('D', 'mbdisc_kernels'), ('D', 'use_layernorm')}


@pytest.mark.parametrize('change', THEANO['single_option_changes'],
                         ids=lambda c: f'{c["net"]}-{c["option"]}-{c["value"]}')
def test_one_option_changed(change, in_tmp, golden):
    state = wscale_state(change['net'])
    state['build_func_spec'][change['option']] = change['value']
    place = change['net'], change['option']
    if place == ('G', 'tanh_at_end'):
        net = load_state(state)
        assert net.static_kwargs == {**golden['wscale']['G'].static_kwargs, 'tanh_at_end': 1.0}
        latents = np.random.RandomState(0).randn(3, 16)
        assert max_abs(net.run(latents), np.tanh(golden['wscale']['G'].run(latents))) < 1e-6
    elif place == ('D', 'mbstat_avg') and change['value'] == 'spatial':
        with pytest.raises(DataError,
                           match="option 'mbstat_avg' must be 'all', or None. Received: 'spatial'"):
            load_state(state)
    elif not change['accepted'] and (place in WITH_OTHER_ARRAYS or place == ('D', 'mbstat_avg')):
        with pytest.raises(DataError, match='param_values'):
            load_state(state)
    elif change['accepted']:
        net = load_state(state)
        assert net.static_kwargs == change['static_kwargs']
        np.testing.assert_array_equal(net.get_var('4x4/Conv/weight'),
                                      golden['wscale'][change['net']].get_var('4x4/Conv/weight'))
    else:
        words = (f'has the option {change["option"]} = {change["value"]!r}, which cannot .* '
                 'Supported: ')
        with pytest.raises(DataError, match=words):
            load_state(state)


@pytest.mark.parametrize('case', THEANO['options_left_out'],
                         ids=lambda c: f'{c["net"]}-{c["option_left_out"]}')
def test_one_option_left_out(case, in_tmp, golden):
    """The default takes its place; arrays that fit another value than the default are not forced
    into the network.
    """
    state = wscale_state(case['net'])
    del state['build_func_spec'][case['option_left_out']]
    assert legacy.convert_options(state['build_func_spec']) == case['static_kwargs']
    if case['option_left_out'] in ('num_channels', 'fmap_base'):
        words = (r'must be a float array of shape \[.*Received: an array of shape .*'
                 'do not belong together')
        with pytest.raises(DataError, match=words):
            load_state(state)
        expected = random_network(case['net'], case['static_kwargs'])
        state['param_values'] = theano_parameters(expected, use_wscale=True)
    else:
        expected = golden['wscale'][case['net']]
    net = load_state(state)
    assert net.static_kwargs == case['static_kwargs']
    for name in expected.trainables:
        np.testing.assert_allclose(net.get_var(name), expected.get_var(name), rtol=1e-6)


@pytest.mark.parametrize(
    ('option', 'value', 'text'),
    [('tanh_at_end', 0.0, 'has the option tanh_at_end = '),
     ('mbdisc_kernels', 0, "option 'mbdisc_kernels' must be a whole number above 0"),
     ('label_size', None, "option 'label_size' must be"),
     ('use_layernorm', None, "option 'use_layernorm' must be True or False"),
     ('mbstat_avg', np.float32(1), "option 'mbstat_avg' must be 'all', or None"),
     ('label_size', [0], "option 'label_size' must be")])
def test_values_near_the_supported_ones_are_refused(option, value, text, in_tmp):
    state = wscale_state('D')
    state['build_func_spec'][option] = value
    with pytest.raises(DataError, match=text):
        load_state(state)


def test_numpy_numbers_are_numbers(in_tmp, golden):
    state = wscale_state('G')
    spec = state['build_func_spec']
    spec.update(resolution=np.int64(16), fmap_base=np.float64(64), use_wscale=np.bool_(True),
                label_size=np.int32(0))
    net = load_state(state)
    assert_equal_networks(net, golden['wscale']['G'])
    assert not any(isinstance(value, np.generic) for value in net.static_kwargs.values())


# ------------------------------------------------------------ the inverse mapping

def random_network(net, static_kwargs, seed=0):
    """A network of this version with random variables."""
    network = tfutil.Network(net, f'networks.{net}_paper', **static_kwargs)
    random = np.random.RandomState(seed)
    for name, var in network.trainables.items():
        network.set_var(name, random.randn(*var.shape).astype(np.float32))
    return network


def theano_order(network):
    """Names of the layers in the order of a Theano network's parameters."""
    resolution = network.static_kwargs.get('resolution', 32)
    upward = [2 ** k for k in range(3, 11) if 2 ** k <= resolution]
    lods = range(len(upward) + 1)
    if 'ToRGB_lod0/bias' in network.vars:
        convs = [f'{r}x{r}/Conv{i}' for r in upward for i in (0, 1)]
        return ['4x4/Dense', '4x4/Conv', *convs, *[f'ToRGB_lod{lod}' for lod in lods]]
    blocks = [[f'{r}x{r}/Conv0', f'{r}x{r}/Conv1', f'FromRGB_lod{lod + 1}']
              for lod, r in zip(lods, upward[::-1])]
    return ['FromRGB_lod0', *sum(blocks, []), '4x4/Conv', '4x4/Dense0', '4x4/Dense1']


def theano_parameters(network, use_wscale, seed=1):
    """The flat list of a Theano network's parameters that must be converted to this network's."""
    random, parameters = np.random.RandomState(seed), []
    for name in theano_order(network):
        weight, bias = network.get_var(f'{name}/weight').astype(
            np.float64), network.get_var(f'{name}/bias')
        weight, gain = theano_weight(name, weight)
        if use_wscale:
            fan_in = weight.size // (len(bias) * (16 if name == '4x4/Dense' else 1))
            scale = np.float32(random.uniform(0.01, 3.0))
            parameters += [(weight * (gain / np.sqrt(fan_in)) / scale).astype(np.float32),
                           np.array(scale), bias]
        else:
            parameters += [weight.astype(np.float32), bias]
    return parameters


@pytest.mark.parametrize('net', ['G', 'D'])
@pytest.mark.parametrize('use_wscale', [True, False])
@pytest.mark.parametrize(
    'sizes',
    [
        dict(resolution=4, num_channels=3, fmap_base=24, fmap_max=9),
        dict(resolution=8, num_channels=1, fmap_base=37, fmap_max=16, fmap_decay=0.5,
             latent_size=5),
        dict(resolution=32, num_channels=3, fmap_base=64, fmap_max=24),
        dict(resolution=16, num_channels=3, fmap_base=24, fmap_max=512),  # nf(0) is not nf(1)
        dict(resolution=64, num_channels=2, fmap_base=128, fmap_max=7, use_leakyrelu=False,
             normalize_latents=False, use_pixelnorm=False),
    ],
    ids=lambda sizes: str(sizes['resolution']))
def test_conversion_undoes_the_inverse_mapping(sizes, use_wscale, net, in_tmp):
    expected = random_network(
        net, dict(sizes, use_wscale=use_wscale, fused_scale=False, mbstd_group_size=16))
    lod = np.float32(np.log2(sizes['resolution']) - 2) * np.float32(0.7)
    received = load_state(
        dict(build_func_spec=dict(sizes, func=f'{net}_paper',
                                  use_wscale=use_wscale), toplevel_params={'cur_lod': lod},
             build_module_src='', param_values=theano_parameters(expected, use_wscale)))
    assert received.static_kwargs == expected.static_kwargs
    assert received.lod == lod
    for name in expected.trainables:
        np.testing.assert_allclose(received.get_var(name), expected.get_var(name),
                                   rtol=1e-6 if use_wscale else 0)


# ------------------------------------------------------------ forms of files, uses of networks

@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_files_that_python_3_wrote(protocol, in_tmp, golden):
    for net, expected in zip(load_bytes(theano_bytes(states_of('wscale'), protocol)),
                             golden['wscale'].values(), strict=True):
        assert_equal_networks(net, expected)


@pytest.mark.parametrize('dtype', ['>f4', '<f8', '<f2'])
def test_arrays_end_as_float32(dtype, in_tmp, golden):
    state = wscale_state('G')
    state['param_values'] = [np.asarray(value, dtype) for value in state['param_values']]
    assert all(value.dtype == np.float32 for _, value in legacy.convert_state(state)['variables'])
    net = load_state(state)
    for name, var in golden['wscale']['G'].vars.items():
        assert net.vars[name].dtype == 'float32'
        np.testing.assert_allclose(net.get_var(name), var.numpy(),
                                   rtol=2e-3 if dtype == '<f2' else 1e-6, atol=1e-6)


def test_converted_networks_are_saved_and_loaded_as_this_programs(in_tmp, golden):
    for case in CASES:
        misc.save_pkl(tuple(golden[case].values()), f'{case}.pkl')
        for net, expected in zip(misc.load_network_pkl(f'{case}.pkl'), golden[case].values(),
                                 strict=True):
            assert_equal_networks(net, expected)
            assert_equal_networks(net.clone(), expected)


def test_a_fresh_process_reads_converted_networks(in_tmp, golden):
    """Dummy's build function is known without importing anything first; to plain pickle, too."""
    misc.save_pkl(tuple(golden['unknown'].values()), 'a.pkl')
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import misc, numpy as np, pickle
for nets in (misc.load_pkl('a.pkl'), pickle.load(open('a.pkl', 'rb'))):
    scores, images = nets[1].run(np.float32([[3], [4]])), nets[2].run(np.zeros([2, 8]))
    print(nets[1].name, scores.tolist(), images.shape)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ['Dummy [[3.0], [4.0]] (2, 1, 8, 8)'] * 2, done.stderr


def test_plain_pickle_does_not_read_theano_files():
    with open(GOLDEN / 'theano-wscale.pkl',
              'rb') as file, pytest.raises(ModuleNotFoundError, match='network'):
        pickle.load(file, encoding='latin1')


def test_runs_of_the_theano_version_are_found(in_tmp, golden):
    folder = in_tmp / 'results' / '007-theano'
    folder.mkdir(parents=True)
    (folder / 'network-final.pkl').write_bytes((GOLDEN / 'theano-progressive8.pkl').read_bytes())
    for net, expected in zip(misc.load_network_pkl(7), golden['progressive8'].values(),
                             strict=True):
        assert_equal_networks(net, expected)


def test_dummy_has_a_table(golden, capsys):
    golden['unknown']['D'].print_layers()
    assert 'Dummy' in capsys.readouterr().out


# ------------------------------------------------------------ hostile and malformed

def change(*path, value):
    """A function that puts a value in place of the one at a path in a state."""
    def apply(state):
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value
    return apply


def lack(*path):
    """A function that takes away what is at a path in a state."""
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
                                      'the name of an option must be text. Received: 3'),
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
                               'its options make no network: no feature maps are left'),
    'fmap_base is huge': (spec(fmap_base=10**400),
                          "'fmap_base' must be a finite number. Received: an integer of 1329 bits"),
    'fmap_decay is huge': (spec(fmap_decay=-1e200), 'its options make no network'),
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
        # Names too long to be made.
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
    """Options are kept and pickled with the network, so they are plain values."""
    state = dict(UNKNOWN_STATE,
                 build_func_spec={**UNKNOWN_STATE['build_func_spec'], 'extra': 'PLACE'})
    text = pickle.dumps(state, protocol=2)[2:-1]
    place = pickle.dumps('PLACE', protocol=2)[2:-1]
    place = place[:place.index(b'PLACE') + 5]
    assert text.count(place) == 1
    with pytest.raises(
            DataError,
            match="option 'extra' must be a number, a truth value, text, None or a list of these"):
        load_bytes(b'\x80\x02' + BLANK + text.replace(place, b'cnetwork\nNetwork\n') + b'b.')


def test_truncated_at_any_place(in_tmp):
    data = (GOLDEN / 'theano-unknown.pkl').read_bytes()
    for length in range(1, len(data), 997):
        with pytest.raises(DataError, match='theano.pkl'):
            load_bytes(data[:length])
