"""settings: override files, --set, and messages for mistakes."""
import argparse
import os
import subprocess
import sys

import pytest

import dataset
import util_scripts
from pgan import settings
from pgan.errors import ConfigError
from pgan.options import options_of, user_options
from pgan.settings import checking
from tests.support.golden import ROOT


def write(text, path='override.py'):
    with open(path, 'w') as file:
        file.write(text)
    return path


# ------------------------------------------------------------ reading

def test_config_is_the_module_of_that_name():
    config = settings.load()
    import config as imported
    assert imported is config
    assert settings.command_line(config) == ([], [])


def test_each_load_starts_afresh():
    settings.load([], ['sched.minibatch_base=77'])
    assert settings.load().sched.minibatch_base == 4


def test_three_assignments_are_an_override_file(in_tmp):
    path = write("desc += '-small'\ntrain.total_kimg = 100\ndataset = "
                 "EasyDict(tfrecord_dir='mnist')\n")
    config = settings.load([path])
    assert config.desc == 'pgan-celebahq-preset-v2-1gpu-fp32-small'
    assert (config.train.total_kimg, config.dataset) == (100, {'tfrecord_dir': 'mnist'})
    assert settings.command_line(config) == (['override.py'], [])


def test_files_in_order_then_assignments(in_tmp):
    one, two = write('num_gpus = 2\nrandom_seed = 2',
                     'one.py'), write('random_seed = num_gpus + 1', 'two.py')
    config = settings.load([one, two], ['num_gpus=5', 'desc=x'])
    assert (config.num_gpus, config.random_seed, config.desc) == (5, 3, 'x')
    assert settings.command_line(config) == (['one.py', 'two.py'], ['num_gpus=5', 'desc=x'])


def test_values_are_the_public_names(in_tmp):
    config = settings.load(
        [write('import math\n_half = 0.5\nrandom_seed = int(math.pi * _half)\n')])
    values = settings.values(config)
    assert list(values) == sorted(values)
    assert not {'math', '_half'} & set(values)
    assert str(values['EasyDict']) == "<class 'config.EasyDict'>"


def test_a_plain_dict_in_an_override_file_is_good_enough(in_tmp):
    config = settings.load([write("sched = {'minibatch_base': 8}")])
    assert config.sched.minibatch_base == 8


@pytest.mark.parametrize(
    ('text', 'message'),
    [('nun_gpus = 2', "override.py sets 'nun_gpus', which is not a name of config.py. Did you mean "
      "'num_gpus'"),
     ('\ntrian.total_kimg = 3',
      r"override.py, line 2: 'trian.total_kimg = 3' failed with NameError.* Did you mean 'train'"),
     ('sched.minibatch_dct[4] = 3', "line 1.*AttributeError: option 'minibatch_dct' is not set. "
      'Options that are set: minibatch_base'), ('x =', 'override.py, line 1: invalid syntax'),
     ('num_gpus = 1 / 0', 'override.py, line 1.*ZeroDivisionError'),
     ('import nowhere_to_be_found', 'ModuleNotFoundError'),
     ('totl_kimg = 3', "'totl_kimg', which is not a name of config.py. Did you mean "
      "'train.total_kimg'"), ('tick_kimg_bas = 3', "Did you mean 'sched.tick_kimg_base'"),
     ('for i in range(3):\n    pass', 'call it _i, or add del i at the end'),
     ('del train', "override.py deletes 'train', which the program needs"),
     ('del EasyDict', "override.py deletes 'EasyDict'"),
     ('import sys; sys.exit(0)', r'override.py exits the program with sys.exit\(0\)'),
     ('num_gpus = 1\0', 'override.py is not a Python file.*contains NUL bytes'), ])
def test_mistakes_in_an_override_file(text, message, in_tmp):
    with pytest.raises(ConfigError, match=message):
        settings.load([write(text)])


