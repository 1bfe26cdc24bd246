"""settings: override files, --set, and what is said about mistakes."""
import argparse
import os
import subprocess
import sys

import pytest
from conftest import ROOT

import settings
from errors import ConfigError


def write(text, path='override.py'):
    with open(path, 'w') as file:
        file.write(text)
    return path


# ------------------------------------------------------------ reading

def test_config_is_the_module_of_that_name():
    config = settings.load()
    import config as imported
    assert imported is config
    assert settings.sources(config) == []


def test_each_load_starts_afresh():
    settings.load([], ['sched.minibatch_base=77'])
    assert settings.load().sched.minibatch_base == 4


def test_three_assignments_are_an_override_file(in_tmp):
    path = write("desc += '-small'\ntrain.total_kimg = 100\ndataset = EasyDict(tfrecord_dir='mnist')\n")
    config = settings.load([path])
    assert config.desc == 'pgan-celebahq-preset-v2-1gpu-fp32-small'
    assert (config.train.total_kimg, config.dataset) == (100, {'tfrecord_dir': 'mnist'})
    assert settings.sources(config) == ['override.py']


def test_files_in_order_then_assignments(in_tmp):
    one, two = write('num_gpus = 2\nrandom_seed = 2', 'one.py'), write('random_seed = num_gpus + 1', 'two.py')
    config = settings.load([one, two], ['num_gpus=5', 'desc=x'])
    assert (config.num_gpus, config.random_seed, config.desc) == (5, 3, 'x')
    assert settings.sources(config) == ['one.py', 'two.py', '--set num_gpus=5', '--set desc=x']


def test_values_are_the_public_names(in_tmp):
    config = settings.load([write('import math\n_half = 0.5\nrandom_seed = int(math.pi * _half)\n')])
    values = settings.values(config)
    assert list(values) == sorted(values)
    assert not {'math', '_half'} & set(values)
    assert str(values['EasyDict']) == "<class 'config.EasyDict'>"


def test_a_plain_dict_in_an_override_file_is_good_enough(in_tmp):
    config = settings.load([write("sched = {'minibatch_base': 8}")])
    assert config.sched.minibatch_base == 8


@pytest.mark.parametrize(('text', 'message'), [
    ('nun_gpus = 2', "override.py sets 'nun_gpus', which is not a name of config.py. Did you mean 'num_gpus'"),
    ('\ntrian.total_kimg = 3', r"override.py, line 2: 'trian.total_kimg = 3' failed with NameError.* Did you mean 'train'"),
    ('sched.minibatch_dct[4] = 3', "line 1.*AttributeError: no option 'minibatch_dct' has been set; set are: minibatch_base"),
    ('x =', 'override.py, line 1: invalid syntax'),
    ('num_gpus = 1 / 0', 'override.py, line 1.*ZeroDivisionError'),
    ('import nowhere_to_be_found', 'ModuleNotFoundError'),
])
def test_mistakes_in_an_override_file(text, message, in_tmp):
    with pytest.raises(ConfigError, match=message):
        settings.load([write(text)])


def test_missing_override_file(in_tmp):
    with pytest.raises(ConfigError, match='--config none.py: there is no such file'):
        settings.load(['none.py'])
    with open('binary.py', 'wb') as file:
        file.write(b'\xff\xfe\xff')
    with pytest.raises(ConfigError, match='binary.py cannot be read'):
        settings.load(['binary.py'])


