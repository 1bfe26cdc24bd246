"""pgan/nn/architecture.py, specs.py: specs compared with the networks built from them, and
with numbers computed by hand.
"""
import math

import numpy as np
import pytest
import tensorflow as tf

import networks
import tfutil
from pgan.nn import architecture, layers
from pgan.nn.specs import Kind, LayerSpec, Options, Width, with_variables
from pgan.reporting.timetable import network_cost

SMALL = dict(num_channels=3, resolution=16, fmap_base=64, fmap_max=12)
MODES = dict(resolution=16, fmap_base=48)
OPTIONS = {
    'G_paper': [
        dict(SMALL), dict(SMALL, structure='recursive'), dict(SMALL, fused_scale=False),
        dict(SMALL, resolution=4, label_size=3, latent_size=5), dict(SMALL, use_batchnorm=True),
        dict(SMALL, fmap_decay=0.5, num_channels=1, normalize_latents=False)
    ],
    'D_paper': [
        dict(SMALL), dict(SMALL, structure='recursive'), dict(SMALL, fused_scale=False),
        dict(SMALL, resolution=4, label_size=3), dict(SMALL, use_layernorm=True, mbstat_avg=None),
        dict(SMALL, mbstd_group_size=1, mbdisc_kernels=5), dict(SMALL, use_gdrop=True)
    ],
    'G_mnist_mode_recovery': [
        dict(MODES), dict(MODES, progressive=True, label_size=2),
        dict(MODES, use_batchnorm=False, latent_size=7), dict(MODES, resolution=4)
    ],
    'D_mnist_mode_recovery': [
        dict(MODES), dict(MODES, progressive=True, label_size=2),
        dict(MODES, use_batchnorm=False, mbstat_avg='all', X=4),
        dict(MODES, resolution=4, progressive=True)
    ],
}
CASES = [pytest.param(func, options, id=f'{func}-{i}')
         for func, many in OPTIONS.items() for i, options in enumerate(many)]


def variables_of(spec):
    """{local name: shape}, by the rules of the specification."""
    i, o = spec.inputs, spec.fmaps
    if spec.kind is Kind.MINIBATCH_DISCRIMINATION:
        parts = dict(theta=[i, o - i, 5], log_weight_scale=[o - i, 5], bias=[o - i])
    else:
        weight = {
            Kind.CONV_3X3: [3, 3, i, o], Kind.CONV_1X1: [1, 1, i, o], Kind.UP: [3, 3, o, i],
            Kind.DOWN: [3, 3, i, o], Kind.DENSE_TO_IMAGE: [i, o * 16], Kind.DENSE_OF_IMAGE: [i, o],
            Kind.SCORES: [i, o]
        }[spec.kind]
        assert math.prod(weight) == spec.weight_size
        parts = {'weight': weight, **{
            None: {'bias': [o]},
            'BatchNorm': {f'BatchNorm/{n}': [o] for n in ('beta', 'gamma', 'mean', 'inv_std')},
            'LayerNorm': {'LayerNorm/gain': [], 'LayerNorm/bias': [o]},
        }[spec.norm]}
    return {f'{spec.name}/{part}': shape for part, shape in parts.items()}


@pytest.mark.parametrize('func, options', CASES)
def test_variables_are_those_described(func, options):
    net = tfutil.Network(func, f'networks.{func}', **options)
    expected = {'lod': []}
    for spec in with_variables(net.model.layer_specs()):
        expected |= variables_of(spec)
    if options.get('use_gdrop'):
        expected |= {'gdrop/strength': [], 'gdrop/average': []}
    assert {name: var.shape.as_list() for name, var in net.vars.items()} == expected
    if options.get('structure') != 'recursive':
        assert list(net.trainables) == [name for name in expected if name in net.trainables]


@pytest.mark.parametrize('func, options', CASES)
def test_outputs_have_the_shapes_described(func, options, monkeypatch):
    """For each layer with a weight, in a network that evaluates all of them."""
    net = tfutil.Network(func, f'networks.{func}', **options)
    seen, add_bias = {}, layers.Equalized.add_bias

    def noting(layer, x):
        y = add_bias(layer, x)
        seen[layer.spec.name] = y.shape[-1:].as_list() + y.shape[1:-1].as_list()
        return y
    monkeypatch.setattr(layers.Equalized, 'add_bias', noting)
    net.get_output_for(*[tf.zeros([4, *shape[1:]]) for shape in net.input_shapes], stage=None)
    assert seen == {spec.name: spec.shape for spec in net.model.layer_specs() if spec.weight_size}


def multiplications(describe, build_func, fused_taps, **options):
    return sum(spec.multiplications(fused_taps)
               for spec in describe(Options(build_func, dict(options, fmap_base=12, fmap_max=10))))


# 10 maps at s = 0, 6 at 4x4, 3 at 8x8
G4 = 12 * 6 * 16 + 9 * 6 * 6 * 16 + 6 * 3 * 16  # 2 of the 12 inputs are labels
G8 = G4 + 9 * 3 * 3 * 64 + 3 * 3 * 64  # without the layer that scales
D4 = 3 * 6 * 16 + 9 * (6 + 1) * 6 * 16 + 6 * 16 * 10 + 10 * 3
D8 = D4 + 3 * 3 * 64 + 9 * 3 * 3 * 64