def test_missing_override_file(in_tmp):
    with pytest.raises(ConfigError, match='--config none.py: there is no such file'):
        settings.load(['none.py'])
    with pytest.raises(ConfigError, match=f'the current folder is {os.getcwd()!r}'):
        settings.load(['none.py'])
    with pytest.raises(ConfigError, match='--config .: that is a folder'):
        settings.load(['.'])
    with pytest.raises(ConfigError, match='Did you mean') as error:
        settings.load(['configs/quickstart.py'])
    assert ('Did you mean '
            f"'{os.path.relpath(os.path.join(ROOT, 'configs', 'quickstart.py'))}'") in str(
        error.value)
    with open('binary.py', 'wb') as file:
        file.write(b'\xff\xfe\xff')
    with pytest.raises(ConfigError, match='binary.py is not a Python file in UTF-8'):
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
    ('desc=a=b', 'desc', 'a=b'),
    ('desc=my run, again', 'desc', 'my run, again'),
    ('result_dir=my results (2)', 'result_dir', 'my results (2)'),
    ('dataset.tfrecord_dir=my faces', 'dataset.tfrecord_dir', 'my faces'),
    ('dataset.tfrecord_dir=2018', 'dataset.tfrecord_dir', '2018'),
    ('env.CUDA_VISIBLE_DEVICES=0', 'env.CUDA_VISIBLE_DEVICES', '0'),
    ('tf_config.gpu_options.allow_growth=True', 'tf_config.gpu_options.allow_growth', True),
    ("dataset={'tfrecord_dir': 'mnist'}", 'dataset.tfrecord_dir', 'mnist'),
])
def test_assignments(assignment, name, expected):
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
    ('num_gpus.x=3', "'num_gpus' has no options; it is 1"),
    ('train.mirror_augment=true', 'write True, with a capital letter'),
    ('sched.minibatch_dict={4:128', 'expected a Python literal'),
    ("train.total_kimg=__import__('os').getpid()", 'expected a Python literal'),
    ('desc=', "Received: ''"),
    ("desc='my run", 'expected a Python literal'),
    ('train.mirror_augment=my run', 'expected a Python literal'),
    ('totl_kimg=3', "no name 'totl_kimg'. Did you mean 'train.total_kimg'"),
])
def test_mistakes_in_assignments(assignment, message):
    with pytest.raises(ConfigError, match=message):
        settings.load([], [assignment])


def options_that_take_numbers_and_texts():
    """(section, function, option) of each option that accepts both types."""
    functions = [*checking.OWN_FUNCTIONS.items(),
                 *(('train', f'util_scripts.{name}') for name in util_scripts.__all__)]
    return [(section, function, name) for section, function in functions
            for name, option in user_options(checking.import_function(function)).items()
            if option.kind.holds(7) and any(map(option.kind.holds, ('1-9', 'best', 'full')))]


def test_a_number_is_a_number_where_the_option_takes_one():
    """Regardless of the option's previous value."""
    found = options_that_take_numbers_and_texts()
    assert {'max_label_size', 'resume_run_id', 'init_from', 'run_id', 'snapshot', 'seeds',
            'labels'} <= {name for _, _, name in found}
    for section, function, name in found:
        choice = 'class_name' if section == 'dataset' else 'func'
        for text, expected in [('7', 7), ('0', 0), ('007', '007'), ('7-a', '7-a'), ("'7'", '7')]:
            config = settings.load([], [f'{section}.{choice}={function}', f'{section}.{name}=best',
                                        f'{section}.{name}={text}'])
            value = getattr(config, section)[name]
            assert value == expected and type(value) is type(expected), (name, text)


def test_a_number_is_a_text_where_the_option_takes_no_number():
    for before, after in [('grid.layout=random', 'grid.layout=7'), ('desc=x', 'desc=7')]:
        config = settings.load([], [before, after])
        assert '7' in (config.desc, config.grid.layout)


def test_arguments():
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    args = parser.parse_args(
        ['--config', 'a.py', '--set', 'num_gpus=2', '--config', 'b.py', '--set', 'desc=x'])
    assert (args.config, args.set) == (['a.py', 'b.py'], ['num_gpus=2', 'desc=x'])
    args = parser.parse_args([])
    assert (args.config, args.set) == ([], [])


def test_environment(monkeypatch):
    monkeypatch.setenv('SETTINGS_TEST', 'old')
    config = settings.load()
    config.env = config.EasyDict(SETTINGS_TEST=0)
    settings.apply_env(config)
    assert os.environ['SETTINGS_TEST'] == '0'


@pytest.mark.parametrize(('before', 'after'), [('3', '3'), (None, '1')])
def test_a_log_level_of_the_environment_stays(before, after, monkeypatch):
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', before or '')
    if before is None:
        monkeypatch.delenv('TF_CPP_MIN_LOG_LEVEL')
    settings.apply_env(settings.load())
    assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == after