@pytest.mark.parametrize(('assignment', 'name', 'expected'), [
    ('train.total_kimg=100', 'train.total_kimg', 100),
    ('train.total_kimg = 1.5', 'train.total_kimg', 1.5),
    ('G_opt.epsilon=1e-4', 'G_opt.epsilon', 1e-4),
    ('sched.minibatch_dict={4:128, 8: 64}', 'sched.minibatch_dict', {4: 128, 8: 64}),
    ('train.mirror_augment=False', 'train.mirror_augment', False),
    ('train.drange_net=[0, 1]', 'train.drange_net', [0, 1]),
    ('grid.layout=row_per_class', 'grid.layout', 'row_per_class'),
    ('train.resume_run_id=results/005-pgan', 'train.resume_run_id', 'results/005-pgan'),
    ('train.resume_run_id=5', 'train.resume_run_id', 5),
    ('train.resume_run_id=None', 'train.resume_run_id', None),
    (r'dataset.tfrecord_dir=C:\data\x', 'dataset.tfrecord_dir', r'C:\data\x'),
    ("desc='with blanks'", 'desc', 'with blanks'),
    ('desc=005', 'desc', '005'),
    ('desc=12', 'desc', '12'),
    ('desc=a=b', 'desc', None),
    ('dataset.tfrecord_dir=2018', 'dataset.tfrecord_dir', '2018'),
    ('env.CUDA_VISIBLE_DEVICES=0', 'env.CUDA_VISIBLE_DEVICES', '0'),
    ('tf_config.gpu_options.allow_growth=True', 'tf_config.gpu_options.allow_growth', True),
    ("dataset={'tfrecord_dir': 'mnist'}", 'dataset.tfrecord_dir', 'mnist'),
])
def test_assignments(assignment, name, expected):
    if expected is None and 'None' not in assignment:
        with pytest.raises(ConfigError, match='expected a Python literal'):
            settings.load([], [assignment])
        return
    config = settings.load([], [assignment])
    first, _, key = name.partition('.')
    received = getattr(config, first)[key] if key else getattr(config, first)
    assert received == expected
    assert type(received) is type(expected)
    assert not key or isinstance(getattr(config, first), config.EasyDict)


@pytest.mark.parametrize(('assignment', 'message'), [
    ('trian.total_kimg=3', "no name 'trian'. Did you mean 'train'"),
    ('EasyDict=3', "no name 'EasyDict'"),
    ('__name__=3', "no name '__name__'"),
    ('num_gpus', 'expected NAME=VALUE'),
    ('=3', 'expected NAME=VALUE'),
    ('train.=3', 'expected NAME=VALUE'),
    ('num_gpus.x=3', "'num_gpus' has no parts; it is 1"),
    ('train.mirror_augment=true', 'write True, with a capital letter'),
    ('sched.minibatch_dict={4:128', 'expected a Python literal'),
    ("train.total_kimg=__import__('os').getpid()", 'expected a Python literal'),
    ('desc=', "Received: ''"),
])
def test_mistakes_in_assignments(assignment, message):
    with pytest.raises(ConfigError, match=message):
        settings.load([], [assignment])


def test_arguments():
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    args = parser.parse_args(['--config', 'a.py', '--set', 'num_gpus=2', '--config', 'b.py', '--set', 'desc=x'])
    assert (args.config, args.set) == (['a.py', 'b.py'], ['num_gpus=2', 'desc=x'])
    args = parser.parse_args([])
    assert (args.config, args.set) == ([], [])


def test_environment(monkeypatch):
    monkeypatch.setenv('SETTINGS_TEST', 'old')
    config = settings.load()
    config.env = config.EasyDict(SETTINGS_TEST=0)
    settings.apply_env(config)
    assert os.environ['SETTINGS_TEST'] == '0'


def test_reading_does_not_import_tensorflow():
    code = 'import sys, settings, misc; settings.load(); assert not {"tensorflow", "tfutil"} & set(sys.modules), sorted(sys.modules)'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


# ------------------------------------------------------------ checking

def check(*assignments):
    config = settings.load([], assignments)
    settings.check_config(config)


