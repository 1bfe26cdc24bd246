"""config.py: every line has the documented effect."""
import copy
import csv
import pickle
import sys

import pytest

from pgan import settings
from tests.support.config_lines import (
    LSUN,
    PRECISIONS,
    PRESETS,
    data_set_names,
    flat,
    namespace,
    option_names,
    public,
    source_lines,
    utility_lines,
)
from tests.support.golden import GOLDEN

FEATURES = [
    'nogrowing', 'nopixelnorm', 'nowscale', 'noleakyrelu', 'nosmoothing', 'norepeat', 'noreset'
]
MODES = ['BENCHMARK', 'BENCHMARK0', 'VERBOSE', 'GRAPH', 'HIST', 'SWD']
CONDITIONS = ['cond', 'cond1', 'g4k', 'grpc']
PUBLIC = {
    'EasyDict', 'data_dir', 'result_dir', 'tf_config', 'env', 'desc', 'random_seed', 'num_gpus',
    'train', 'G', 'D', 'G_opt', 'D_opt', 'G_loss', 'D_loss', 'sched', 'grid', 'dataset'
}


def changes(*options, **kwargs):
    """Changes of option lines to the default configuration: {'train.total_kimg': 10, ...}."""
    before, after = flat(namespace()), flat(namespace(*options, **kwargs))
    return {name: after.get(name) for name in before | after if before.get(name) != after.get(name)}


# ------------------------------------------------------------ the file as it is

def test_the_file_itself_is_the_default():
    active = settings.values(settings.load())
    default = public(namespace())
    assert {n: v
            for n, v in active.items()
            if n != 'EasyDict'} == {n: v
                                    for n, v in default.items() if n != 'EasyDict'}
    assert set(active) == PUBLIC


def test_defaults():
    assert flat(namespace()) == {
        'data_dir': 'datasets', 'result_dir': 'results',
        'tf_config.graph_options.place_pruned_graph': True, 'env.TF_CPP_MIN_LOG_LEVEL': '1',
        'desc': 'pgan-celebahq-preset-v2-1gpu-fp32', 'random_seed': 1000, 'num_gpus': 1,
        'train.func': 'train.train_progressive_gan', 'train.mirror_augment': True,
        'train.total_kimg': 12000, 'G.func': 'networks.G_paper', 'D.func': 'networks.D_paper',
        'G_loss.func': 'loss.G_wgan_acgan', 'D_loss.func': 'loss.D_wgangp_acgan',
        'G_opt.beta1': 0.0, 'G_opt.beta2': 0.99, 'G_opt.epsilon': 1e-8, 'D_opt.beta1': 0.0,
        'D_opt.beta2': 0.99, 'D_opt.epsilon': 1e-8, 'grid.size': '1080p', 'grid.layout': 'random',
        'dataset.tfrecord_dir': 'celebahq', 'sched.minibatch_base': 4, 'sched.minibatch_dict': {
            4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4
        }, 'sched.G_lrate_dict': {1024: 0.0015}, 'sched.D_lrate_dict': {1024: 0.0015},
        'sched.max_minibatch_per_gpu': {256: 16, 512: 8, 1024: 4}
    }


def test_it_imports_nothing():
    assert not [line for line in source_lines() if line.startswith(('import', 'from'))]


def test_each_option_is_one_line_of_its_own_name():
    assert option_names(
    ) == data_set_names() + CONDITIONS + list(PRESETS) + list(PRECISIONS) + FEATURES + MODES


def test_config_txt_of_the_original():
    """The lines of the original's sample run, with its changes, give its config.txt."""
    extra = ('G.fmap_base = D.fmap_base = 256; G.fmap_max = D.fmap_max = 64; dataset.tfrecord_dir '
             '= "mnist5k"; train.total_kimg = 14; sched.lod_training_kimg = '
             'sched.lod_transition_kimg = 2; tf_config["allow_soft_placement"] = True')
    ns = public(namespace('VERBOSE', dataset='mnist', extra=extra))
    golden = dict(
        line.split(' = ', 1) for line in (GOLDEN / 'sample_config.txt').read_text().splitlines())
    assert {
        n: v if isinstance(v, str) else str(v)
        for n, v in ns.items() if not isinstance(v, dict)
    } == {n: v
          for n, v in golden.items() if not v.startswith('{')}
    assert {n: dict(v)
            for n, v in ns.items()
            if isinstance(v, dict)} == {n: eval(v)
                                        for n, v in golden.items() if v.startswith('{')}
    assert [list(ns[n]) for n in ('D_opt', 'tf_config', 'grid')
            ] == [list(eval(golden[n])) for n in ('D_opt', 'tf_config', 'grid')]


# ------------------------------------------------------------ data sets

def test_all_data_sets():
    assert data_set_names() == [
        'celebahq', 'celeba', 'cifar10', 'cifar100', 'svhn', 'mnist', 'mnistrgb', 'syn1024rgb',
        *[f'lsun-{name}' for name in LSUN]
    ]