@pytest.mark.parametrize(('env', 'message'), [
    (3, 'env: expected an EasyDict'),
    ({3: 'x'}, "env: expected names of variables, without '='. Received: 3"),
    ({'': 'x'}, 'env: expected names'),
    ({'A=B': 'x'}, 'env: expected names'),
    ({'A\0': 'x'}, 'env: expected names'),
    ({'A': 'x\0'}, 'env.A: expected a string or a number'),
    ({'A': None}, 'env.A: expected a string or a number. Received: None'),
    ({'A': [1]}, 'env.A: expected a string or a number'),
], ids=str)
def test_mistakes_in_the_environment(env, message):
    config = settings.load()
    config.env = env
    with pytest.raises(ConfigError, match=message):
        settings.apply_env(config)


def test_reading_does_not_import_tensorflow():
    code = ('import sys, misc; from pgan import settings; settings.load(); assert not '
            '{"tensorflow", "tfutil"} & set(sys.modules), sorted(sys.modules)')
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


# ------------------------------------------------------------ checking

def check(*assignments):
    config = settings.load([], assignments)
    settings.check_config(config)


@pytest.mark.parametrize(
    'assignments',
    [(),
     ('train.resume_run_id=005', 'train.resume_kimg=1000', 'train.total_kimg=1000.5',
      'train.resume_snapshot=900'), ('train.total_kimg=0', ),
     ('D.mbstd_group_size=0', 'sched.minibatch_base=3', 'sched.minibatch_dict={}',
      'dataset.resolution=64'),
     ('train.drange_net=[0, 1]', 'train.G_smoothing=1', 'G.fmap_decay=0', 'G.pixelnorm_epsilon=0',
      'dataset.repeat=True'), ('dataset.max_label_size=full', ),
     ('dataset.max_label_size=3', 'D_loss.wgan_target=750', 'G_opt.use_loss_scaling=True'),
     ('G.latent_size=128', 'D.mbstd_group_size=1', 'G.structure=linear', 'G.dtype=bfloat16',
      'sched.tick_kimg_dict={}'),
     ("dataset={'class_name': 'dataset.SyntheticDataset', 'resolution': 64}", ),
     ('tf_config.allow_soft_placement=False', ), ], ids=str)
def test_good_configurations(assignments):
    check(*assignments)