@pytest.mark.parametrize('taps', [9, 16])
def test_multiplications_by_hand(taps):
    options = dict(num_channels=3, label_size=2)
    of_G = (architecture.generator_layers, networks.G_paper, taps)
    of_D = (architecture.discriminator_layers, networks.D_paper, taps)
    assert multiplications(*of_G, resolution=4, **options) == G4
    assert multiplications(*of_D, resolution=4, **options) == D4
    # once for each pixel of 4x4
    assert multiplications(*of_G, resolution=8, **options) == G8 + taps * 6 * 3 * 16
    assert multiplications(*of_D, resolution=8, **options) == D8 + taps * 3 * 6 * 16
    # without scaling: 3x3 at each pixel of 8x8
    options['fused_scale'] = False
    assert multiplications(*of_G, resolution=8, **options) == G8 + 9 * 6 * 3 * 64
    assert multiplications(*of_D, resolution=8, **options) == D8 + 9 * 3 * 6 * 64


def test_multiplications_of_the_mode_recovery_networks_by_hand():
    """With 64 and 6 maps in G and 3 in D, for 8x8 images."""
    sizes = dict(resolution=8, num_channels=3, mbstat_avg='all')
    of_G = (architecture.mode_recovery_generator_layers, networks.G_mnist_mode_recovery, 9)
    of_D = (architecture.mode_recovery_discriminator_layers, networks.D_mnist_mode_recovery, 9)
    assert multiplications(*of_G, **sizes) == (
        10 * 64 * 16 + 9 * 64 * 6 * 64 + 9 * 6 * 3 * 64)
    assert multiplications(*of_D, **sizes) == 9 * 3 * 3 * 64 + (3 + 1) * 16 * 1


@pytest.mark.parametrize('r, fading, expected', [
    (2, False, 'Dense Conv ToRGB_lod2'),
    (3, False, 'Dense Conv Conv0_up Conv1 ToRGB_lod1'),
    (3, True, 'Dense Conv ToRGB_lod2 Conv0_up Conv1 ToRGB_lod1'),
    (4, True, 'Dense Conv Conv0_up Conv1 ToRGB_lod1 Conv0_up Conv1 ToRGB_lod0'),
])
def test_layers_that_a_stage_uses(r, fading, expected):
    specs = with_variables(architecture.generator_layers(Options(networks.G_paper, SMALL)))
    used = [spec.name.split('/')[-1] for spec in specs if spec.is_used(r, fading)]
    assert used == expected.split()


def test_options_are_completed_and_checked():
    options = Options(networks.D_paper, dict(resolution=64, fmap_base=128, typo=3))
    assert (options.top, options.nf(1), options.mbstd_group_size) == (6, 64, 4)
    assert options.has_statistic and options.norm is None and not hasattr(options, 'typo')
    assert Options(networks.G_paper, dict(fmap_base=48)).latent_size == 48
    assert Options(networks.D_mnist_mode_recovery, dict(X=4)).nf(0) == 16


@pytest.mark.parametrize('keywords, text', [
    (dict(resolution=24), 'resolution must be a power of two, at least 4. Received: resolution=24'),
    (dict(resolution=2), 'power of two'),
    (dict(resolution=0), 'power of two'),
    (dict(mbstat_avg='some'), "must be 'all' or None. Received: mbstat_avg='some'"),
])
def test_options_out_of_range_are_refused(keywords, text):
    with pytest.raises(ValueError, match=text):
        Options(networks.D_paper, keywords)


def test_no_feature_maps_are_left():
    assert [Width(64, 1.0, 20)(stage) for stage in range(4)] == [20, 20, 16, 8]
    with pytest.raises(ValueError, match='no feature maps are left at 16x16: fmap_base=4, '):
        Width(4, 1.0, 20)(3)


# ---------------------------------------------------------------- networks of one's own

class DeeperGenerator(networks.Generator):
    """The paper's network with a third convolution at 16x16."""

    def layer_specs(self):
        for spec in super().layer_specs():
            yield spec
            if spec.name == '16x16/Conv1':
                yield LayerSpec('16x16/Conv2', Kind.CONV_3X3, 4, spec.fmaps, spec.fmaps)


def deeper_G(**options):
    return DeeperGenerator(**options)


def test_a_layer_is_added_by_its_description():
    """It is built, evaluated if needed, listed, and counted in the timetable."""
    G, deeper = (tfutil.Network('G', func, **SMALL) for func in (networks.G_paper, deeper_G))
    assert set(deeper.vars) - set(G.vars) == {'16x16/Conv2/weight', '16x16/Conv2/bias'}
    assert ('16x16/Conv2', [None, 8, 16, 16]) in [row[:2] for row in deeper.list_layers()]
    for name in G.vars:
        deeper.set_var(name, G.get_var(name))
    latents = np.random.RandomState(0).randn(2, 12)
    for lod, is_same in ((0.0, False), (1.0, True)):
        G.set_var('lod', lod)
        deeper.set_var('lod', lod)
        assert np.array_equal(G.run(latents), deeper.run(latents)) == is_same
    more = [network_cost(deeper, size) - network_cost(G, size) for size in (8, 16)]
    assert more == [8, 9 * 8 * 8 * 16 ** 2 + 8]  # the bias always counts with its size