@pytest.mark.parametrize('assignments', [
    (),
    ('train.resume_run_id=005', 'train.resume_kimg=1000', 'train.total_kimg=0.5'),
    ('dataset.max_label_size=full',), ('dataset.max_label_size=3', 'D_loss.wgan_target=750', 'G_opt.use_loss_scaling=True'),
    ('G.latent_size=128', 'D.mbstd_group_size=1', 'G.structure=linear', 'G.dtype=bfloat16', 'sched.tick_kimg_dict={}'),
    ("dataset={'class_name': 'dataset.SyntheticDataset', 'resolution': 64}",),
    ('tf_config.allow_soft_placement=False',),
], ids=str)
def test_good_configurations(assignments):
    check(*assignments)


@pytest.mark.parametrize(('assignment', 'message'), [
    # Names.
    ('train.total_kimgs=3', "train.total_kimgs is not an option. Did you mean 'total_kimg'"),
    ('sched.minibatch_dct={}', "Did you mean 'minibatch_dict'"),
    ('G.fmap_bas=3', "Did you mean 'fmap_base'"),
    ('D.mbstd_groupsize=3', "Did you mean 'mbstd_group_size'"),
    ('D_loss.wgan_lamda=3', "Did you mean 'wgan_lambda'"),
    ('G_opt.beta3=0', "Did you mean 'beta"),
    ('grid.sise=4k', "Did you mean 'size'"),
    ('dataset.max_labelsize=1', "Did you mean 'max_label_size'"),
    ('tf_config.gpu_options.alow_growth=True', "Did you mean 'gpu_options.allow_growth'.*intra_op_parallelism_threads"),
    ('G.func=networks.G_papr', "Did you mean 'G_paper'"),
    ('train.func=3', 'train.func: expected the function'),
    ('G.resolution=64', 'G.resolution cannot be set: the program itself'),
    ('G_opt.learning_rate=0.1', 'G_opt.learning_rate cannot be set'),
    ('D_loss.reals=0', 'D_loss.reals cannot be set'),
    ('dataset={}', 'dataset.tfrecord_dir must be set: TFRecordDataset needs it'),
    # Types.
    ('train.total_kimg=abc', "train.total_kimg: expected a number. Received: 'abc'"),
    ('train.total_kimg=True', 'train.total_kimg: expected a number. Received: True'),
    ('train.mirror_augment=1', 'expected True or False'),
    ('train.minibatch_repeats=1.5', 'expected an integer'),
    ('sched.minibatch_dict=[4]', 'expected a dict'),
    ('train.drange_net=3', 'expected a list'),
    ('G.dtype=float31', "G.dtype: expected one of 'float32'"),
    ('dataset.max_label_size=all', "expected 'full' or an integer"),
    ('desc=None', 'desc: expected a text'),
    ('sched=3', 'sched: expected an EasyDict'),
    ('num_gpus=None', 'num_gpus: expected an integer'),
    # Ranges.
    ('num_gpus=0', 'num_gpus: expected at least 1'),
    ('random_seed=-1', 'random_seed: expected 0 to 4294967295'),
    ('train.image_snapshot_ticks=0', 'expected at least 1'),
    ('train.total_kimg=-1', 'expected at least 0'),
    ('grid.size=2k', "grid.size: expected one of '1080p', '4k'"),
    ('sched.minibatch_dict={12: 4}', r'sched.minibatch_dict\[12\]: expected a resolution, a power of two'),
    ("sched.G_lrate_dict={'4': 0.1}", r"sched.G_lrate_dict\['4'\]"),
    ('sched.minibatch_dict={8: 0}', r'sched.minibatch_dict\[8\]: expected an integer above 0. Received: 0'),
    ('sched.D_lrate_dict={8: -0.1}', 'expected a number above 0'),
    ('sched.lod_initial_resolution=6', 'sched.lod_initial_resolution: expected a power of two'),
])
def test_mistakes(assignment, message):
    with pytest.raises(ConfigError, match=message):
        check(assignment)