@pytest.mark.parametrize(
    ('assignment', 'message'),
    [
        # Names.
        ('train.total_kimgs=3', "train.total_kimgs is not an option. Did you mean 'total_kimg'"),
        ('sched.minibatch_dct={}', "Did you mean 'minibatch_dict'"),
        ('G.fmap_bas=3', "Did you mean 'fmap_base'"),
        ('D.mbstd_groupsize=3', "Did you mean 'mbstd_group_size'"),
        ('D_loss.wgan_lamda=3', "Did you mean 'wgan_lambda'"),
        ('G_opt.beta3=0', "Did you mean 'beta"),
        ('grid.sise=4k', "Did you mean 'size'"),
        ('dataset.max_labelsize=1', "Did you mean 'max_label_size'"),
        ('tf_config.gpu_options.alow_growth=True', 'Did you mean '
         "'gpu_options.allow_growth'.*intra_op_parallelism_threads"),
        ('G.func=networks.G_papr', "Did you mean 'G_paper'"),
        ('train.func=3', 'train.func: expected a dotted name'),
        ('G.resolution=64', 'G.resolution cannot be set: the program itself'),
        ('G_opt.learning_rate=0.1', 'G_opt.learning_rate cannot be set'),
        ('sched.total_kimg=5', 'sched.total_kimg cannot be set'),
        ('train.config=5', 'train.config cannot be set'),
        ('dataset.random_seed=5', 'dataset.random_seed cannot be set'),
        ('dataset.data_dir=x', 'dataset.data_dir cannot be set'),
        ('D_loss.latents=0', 'D_loss.latents cannot be set'),
        ('sched.func=x.y', 'sched.func is not an option'),
        ('D_loss.reals=0', 'D_loss.reals cannot be set'),
        ('dataset={}', 'dataset.tfrecord_dir must be set: TFRecordDataset needs it'),
        # Types.
        ('train.total_kimg=abc', "total_kimg: expected a number of at least 0. Received: 'abc'"),
        ('train.total_kimg=True', 'total_kimg: expected a number of at least 0. Received: True'),
        ('train.mirror_augment=1', 'expected True or False'),
        ('train.minibatch_repeats=1.5', 'expected an integer'),
        ('sched.minibatch_dict=[4]', 'expected a dict'),
        ('train.drange_net=3', 'expected two numbers'),
        ('G.dtype=float31', "G.dtype: expected one of 'float32'"),
        ('G.structure=linaer', "G.structure: expected one of 'linear', 'recursive', None"),
        ('D.mbstat_avg=some', "D.mbstat_avg: expected one of 'all', None"),
        ('train.metrics=swd', r"train.metrics: expected a list like \['swd'\]. Received: 'swd'"),
        ('train.metrics=[1]', 'train.metrics: expected a list, each item a string'),
        ("train.metrics=['swdd']", "train.metrics: There is no metric 'swdd'. Did you mean 'swd'"),
        ("train={'func': 'util_scripts.evaluate_metrics', 'run_id': 3, 'log': 'a.txt', 'metrics': "
         "['fidd'], 'num_images': 3, 'real_passes': 1}", "Did you mean 'fid'"),
        ('grid.layout=row_per_class', "(?s)the line '-grpc'.*the line '-cond'.*--use cond"),
        ('dataset.resolution=12', 'dataset.resolution: expected None or a resolution'),
        ('dataset.max_label_size=all', "expected 'full' or an integer"),
        ('desc=None', 'desc: expected a non-empty string'),
        ('sched=3', 'sched: expected an EasyDict'),
        ('num_gpus=None', 'num_gpus: expected an integer'),
        # Ranges.
        ('num_gpus=0', 'num_gpus: expected an integer of at least 1'),
        ('random_seed=-1', 'random_seed: expected an integer from 0 to 4294967295'),
        ('train.image_snapshot_ticks=0', 'expected an integer of at least 1'),
        ('train.total_kimg=-1', 'expected a number of at least 0'),
        ('grid.size=2k', "grid.size: expected one of '1080p', '4k'"),
        ('sched.minibatch_dict={12: 4}',
         r'sched.minibatch_dict\[12\]: expected a resolution .* as the key'),
        ("sched.G_lrate_dict={'4': 0.1}", r"sched.G_lrate_dict\['4'\]"),
        ('sched.minibatch_dict={8: 0}',
         r'sched.minibatch_dict\[8\]: expected an integer of at least 1. Received: 0'),
        ('sched.D_lrate_dict={8: -0.1}', 'expected a number above 0'),
        ('sched.lod_initial_resolution=6', 'sched.lod_initial_resolution: expected a resolution'),
        ('train.drange_net=[0]', 'train.drange_net: expected two numbers'),
        ('train.drange_net=[1, 1]', 'train.drange_net: expected two numbers'),
        ('train.drange_net=[1, -1]', 'in ascending order'),
        ("train.drange_net=['a', 'b']", 'train.drange_net: expected two numbers'),
        ('train.drange_net=[-1, 1e999]', 'train.drange_net: expected two numbers'),
        ('train.total_kimg=1e999', 'total_kimg: expected a number of at least 0. Received: inf'),
        ('train.resume_kimg=-1', 'train.resume_kimg: expected a number of at least 0'),
        ('train.resume_kimg=12000',
         'train.resume_kimg: expected less than train.total_kimg = 12000'),
        ('train.resume_time=-1', 'train.resume_time: expected a number of at least 0'),
        ('train.resume_snapshot=100', 'train.resume_snapshot: expected train.resume_run_id'),
        ('train.resume_snapshot=last', "resume_snapshot: expected None, 'best' or an integer of"),
        ('train.G_smoothing=1.1', 'train.G_smoothing: expected a number from 0 to 1'),
        ('train.G_smoothing=-0.1', 'train.G_smoothing: expected a number from 0 to 1'),
        ('sched.G_lrate_base=0', 'sched.G_lrate_base: expected a number above 0'),
        ('sched.D_lrate_base=-0.1', 'sched.D_lrate_base: expected a number above 0'),
        ('sched.tick_kimg_base=-1', 'sched.tick_kimg_base: expected a number of at least 0'),
        ('sched.minibatch_base=1.5', 'sched.minibatch_base: expected an integer'),
        ('G_opt.beta1=1', r'G_opt.beta1: expected a number from 0 to 1 \(excluding 1\)'),
        ('D_opt.beta2=-0.1', r'D_opt.beta2: expected a number from 0 to 1 \(excluding 1\)'),
        ('D_opt.epsilon=0', 'D_opt.epsilon: expected a number above 0'),
        ('G.pixelnorm_epsilon=-1', 'G.pixelnorm_epsilon: expected a number of at least 0'),
        ('G.latent_size=0', 'G.latent_size: expected None or an integer of at least 1'),
        ('G.latent_size=1.5', 'G.latent_size: expected None or an integer of at least'),
        ('G.fmap_decay=-1', 'G.fmap_decay: expected a number of at least 0'),
        ('D.mbstd_group_size=-1', 'D.mbstd_group_size: expected an integer of at least 0'),
        ('D_loss.wgan_target=0', 'D_loss.wgan_target: expected a number above 0'),
        ('D_loss.wgan_lambda=-1', 'D_loss.wgan_lambda: expected a number of at least 0'),
        ('D_loss.wgan_epsilon=-1', 'D_loss.wgan_epsilon: expected a number of at least 0'),
        ('G_loss.cond_weight=-1', 'G_loss.cond_weight: expected a number of at least 0'),
        # Functions and classes.
        ('G.func=os.getcwd', 'G.func: expected a function that takes label_size, num_channels, '
         'resolution by name'),
        ('D.func=os.path', 'D.func: expected the name of a function'),
        ('G.func=networks.D_paper', 'G.func: expected a function like networks.G_paper'),
        ('D.func=networks.G_paper', 'D.func: expected a function like networks.D_paper'),
        ('G_loss.func=loss.D_wgangp_acgan',
         'G_loss.func: expected a function like loss.G_wgan_acgan'),
        ('D_loss.func=loss.G_wgan_acgan', 'D_loss.func: expected a function that takes reals'),
        ('train.func=os.path', 'train.func: expected the name of a function'),
        ('train.func=util_scripts.evaluate_metric', "Did you mean 'evaluate_metrics'"),
        ('dataset.class_name=3', 'dataset.class_name: expected a dotted name'),
        ('dataset.class_name=os.path', 'dataset.class_name: expected the name of a class'),
        ('dataset.class_name=dataset.load_dataset',
         'dataset.class_name: expected the name of a class'),
        # The runtime and the result folder.
        ("tf_config={'intra_op_parallelism_threads': -1}",
         'intra_op_parallelism_threads.*expected an '
         'integer, at least 0. Received: -1'),
        ("tf_config={'inter_op_parallelism_threads': 'two'}", 'expected an integer, at least 0. '
         "Received: 'two'"),
        ("tf_config={'gpu_options.allow_growth': 'yes'}",
         "expected True or False. Received: 'yes'"),
        (r"desc='two\nlines'", 'desc: expected one line of text'),
        (r"desc='\0'", 'desc: expected one line of text'),
        (f'result_dir={__file__}', 'result_dir: expected a folder'),
        ('dataset.repeat=False', 'dataset.repeat: expected True'),
    ])
