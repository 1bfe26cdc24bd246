"""pgan/nn/adapting.py: networks that take over another's layers reproduce its outputs where
possible.
"""
import numpy as np
import pytest

import tfutil
from pgan.nn import adapting
from pgan.nn.adapting import COPIED, CUT, FRESH, RECOLOURED
from tests.support.networks import max_abs

OPTIONS = dict(num_channels=3, resolution=16, fmap_base=64, fmap_max=16, latent_size=16)


def network(kind, seed=0, func=None, **options):
    """A network with random weights and biases."""
    net = tfutil.Network(kind, func or f'networks.{kind}_paper', **{**OPTIONS, **options})
    rnd = np.random.RandomState(seed)
    for name, var in net.trainables.items():
        net.set_var(name, rnd.randn(*var.shape))
    return net


def taken_over(kind, have={}, want={}):
    """(a network, a network of other options with its layers, their `Transfer`)."""
    old, new = network(kind, **have), network(kind, seed=1, **want)
    return old, new, adapting.transfer(adapting.contents_of(old), new)


LATENTS = np.random.RandomState(2).randn(8, 16)
IMAGES = np.random.RandomState(3).randn(8, 3, 16, 16)


def images_of(net, latents=LATENTS):
    labels = net.input_shapes[1][1]
    return net.run(latents, np.eye(labels)[np.arange(len(latents)) % labels] if labels else None)


@pytest.mark.parametrize('kind', ['G', 'D'])
@pytest.mark.parametrize('options', [
    {}, dict(label_size=3), dict(use_batchnorm=True, use_layernorm=True),
    dict(mbdisc_kernels=4, mbstd_group_size=1), dict(use_gdrop=True), dict(structure='linear')],
    ids=str)
def test_the_same_options_take_everything_bit_for_bit(kind, options):
    old, new, taken = taken_over(kind, options, options)
    assert all(np.array_equal(old.get_var(name), new.get_var(name)) for name in old.vars)
    assert taken.layers(COPIED) == list(taken.fates) and not taken.unused
    assert taken.whole == set(old.vars) - {'lod'}


@pytest.mark.parametrize('have, want', [(32, 16), (16, 32), (8, 32), (16, 4)])
def test_resolutions_are_matched_not_numbers_of_lods(have, want):
    for kind, colours in (('G', 'ToRGB'), ('D', 'FromRGB')):
        fmaps = dict(fmap_base=64, fmap_max=8)
        old, new, taken = taken_over(kind, dict(resolution=have, **fmaps),
                                     dict(resolution=want, **fmaps))
        for size in (4, 8, 16, 32):
            layer = f'{size}x{size}/{colours}'
            names = [f'{colours}_lod{int(np.log2(full / size))}/weight' for full in (have, want)]
            if size <= min(have, want):
                assert taken.fates[layer] == (COPIED, frozenset())
                assert np.array_equal(old.get_var(names[0]), new.get_var(names[1]))
            elif size <= want:
                assert taken.fates[layer][0] == FRESH
            assert (layer in taken.unused) == (want < size <= have)
        assert not taken.layers(CUT)


def test_a_larger_generator_shows_the_image_at_its_lod():
    old, new, _ = taken_over('G', want=dict(resolution=64))
    new.set_var('lod', 2.0)
    larger = images_of(old).repeat(4, axis=2).repeat(4, axis=3)
    assert max_abs(images_of(new), larger) <= 1e-6


@pytest.mark.parametrize('have, want', [
    (dict(), dict(use_wscale=False)), (dict(use_wscale=False), dict()),
    (dict(), dict(fused_scale=False)), (dict(fused_scale=False), dict())], ids=str)
def test_a_generator_that_stores_its_weights_otherwise(have, want):
    old, new, taken = taken_over('G', have, want)
    expected = images_of(old)
    assert max_abs(images_of(new), expected) <= 2e-5 * np.abs(expected).max()
    assert taken.layers(COPIED) == list(taken.fates)


def test_a_discriminator_that_stores_its_weights_otherwise():
    old, new, _ = taken_over('D', want=dict(use_wscale=False))
    assert max_abs(new.run(IMAGES)[0], old.run(IMAGES)[0]) <= 1e-5
    old, new, taken = taken_over('D', want=dict(fused_scale=False))
    assert taken.layers(COPIED) == list(taken.fates)
    assert np.array_equal(old.get_var('8x8/Conv1_down/weight'), new.get_var('8x8/Conv1/weight'))


@pytest.mark.parametrize('have, want', [(3, 1), (1, 3)])
def test_other_colours(have, want):
    """Gray images give the same results in both networks; colour images become their mean."""
    old, new, taken = taken_over('G', dict(num_channels=have), dict(num_channels=want))
    expected = images_of(old).mean(axis=1, keepdims=True)
    assert max_abs(images_of(new), expected.repeat(want, axis=1)) <= 1e-5
    assert sorted(taken.layers(RECOLOURED)) == ['16x16/ToRGB', '4x4/ToRGB', '8x8/ToRGB']
    old, new, taken = taken_over('D', dict(num_channels=have), dict(num_channels=want))
    gray = IMAGES[:, :1]
    scores = [net.run(gray.repeat(count, axis=1))[0] for net, count in ((old, have), (new, want))]
    assert max_abs(*scores) <= 1e-5
    assert len(taken.layers(RECOLOURED)) == 3 and not taken.layers(CUT, FRESH)


