"""legacy: Theano networks with layers that the original could not convert.

No file of such a network is available. The order of parameters is that of Lasagne's layers: weight,
scale, then the normalization's (beta, gamma, mean, inv_std) or (gain, bias); two dense layers for
scores and labels; theta, log_weight_scale, b.
"""
import numpy as np
import pytest

import tfutil
from tests.support.networks import max_abs
from tests.support.theano_snapshots import load_state, theano_weight

PARTS = {'BatchNorm': ['beta', 'gamma', 'mean', 'inv_std'], 'LayerNorm': ['gain', 'bias']}
SIZES = dict(num_channels=3, resolution=8, fmap_base=16, fmap_max=8)
MODES = dict(num_channels=3, resolution=16, fmap_base=32)
G_PAPER = ['4x4/Dense', '4x4/Conv', '8x8/Conv0', '8x8/Conv1', 'ToRGB_lod0', 'ToRGB_lod1']
D_PAPER = [
    'FromRGB_lod0', '8x8/Conv0', '8x8/Conv1', 'FromRGB_lod1', '4x4/Conv', '4x4/Dense0', '4x4/Dense1'
]
G_MODES, D_MODES = ['4x4/Dense', '8x8/Conv', '16x16/Conv',
                    'ToRGB_lod0'], ['16x16/Conv', '8x8/Conv', '4x4/Dense']
CASES = {
    'labels of G': ('G_paper', dict(SIZES, label_size=4),
                    G_PAPER), 'labels of D': ('D_paper', dict(SIZES, label_size=4), D_PAPER),
    'batch normalization': ('G_paper',
                            dict(SIZES, use_batchnorm=True, tanh_at_end=0.5,
                                 use_pixelnorm=False), G_PAPER),
    'layer normalization': ('D_paper', dict(SIZES, use_layernorm=True, mbstat_avg=None), D_PAPER),
    'minibatch discrimination': ('D_paper', dict(SIZES, mbdisc_kernels=6, mbstat_avg=None),
                                 [*D_PAPER[:-1], '4x4/MinibatchDiscrimination', D_PAPER[-1]
                                  ]), 'modes, G': ('G_mnist_mode_recovery', dict(MODES), G_MODES),
    'modes, G without batch normalization': ('G_mnist_mode_recovery',
                                             dict(MODES, use_batchnorm=False,
                                                  label_size=3), G_MODES),
    'modes, progressive G': ('G_mnist_mode_recovery', dict(MODES, progressive=True),
                             [*G_MODES,
                              'ToRGB_lod1', 'ToRGB_lod2']), 'modes, D': ('D_mnist_mode_recovery',
                                                                         dict(MODES, X=2), D_MODES),
    'modes, progressive D': ('D_mnist_mode_recovery',
                             dict(MODES, X=4, progressive=True, use_batchnorm=False,
                                  mbstat_avg='all'), [
                                      'FromRGB_lod0', '16x16/Conv', 'FromRGB_lod1', '8x8/Conv',
                                      'FromRGB_lod2', '4x4/Dense'
                                  ]),
}


def network_of(func, options):
    """A network with random variables instead of initial values."""
    more = {} if 'mode' in func else dict(fused_scale=False, mbstd_group_size=16)
    net = tfutil.Network(func, f'networks.{func}', **options, **more)
    random = np.random.RandomState(0)
    for name, var in net.vars.items():
        if name != 'lod':
            net.set_var(
                name,
                np.abs(random.randn(*var.shape)) +
                0.1 if 'inv_std' in name else random.randn(*var.shape) * 0.5)
    return net


def parameters_of(net, order, use_wscale):
    """The flat list that the Theano version would have pickled."""
    random, values = np.random.RandomState(1), []
    for layer in order:
        if layer.endswith('MinibatchDiscrimination'):
            values += [
                net.get_var(f'{layer}/{part}') for part in ('theta', 'log_weight_scale', 'bias')
            ]
            continue
        weight = net.get_var(f'{layer}/weight')
        is_output = layer == '4x4/Dense1' or layer == '4x4/Dense' and 'D_mnist' in net.name
        columns = [slice(0, 1), slice(1, None)
                   ] if is_output and weight.shape[1] > 1 else [slice(None)]
        for part in columns:
            array, gain = theano_layout(layer, weight[..., part], net, is_output)
            values.append(array)
            if use_wscale:
                fan_in = np.prod(weight.shape[:-1])
                values.append(np.float32(random.uniform(0.5, 2.0)))
                values[-2] = (array * (gain / np.sqrt(fan_in)) / values[-1]).astype(np.float32)
            norm = next((norm for norm in PARTS if f'{layer}/{norm}/{PARTS[norm][0]}' in net.vars),
                        None)
            values += [net.get_var(f'{layer}/{norm}/{p}')
                       for p in PARTS[norm]] if norm else [net.get_var(f'{layer}/bias')[part]]
    return [np.asarray(value, np.float32) for value in values]


def theano_layout(layer, weight, net, is_output):
    if is_output:
        return weight, 1.0
    if 'ToRGB' in layer and weight.shape[0] == 3:  # the mode recovery network's
        return theano_weight('8x8/Conv', weight)[0], 1.0
    array, gain = theano_weight(layer, weight)
    return array, np.sqrt(2) if 'FromRGB' in layer else gain


@pytest.mark.parametrize('use_wscale', [True, False])
@pytest.mark.parametrize('case', CASES)
def test_layers_come_over(case, use_wscale, in_tmp):
    func, options, order = CASES[case]
    expected = network_of(func, dict(options, use_wscale=use_wscale))
    received = load_state(
        dict(build_func_spec=dict(options, func=func, use_wscale=use_wscale),
             toplevel_params={'cur_lod': np.float32(0)}, build_module_src='',
             param_values=parameters_of(expected, order, use_wscale)))
    assert type(received) is tfutil.Network and received.name == func
    assert received.static_kwargs == expected.static_kwargs
    assert list(received.vars) == list(expected.vars)
    for name in expected.vars:
        np.testing.assert_allclose(received.get_var(name), expected.get_var(name), rtol=2e-6,
                                   err_msg=name)
    inputs = [np.random.RandomState(2).randn(4, *shape[1:]) for shape in expected.input_shapes]
    for one, other in zip(received.run(*inputs, return_as_list=True),
                          expected.run(*inputs, return_as_list=True)):
        assert max_abs(one, other) <= 1e-5 * max(np.abs(other).max(initial=0), 1)


def test_mode_recovery_networks_that_are_not_as_expected_are_left_out(in_tmp, capsys):
    """Left out as in the original; the reason is printed."""
    net = network_of('D_mnist_mode_recovery', MODES)
    values = parameters_of(net, D_MODES, False)
    state = dict(build_func_spec=dict(MODES, func='D_mnist_mode_recovery'),
                 toplevel_params={'cur_lod': np.float32(0)}, build_module_src='',
                 param_values=values[:-1])
    assert load_state(state).name == 'Dummy'
    told = capsys.readouterr()
    assert told.out == 'Ignoring unknown Theano network: D_mnist_mode_recovery\n'
    assert 'the bias of 4x4/Dense' in told.err