def test_mistakes(assignment, message):
    with pytest.raises(ConfigError, match=message):
        check(assignment)


def test_minibatches_must_split_over_gpus_and_groups():
    data = 'dataset.resolution=32'
    check(data, 'sched.minibatch_dict={4: 3, 8: 2, 16: 8, 32: 12}')
    with pytest.raises(ConfigError, match='minibatch of 6 at 8x8 on num_gpus = 1 gives 6 to each '
                                          'GPU. Expected a multiple of .* = 4'):
        check(data, 'sched.minibatch_dict={8: 6}')
    with pytest.raises(ConfigError, match='128 at 4x4 on num_gpus = 3 gives 42'):
        check(data, 'num_gpus=3')
    with pytest.raises(ConfigError, match='minibatch of 2 at 4x4 on num_gpus = 4 leaves '
                                          'nothing.*at least 4'):
        check(data, 'sched.minibatch_dict={4: 2}', 'num_gpus=4')
    check(data, 'sched.minibatch_dict={8: 6}', 'D.mbstd_group_size=3', 'sched.minibatch_base=3')
    check(data, 'sched.minibatch_dict={8: 6}', 'D.mbstd_group_size=1')
    check(data, 'sched.minibatch_dict={8: 6}', 'sched.max_minibatch_per_gpu={8: 4}')
    # never trained at 8x8
    check(data, 'sched.minibatch_dict={8: 6}', 'sched.lod_initial_resolution=16')
    check('dataset.resolution=4', 'sched.minibatch_dict={8: 6}')