@pytest.mark.parametrize('name', data_set_names())
def test_data_set(name):
    ns = namespace(dataset=name)
    assert ns['desc'] == f'pgan-{name}-preset-v2-1gpu-fp32'
    if name == 'syn1024rgb':
        assert ns['dataset'] == {
            'class_name': 'dataset.SyntheticDataset', 'resolution': 1024, 'num_channels': 3
        }
    else:
        assert ns['dataset'] == {
            'tfrecord_dir': f'{name}-100k' if name.startswith('lsun') else name
        }
    mirrored = name.startswith(('celeba', 'lsun'))
    assert ns['train'].get('mirror_augment', False) is mirrored


# ------------------------------------------------------------ options

PRESET_VALUES = {
    'preset-v1-1gpu': (1, 16, {256: 14, 512: 6, 1024: 3}, None, 19000),
    'preset-v2-1gpu': (1, 4, {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8,
                              512: 4}, {1024: 0.0015}, 12000),
    'preset-v2-2gpus': (2, 8, {4: 256, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16,
                               256: 8}, {512: 0.0015, 1024: 0.002}, 12000),
    'preset-v2-4gpus': (4, 16, {4: 512, 8: 256, 16: 128, 32: 64, 64: 32,
                                128: 16}, {256: 0.0015, 512: 0.002, 1024: 0.003}, 12000),
    'preset-v2-8gpus': (8, 32, {4: 512, 8: 256, 16: 128, 32: 64,
                                64: 32}, {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}, 12000),
}


@pytest.mark.parametrize('preset', PRESETS)
def test_preset(preset):
    ns = namespace(preset)
    num_gpus, base, sizes, rates, total_kimg = PRESET_VALUES[preset]
    expected = {
        'minibatch_base': base, 'minibatch_dict': sizes,
        'max_minibatch_per_gpu': {256: 16, 512: 8, 1024: 4}
    }
    if rates:
        expected.update(G_lrate_dict=rates, D_lrate_dict=rates)
        assert ns['sched'].G_lrate_dict is not ns['sched'].D_lrate_dict
    else:
        expected.update(lod_training_kimg=800, lod_transition_kimg=800)
    assert ns['sched'] == expected
    assert ns['D'] == {'func': 'networks.D_paper'} | ({} if rates else {'mbstd_group_size': 16})
    assert (ns['num_gpus'], ns['train'].total_kimg) == (num_gpus, total_kimg)
    assert ns['desc'] == f'pgan-celebahq-{preset}-fp32'


LOW_PRECISION_MINIBATCH = {'sched.max_minibatch_per_gpu': {512: 16, 1024: 8}}
TICKS = {'sched.tick_kimg_base': 1, 'sched.tick_kimg_dict': {}}
RARE = {'train.image_snapshot_ticks': 1000, 'train.network_snapshot_ticks': 1000}
CHANGES = {
    'cond': {'dataset.max_label_size': 'full'}, 'cond1': {'dataset.max_label_size': 1},
    'g4k': {'grid.size': '4k'}, 'grpc': {'grid.layout': 'row_per_class'}, 'nogrowing': {
        'sched.lod_initial_resolution': 1024, 'sched.lod_training_kimg': 0,
        'sched.lod_transition_kimg': 0, 'train.total_kimg': 10000
    }, 'nopixelnorm': {'G.use_pixelnorm': False},
    'nowscale': {'G.use_wscale': False,
                 'D.use_wscale': False}, 'noleakyrelu': {'G.use_leakyrelu': False},
    'nosmoothing': {'train.G_smoothing': 0.0}, 'norepeat': {'train.minibatch_repeats': 1},
    'noreset': {'train.reset_opt_for_new_lod': False}, 'BENCHMARK': {
        'sched.lod_initial_resolution': 4, 'sched.lod_training_kimg': 3,
        'sched.lod_transition_kimg': 3, 'train.total_kimg': 51, **TICKS, **RARE
    }, 'BENCHMARK0': {
        'sched.lod_initial_resolution': 1024, 'train.total_kimg': 10, **TICKS, **RARE
    }, 'VERBOSE': {'train.image_snapshot_ticks': 1, 'train.network_snapshot_ticks': 100,
                   **TICKS}, 'GRAPH': {'train.save_tf_graph': True},
    'HIST': {'train.save_weight_histograms': True}, 'SWD': {'train.metrics': ['swd']},
}


@pytest.mark.parametrize('option', CHANGES)
def test_option(option):
    place = ('pgan-celebahq-{}-preset-v2-1gpu-fp32' if option in CONDITIONS else
             'pgan-celebahq-preset-v2-1gpu-fp32-{}')
    assert changes(option) == {'desc': place.format(option), **CHANGES[option]}


def test_all_options_are_tested():
    assert set(option_names()) == {*data_set_names(), *PRESETS, *PRECISIONS, *CHANGES}


