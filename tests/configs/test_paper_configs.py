"""configs/: the paper's experiments have its settings, are good configurations, and train."""
import itertools
import os
import re

import numpy as np
import pytest

import misc
import tfutil
import train
from benchmarks.mode_recovery import configuration
from pgan import settings
from pgan.errors import ConfigError
from tests.support.config_lines import LSUN, flat
from tests.support.golden import ROOT
from tests.support.toy_runs import check_files, make_toy

ROWS = ['a', 'b', 'c', 'd', 'e*', 'e', 'f', 'g', 'h']
VARIANTS = ['plain', 'ournorm', 'mbstddev', 'progression']
DEFAULTS = flat(settings.values(settings.load()))


def source(name, **choices):
    """Source of a file in configs/ with variables such as `_row = 'g'` at its top replaced."""
    text = (ROOT / 'configs' / f'{name}.py').read_text()
    for key, value in choices.items():
        text, count = re.subn(rf'^_{key} = \S+', f'_{key} = {value!r}', text, flags=re.M)
        assert count == 1
    return text


def load(path, name, **choices):
    (path / 'chosen.py').write_text(source(name, **choices))
    config = settings.load([str(path / 'chosen.py')])
    settings.check_config(config)
    return config


def differences(config):
    """Differences from config.py's values, apart from those that every one of these files resets.
    """
    now = flat(settings.values(config))
    keys = {key for key in now.keys() | DEFAULTS.keys() if now.get(key) != DEFAULTS.get(key)}
    return {
        key: now.get(key)
        for key in keys
        if not key.startswith('sched.max_minibatch') and now.get(key) is not None and key not in (
            'desc', 'dataset.tfrecord_dir', 'train.func', 'G.func', 'D.func')
    }


def schedule_of(minibatch, training, transition, **more):
    return {
        'sched.minibatch_base': minibatch, 'sched.lod_training_kimg': training,
        'sched.lod_transition_kimg': transition,
        **{f'sched.{key}': value
           for key, value in more.items()}
    }


# ------------------------------------------------------------ settings

def test_cifar10(tmp_path):
    config = load(tmp_path, 'cifar10_paper')
    assert config.dataset == {
        'tfrecord_dir': 'cifar10'
    } and 'mirror_augment' not in config.train and 'minibatch_dict' not in config.sched
    assert differences(config) == {
        'train.total_kimg': 20000, 'train.separate_funcs': False, 'G.fmap_base': 4096,
        'G.fmap_max': 128, 'G.latent_size': 128, 'D.fmap_base': 4096, 'D.fmap_max': 128,
        'D.mbstd_group_size': 16, 'D_loss.wgan_target': 750.0, **schedule_of(16, 400, 400)
    }


def test_celebahq(tmp_path):
    config = load(tmp_path, 'celebahq_paper')
    assert config.dataset == {'tfrecord_dir': 'celebahq'} and config.train.mirror_augment
    assert differences(config) == {
        'train.total_kimg': 19000, 'D.mbstd_group_size': 16,
        **schedule_of(16, 800, 800, rampup_kimg=40, minibatch_dict={256: 14, 512: 6, 1024: 3})
    }


@pytest.mark.parametrize('category', ['bedroom', 'dog', 'cat', 'churchoutdoor'])
def test_lsun(category, tmp_path):
    assert category in LSUN
    config = load(tmp_path, 'lsun_paper', category=category)
    full = category in ('bedroom', 'dog')
    assert config.dataset == {
        'tfrecord_dir': f'lsun-{category}-full' if full else f'lsun-{category}-100k',
        'resolution': 256
    }
    assert config.train.mirror_augment is not full and 'minibatch_dict' not in config.sched
    assert {
        key: value
        for key, value in differences(config).items()
        if key not in ('train.mirror_augment', 'dataset.resolution')
    } == {
        'train.total_kimg': 20000, 'D.mbstd_group_size': 16,
        **schedule_of(16, 800, 800, rampup_kimg=40)
    }