def test_the_resolution_is_taken_from_the_files_names(in_tmp):
    os.makedirs('data/mini')
    for level in (2, 3):
        write('', f'data/mini/mini-r{level:02}.tfrecords')
    bad = ('data_dir=data', 'dataset.tfrecord_dir=mini')
    with pytest.raises(ConfigError, match='6 at 8x8'):
        check(*bad, 'sched.minibatch_dict={8: 6}')
    check(*bad, 'sched.minibatch_dict={16: 6}')


def test_the_resolution_is_the_data_set_classs_own():
    data = "dataset={'class_name': 'dataset.SyntheticDataset'}"
    with pytest.raises(ConfigError, match='minibatch of 6 at 1024x1024'):
        check(data, 'sched.minibatch_dict={1024: 6}', 'sched.max_minibatch_per_gpu={}')
    check(data, 'sched.minibatch_dict={2048: 6}')


def test_minibatches_can_be_checked_when_the_resolution_is_known():
    config = settings.load([], ['sched.minibatch_dict={8: 6}'])
    settings.check_minibatches(config, 4)
    with pytest.raises(ConfigError, match='minibatch of 6 at 8x8'):
        settings.check_minibatches(config, 8)


def test_config_py_names_the_programs_own_functions():
    config = settings.load()
    for name in checking.WITH_FUNC:
        assert getattr(config, name).func == checking.OWN_FUNCTIONS[name]
    loader = options_of(dataset.load_dataset)
    assert loader['class_name'].default == checking.OWN_FUNCTIONS['dataset']


def test_the_users_own_functions(in_tmp, monkeypatch):
    """Keyword-only arguments and **ignored are not options; any other ** forwards names."""
    monkeypatch.syspath_prepend(os.getcwd())
    write('def strict(depth=3, **ignored): pass\ndef passing(depth=3, **kwargs): pass\n'
          'def script(run_id, count=1, *, config, extra=1): pass\n'
          'from typing import Literal\nfrom pgan.options import Count\n'
          "def typed(depth: Count = 3, kind: Literal['a', 'b'] = 'a', **_): pass\n", 'own_nets.py')
    check('G.func=own_nets.strict', 'G.depth=4')
    with pytest.raises(ConfigError, match="G.dept is not an option. Did you mean 'depth'"):
        check('G.func=own_nets.strict', 'G.dept=4')
    check('G.func=own_nets.passing', 'G.whatever=4')
    check('G.func=own_nets.typed', 'G.depth=4', 'G.kind=b')
    with pytest.raises(ConfigError, match='G.depth: expected an integer of at least 1. Received'):
        check('G.func=own_nets.typed', 'G.depth=0')
    with pytest.raises(ConfigError, match="G.kind: expected one of 'a', 'b'. Received: 'c'"):
        check('G.func=own_nets.typed', 'G.kind=c')
    with pytest.raises(ConfigError, match="G.depth: expected an integer. Received: 'x'"):
        check('G.func=own_nets.passing', 'G.depth=x')
    check("train={'func': 'own_nets.script', 'run_id': 5}")
    with pytest.raises(ConfigError, match='train.run_id must be set: script needs it'):
        check("train={'func': 'own_nets.script'}")
    with pytest.raises(ConfigError, match='train.extra is not an option'):
        check("train={'func': 'own_nets.script', 'run_id': 5, 'extra': 3}")
    with pytest.raises(ConfigError, match='train.config cannot be set'):
        check("train={'func': 'own_nets.script', 'run_id': 5, 'config': 3}")


@pytest.mark.parametrize(
    'preset',
    ['preset-v1-1gpu', 'preset-v2-1gpu', 'preset-v2-2gpus', 'preset-v2-4gpus', 'preset-v2-8gpus'])
@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
def test_official_configurations_are_good(preset, precision):
    from tests.support.config_lines import namespace
    config = settings.load()
    options = ('VERBOSE', 'BENCHMARK', 'nowscale', 'cond', 'g4k', 'GRAPH', 'HIST')
    for name, value in namespace(preset, precision, *options, dataset='syn1024rgb').items():
        if name in settings.values(config) and name != 'EasyDict':
            setattr(config, name, config.EasyDict(value) if isinstance(value, dict) else value)
    del config.dataset['max_label_size']  # not an option of SyntheticDataset
    settings.check_config(config)