def test_fp16():
    assert changes('fp16') == {
        'desc': 'pgan-celebahq-preset-v2-1gpu-fp16', 'G.dtype': 'float16', 'D.dtype': 'float16',
        'G.pixelnorm_epsilon': 1e-4, 'G_opt.use_loss_scaling': True, 'D_opt.use_loss_scaling': True,
        **LOW_PRECISION_MINIBATCH
    }


def test_bf16():
    assert changes('bf16') == {
        'desc': 'pgan-celebahq-preset-v2-1gpu-bf16', 'G.dtype': 'bfloat16', 'D.dtype': 'bfloat16',
        **LOW_PRECISION_MINIBATCH
    }


def test_runtime_and_environment_lines():
    lines = [line[1:] for line in source_lines() if line.startswith(('#tf_config', '#env'))]
    ns = namespace(extra='\n'.join(lines))
    assert ns['env'] == {'TF_CPP_MIN_LOG_LEVEL': '1', 'CUDA_VISIBLE_DEVICES': '0'}
    assert set(ns['tf_config']) == {
        'gpu_options.allow_growth', 'allow_soft_placement', 'intra_op_parallelism_threads',
        'inter_op_parallelism_threads', 'graph_options.place_pruned_graph', 'tf32'
    }


def test_schedule_csv():
    """num_gpus and total_kimg of every official configuration."""
    with open(GOLDEN / 'schedule.csv') as file:
        rows = {(r['preset'], r['precision'], r['extra'], int(r['num_gpus']),
                 float(r['total_kimg']))
                for r in csv.DictReader(file)}
    assert len(rows) == 14
    for preset, precision, extra, num_gpus, total_kimg in rows:
        ns = namespace(f'preset-{preset}', precision, *filter(None, [extra]))
        assert (ns['num_gpus'], ns['train'].total_kimg) == (num_gpus, total_kimg)


# ------------------------------------------------------------ utilities

def metric(name, log, num_images, real_passes=1):
    return {
        'func': 'util_scripts.evaluate_metrics', 'run_id': 23, 'log': f'metric-{log}.txt',
        'metrics': [name], 'num_images': num_images, 'real_passes': real_passes
    }


UTILITIES = [
    ({'func': 'util_scripts.generate_fake_images', 'run_id': 23,
      'num_pngs': 1000}, 'fake-images-23'),
    ({
        'func': 'util_scripts.generate_fake_images', 'run_id': 23, 'grid_size': [15, 8],
        'num_pngs': 10, 'image_shrink': 4
    }, 'fake-grids-23'),
    ({
        'func': 'util_scripts.generate_interpolation_video', 'run_id': 23, 'grid_size': [1, 1],
        'duration_sec': 60.0, 'smoothing_sec': 1.0
    }, 'interpolation-video-23'),
    ({'func': 'util_scripts.generate_training_video',
      'run_id': 23, 'duration_sec': 20.0}, 'training-video-23'),
    (metric('swd', 'swd-16k', 16384, 2), 'swd-16k-23'),
    (metric('fid', 'fid-10k', 10000), 'fid-10k-23'), (metric('fid', 'fid-50k',
                                                             50000), 'fid-50k-23'),
    (metric('is', 'is-50k', 50000), 'is-50k-23'),
    (metric('msssim', 'msssim-20k', 20000), 'msssim-20k-23'),
    (metric('kid', 'kid-10k', 10000), 'kid-10k-23'), (metric('pr', 'pr-10k', 10000), 'pr-10k-23'),
    (metric('modes', 'modes-256k', 256000), 'modes-256k-23'),
    ({'func': 'util_scripts.project_image', 'run_id': 23, 'image': 'picture.png',
      'num_steps': 500}, 'projection-23'),
    ({'func': 'util_scripts.nearest', 'run_id': 23, 'num': 8, 'neighbours': 4}, 'nearest-23')
]


@pytest.mark.parametrize(('line', 'expected'), list(zip(utility_lines(), UTILITIES, strict=True)),
                         ids=[desc for _, desc in UTILITIES])
def test_utility(line, expected):
    ns = namespace('preset-v2-8gpus', extra=line)
    assert (ns['train'], ns['desc'], ns['num_gpus']) == (*expected, 1)


# ------------------------------------------------------------ EasyDict

def test_easy_dict(monkeypatch):
    config = settings.load()
    options = config.EasyDict(a=1)
    options.b = 2
    assert (options, options.a, options['b']) == ({'a': 1, 'b': 2}, 1, 2)
    del options.a
    assert str(options) == "{'b': 2}"
    with pytest.raises(AttributeError, match="option 'c' is not set. Options that are set: b"):
        options.c  # noqa: B018
    with pytest.raises(AttributeError):
        del options.c
    assert not hasattr(options, 'c')
    monkeypatch.setitem(sys.modules, 'config', config)
    for other in (pickle.loads(pickle.dumps(options)), copy.deepcopy(options), copy.copy(options)):
        assert other == options
        assert type(other) is config.EasyDict