COMMON = {
    'G.fmap_base': 2048, 'D.fmap_base': 2048, 'D.mbstd_group_size': 16, 'train.total_kimg': 10000
}
GULRAJANI = {
    'train.D_repeats': 5, 'G_opt.beta2': 0.9, 'D_opt.beta2': 0.9, 'G.latent_size': 128,
    'G.normalize_latents': False, 'G.use_leakyrelu': False, 'G.use_batchnorm': True,
    'G.tanh_at_end': 1.0, 'D.use_layernorm': True, 'D_loss.wgan_epsilon': 0.0
}
NO_PIXELNORM = {'G.use_pixelnorm': False}
NO_WSCALE = {
    'sched.G_lrate_base': 0.0001, 'sched.D_lrate_base': 0.0001, 'G.use_wscale': False,
    'D.use_wscale': False, **NO_PIXELNORM
}
GROW = schedule_of(16, 800, 800)
FIXED = schedule_of(64, 0, 0, lod_initial_resolution=128)
LARGE = schedule_of(64, 800, 800)
ABLATION = {  # `differences` cannot show D.mbstat_avg = None, so it is listed separately
    'a': (None, {**GULRAJANI, **NO_WSCALE, **FIXED, 'train.G_smoothing': 0.999 ** 20}),
    'b': (None, {**GULRAJANI, **NO_WSCALE, **LARGE, 'train.G_smoothing': 0.999 ** 20}),
    'c': (None, {**GULRAJANI, **NO_WSCALE, **GROW, 'train.G_smoothing': 0.999 ** 5}),
    'd': (None, {**NO_WSCALE, **GROW}),
    'e*': (None, {**NO_WSCALE, **GROW, 'D.mbdisc_kernels': 100}),
    'e': ('all', {**NO_WSCALE, **GROW}),
    'f': ('all', {**NO_PIXELNORM, **GROW}),
    'g': ('all', GROW),
    'h': ('all', GROW),
}


@pytest.mark.parametrize('data', ['celeba', 'lsun-bedroom'])
@pytest.mark.parametrize('row', ROWS)
def test_ablation(row, data, tmp_path):
    config = load(tmp_path, 'ablation', row=row, data=data)
    mbstat_avg, expected = ABLATION[row]
    assert config.D.get('mbstat_avg', 'all') == mbstat_avg
    found = differences(config)
    if data == 'celeba':
        assert config.dataset == {'tfrecord_dir': 'celeba'} and config.train.mirror_augment
    else:
        assert config.dataset == {'tfrecord_dir': 'lsun-bedroom-full', 'resolution': 128
                                  } and not config.train.mirror_augment
        del found['train.mirror_augment'], found['dataset.resolution']
    assert found == {**COMMON, **expected}


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('K', [2, 4])
def test_mnist_modes(K, variant, tmp_path):
    config = load(tmp_path, 'mnist_modes', K=K, variant=variant)
    assert config.desc == f'mnist-modes-K{K}-{variant}' and config.dataset == {
        'tfrecord_dir': 'mnistrgb'
    }
    assert (config.G.func, config.D.func) == ('networks.G_mnist_mode_recovery',
                                              'networks.D_mnist_mode_recovery')
    expected = {
        'train.D_repeats': 5, 'train.total_kimg': 10000, 'D.X': K, 'D_loss.wgan_epsilon': 0.0,
        **schedule_of(64, 0, 0, lod_initial_resolution=32)
    }
    if variant != 'plain':
        expected |= {
            'G.use_wscale': True, 'G.use_pixelnorm': True, 'G.use_batchnorm': False,
            'D.use_wscale': True, 'D.use_batchnorm': False
        }
    if variant in ('mbstddev', 'progression'):
        expected |= {'D.mbstat_avg': 'all', 'D.mbstd_group_size': 64}
    if variant == 'progression':
        expected |= {'G.progressive': True, 'D.progressive': True, 'train.total_kimg': 15000,
                     **schedule_of(64, 500, 2000, lod_initial_resolution=4)}
    assert differences(config) == expected


def test_networks_that_cannot_grow_are_not_to_grow(tmp_path):
    config = load(tmp_path, 'mnist_modes', variant='plain')
    settings.check_minibatches(config, 32)
    config.sched.lod_initial_resolution = 8
    with pytest.raises(ConfigError, match='G.progressive: expected True, because training starts '
                                          'at .* = 8. Received: False. .* = 32'):
        settings.check_minibatches(config, 32)
    config.G.progressive = True
    with pytest.raises(ConfigError, match='D.progressive'):
        settings.check_minibatches(config, 32)


def test_the_benchmark_chooses_by_the_same_lines():
    for K, variant in itertools.product([2, 4], VARIANTS):
        assert configuration(K, variant) == source('mnist_modes', K=K, variant=variant)