@pytest.mark.parametrize('have, want', [(0, 4), (4, 0), (2, 5)])
def test_other_labels(have, want):
    """Rows of latents and the column of the score come from the snapshot; those of labels are
    fresh.
    """
    old, new, taken = taken_over('G', dict(label_size=have), dict(label_size=want))
    before, after = (net.get_var('4x4/Dense/weight') for net in (old, new))
    fresh = network('G', seed=1, label_size=want).get_var('4x4/Dense/weight')
    assert np.array_equal(after[:16], before[:16]) and np.array_equal(after[16:], fresh[16:])
    assert taken.layers(CUT) == ['4x4/Dense'] and taken.fates['4x4/Dense'][1] == {'labels'}
    if not have:  # a label adds a component to a vector that is normalized
        assert np.corrcoef(images_of(old).ravel(), images_of(new).ravel())[0, 1] > 0.99
    old, new, taken = taken_over('D', dict(label_size=have), dict(label_size=want))
    assert max_abs(new.run(IMAGES)[0], old.run(IMAGES)[0]) <= 1e-6
    fresh = network('D', seed=1, label_size=want).get_var('4x4/Dense1/weight')
    assert np.array_equal(new.get_var('4x4/Dense1/weight')[:, 1:], fresh[:, 1:])
    assert taken.layers(CUT) == ['4x4/Dense1'] and taken.fates['4x4/Dense1'][1] == {'labels'}


def test_wider_networks_compute_what_the_narrow_ones_did():
    wide = dict(fmap_base=128, fmap_max=32)
    old, new, taken = taken_over('D', want=wide)
    # The minibatch statistic is a mean over all feature maps, so it changes.
    assert max_abs(new.run(IMAGES)[0], old.run(IMAGES)[0]) <= 0.01 * np.abs(
        old.run(IMAGES)[0]).max()
    assert not taken.layers(FRESH) and taken.fates['8x8/Conv0'] == (CUT, {'feature maps'})
    added = new.get_var('8x8/Conv0/weight')[:, :, 16:]
    assert not added[..., :16].any() and added[..., 16:].all()
    # Pixel norm covers all feature maps, too.
    old, new, _ = taken_over('G', want=wide)
    assert np.corrcoef(images_of(old).ravel(), images_of(new).ravel())[0, 1] > 0.97
    assert not new.get_var('8x8/Conv0_up/weight')[:, :, :16, 16:].any()
    old, new, _ = taken_over('G', dict(use_pixelnorm=False), dict(use_pixelnorm=False, **wide))
    assert max_abs(images_of(new), images_of(old)) <= 1e-5


def test_narrower_networks_keep_the_variance():
    for kind, run in (('G', images_of), ('D', lambda net: net.run(IMAGES)[0])):
        old, new, taken = taken_over(kind, dict(fmap_max=32, fmap_base=128))
        assert not taken.layers(FRESH)
        assert 0.3 < run(new).std() / run(old).std() < 3


def test_layers_of_unlike_networks_stay_fresh():
    _, new, taken = taken_over('G', dict(func='networks.G_mnist_mode_recovery'))
    assert '8x8/Conv0' in taken.layers(FRESH) and '8x8/Conv' in taken.unused
    fresh = network('G', seed=1)
    assert all(np.array_equal(new.get_var(name), fresh.get_var(name)) for name in new.vars
               if name.startswith('8x8/Conv0'))


@pytest.mark.parametrize('have, want', [(dict(use_batchnorm=True), {}),
                                        ({}, dict(use_batchnorm=True))])
def test_weights_are_kept_where_normalization_is_another(have, want):
    old, new, taken = taken_over('G', have, want)
    assert np.array_equal(old.get_var('4x4/Conv/weight'), new.get_var('4x4/Conv/weight'))
    assert taken.fates['4x4/Conv'] == (CUT, {'normalization'})
    assert np.isfinite(images_of(new)).all()


def test_without_the_statistic_of_the_minibatch():
    old, new, taken = taken_over('D', dict(mbstd_group_size=1), dict(mbstd_group_size=4))
    assert max_abs(new.run(IMAGES)[0], old.run(IMAGES)[0]) <= 1e-6
    assert taken.fates['4x4/Conv'] == (CUT, {'minibatch statistic'})
    _, new, taken = taken_over('D', dict(mbstd_group_size=4), dict(mbstd_group_size=1))
    assert taken.layers(CUT) == ['4x4/Conv'] and np.isfinite(new.run(IMAGES)[0]).all()
