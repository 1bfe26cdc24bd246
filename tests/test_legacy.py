"""legacy: networks of the Theano version are converted as in the original; malformed files are
errors.
"""
import pickle
import subprocess
import sys

import numpy as np
import pytest

import legacy
import misc
import tfutil
from pgan.errors import DataError
from tests.support.golden import GOLDEN, ROOT, load_json, load_npz
from tests.support.networks import max_abs
from tests.support.theano_snapshots import (
    load_bytes,
    load_state,
    states_of,
    theano_bytes,
    theano_weight,
)

THEANO = load_json('theano.json')
CASES = ('wscale', 'progressive8', 'unknown')
NAMES = ('G', 'D', 'Gs')


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


@pytest.mark.first(2, rest='slow')
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


# What the original refused and this version has layers for: the options alone do not match the
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
    """The default takes its place. Arrays for a value other than the default are not forced into
    the network.
    """
    state = wscale_state(case['net'])
    del state['build_func_spec'][case['option_left_out']]
    assert legacy.convert_options(state['build_func_spec']) == case['static_kwargs']
    if case['option_left_out'] in ('num_channels', 'fmap_base'):
        words = (r'must be a float array of shape \[.*Received: an array of shape .*'
                 'do not match')
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
    """Layer names in the order of a Theano network's parameters."""
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
    """The Theano network's flat list of parameters that is converted to this network."""
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


@pytest.mark.slow
def test_a_fresh_process_reads_converted_networks(in_tmp, golden):
    """The build function of Dummy is known without importing anything first, also to plain pickle.
    """
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