def test_minibatches_must_split_over_gpus_and_groups():
    data = 'dataset.resolution=32'
    check(data, 'sched.minibatch_dict={4: 3, 8: 2, 16: 8, 32: 12}')
    with pytest.raises(ConfigError, match='minibatch of 6 at 8x8 on num_gpus = 1 gives 6 to each GPU. Expected a multiple of .* = 4'):
        check(data, 'sched.minibatch_dict={8: 6}')
    with pytest.raises(ConfigError, match='128 at 4x4 on num_gpus = 3 gives 42'):
        check(data, 'num_gpus=3')
    with pytest.raises(ConfigError, match='minibatch of 2 at 4x4 on num_gpus = 4 leaves nothing.*at least 4'):
        check(data, 'sched.minibatch_dict={4: 2}', 'num_gpus=4')
    check(data, 'sched.minibatch_dict={8: 6}', 'D.mbstd_group_size=3', 'sched.minibatch_base=3')
    check(data, 'sched.minibatch_dict={8: 6}', 'D.mbstd_group_size=1')
    check(data, 'sched.minibatch_dict={8: 6}', 'sched.max_minibatch_per_gpu={8: 4}')
    check(data, 'sched.minibatch_dict={8: 6}', 'sched.lod_initial_resolution=16')  # Never trained at 8x8.
    check('dataset.resolution=4', 'sched.minibatch_dict={8: 6}')


def test_the_resolution_is_taken_from_the_files_names(in_tmp):
    os.makedirs('data/mini')
    for level in (2, 3):
        write('', f'data/mini/mini-r{level:02}.tfrecords')
    bad = ('data_dir=data', 'dataset.tfrecord_dir=mini')
    with pytest.raises(ConfigError, match='6 at 8x8'):
        check(*bad, 'sched.minibatch_dict={8: 6}')
    check(*bad, 'sched.minibatch_dict={16: 6}')


def test_the_users_own_functions(in_tmp, monkeypatch):
    """Keyword-only arguments and **ignored are not options; any other ** hands names on."""
    monkeypatch.syspath_prepend(os.getcwd())
    write('def strict(depth=3, **ignored): pass\ndef passing(depth=3, **kwargs): pass\n'
          'def script(run_id, count=1, *, config, extra=1): pass\n', 'own_nets.py')
    check('G.func=own_nets.strict', 'G.depth=4')
    with pytest.raises(ConfigError, match="G.dept is not an option. Did you mean 'depth'"):
        check('G.func=own_nets.strict', 'G.dept=4')
    check('G.func=own_nets.passing', 'G.whatever=4')
    with pytest.raises(ConfigError, match="G.depth: expected an integer. Received: 'x'"):
        check('G.func=own_nets.passing', 'G.depth=x')
    check("train={'func': 'own_nets.script', 'run_id': 5}")
    with pytest.raises(ConfigError, match='train.run_id must be set: script needs it'):
        check("train={'func': 'own_nets.script'}")
    with pytest.raises(ConfigError, match='train.extra is not an option'):
        check("train={'func': 'own_nets.script', 'run_id': 5, 'extra': 3}")
    with pytest.raises(ConfigError, match='train.config cannot be set'):
        check("train={'func': 'own_nets.script', 'run_id': 5, 'config': 3}")


@pytest.mark.parametrize('preset', ['preset-v1-1gpu', 'preset-v2-1gpu', 'preset-v2-2gpus', 'preset-v2-4gpus', 'preset-v2-8gpus'])
@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
def test_official_configurations_are_good(preset, precision):
    from config_lines import namespace
    config = settings.load()
    options = ('VERBOSE', 'BENCHMARK', 'nowscale', 'cond', 'g4k', 'GRAPH', 'HIST')
    for name, value in namespace(preset, precision, *options, dataset='syn1024rgb').items():
        if name in settings.values(config) and name != 'EasyDict':
            setattr(config, name, config.EasyDict(value) if isinstance(value, dict) else value)
    del config.dataset['max_label_size']  # SyntheticDataset has no such option.
    settings.check_config(config)