def test_networks_of_full_width():
    """Parameter counts of the CIFAR-10 and mode recovery networks, computed from fmap_base and
    fmap_max.
    """
    def total(net):
        return sum(int(np.prod(var.shape)) for var in net.trainables.values())

    def conv(k, inputs, fmaps):
        return k * k * inputs * fmaps + fmaps
    nf = [128] * 5
    G = 128 * 16 * nf[1] + nf[1] + conv(3, 128, 128) + sum(
        2 * conv(3, 128, 128) for _ in (8, 16, 32)) + 4 * conv(1, 128, 3)
    D = 4 * conv(1, 3, 128) + 6 * conv(3, 128, 128) + conv(3, 129, 128) + 16 * 128 * 128 + 128 + 129
    kwargs = dict(num_channels=3, resolution=32, fmap_base=4096, fmap_max=128)
    assert total(tfutil.Network('G', 'networks.G_paper', latent_size=128, **kwargs)) == G
    assert total(tfutil.Network('D', 'networks.D_paper', **kwargs)) == D
    modes = [
        total(tfutil.Network(n, f'networks.{n}_mnist_mode_recovery', **o))
        for n, o in (('G', {}), ('D', {'X': 4}), ('D', {'X': 2}))
    ]
    batch_norms = [2 * (64 + 32 + 16 + 8), 2 * (2 + 4 + 8), 2 * (4 + 8 + 16)]
    assert modes == [
        64 * 1024 + 9 * (64 * 32 + 32 * 16 + 16 * 8) + conv(3, 8, 3) + batch_norms[0],
        9 * (3 * 2 + 2 * 4 + 4 * 8) + 129 + batch_norms[1],
        9 * (3 * 4 + 4 * 8 + 8 * 16) + 257 + batch_norms[2]
    ]


# ------------------------------------------------------------ a few steps

SHORT = '''
desc = 'short'
dataset = EasyDict(tfrecord_dir='toy')
train.update(total_kimg={kimg}, network_snapshot_ticks=1000)
sched.update(minibatch_base=4, tick_kimg_base=1, tick_kimg_dict={{}})
if sched.lod_training_kimg:
    sched.update(lod_training_kimg={phase}, lod_transition_kimg={phase})
if sched.get('lod_initial_resolution', 4) > 8:
    sched.lod_initial_resolution = 8
'''
NARROW = 'G.update(fmap_base=16, fmap_max=4)\nD.update(fmap_base=16, fmap_max=4)\n'
# h has the settings of g
RUNS = {
    **{f'ablation {row}': (source('ablation', row=row), NARROW)
       for row in ROWS if row != 'h'},
    **{f'modes {variant}': (source('mnist_modes', variant=variant), '')
       for variant in VARIANTS}, 'cifar10': (source('cifar10_paper'), NARROW)
}


@pytest.mark.first(2, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('name', RUNS)
def test_each_setting_trains(name, in_tmp):
    """Narrow networks, a round of updates at 4x4 and one fading to 8x8, or two at 8x8: nothing is
    NaN, and the snapshot round-trips.
    """
    text, narrow = RUNS[name]
    make_toy(resolution=8, labels=False)
    repeats = 5 if 'D_repeats' in text and ('modes' in name or name[-1] in 'abc') else 1
    round_kimg = 4 * 4 * repeats / 1000
    (in_tmp / 'short.py').write_text(
        text + SHORT.format(kimg=round_kimg * 2, phase=round_kimg) + narrow)
    try:
        assert train.main(['--config', 'short.py']) == 0
    finally:
        misc.restore_output()
    check_files('results/000-short')
    nets = misc.load_pkl('results/000-short/network-final.pkl')
    for net in nets:
        assert all(np.isfinite(net.get_var(local_name)).all() for local_name in net.vars)
    misc.save_pkl(nets, 'again.pkl')
    for net, again in zip(nets, misc.load_pkl('again.pkl')):
        assert type(again) is tfutil.Network and list(net.vars) == list(
            again.vars) and net.static_kwargs == again.static_kwargs
        assert all(
            np.array_equal(net.get_var(local_name), again.get_var(local_name))
            for local_name in net.vars)
    moved = nets[0].get_var('4x4/Dense/weight') - nets[2].get_var('4x4/Dense/weight')
    assert np.abs(moved).max() > 0 and os.path.getsize('results/000-short/reals.png')
