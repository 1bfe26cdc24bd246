"""training/own_pictures.py and trials.py: `train.py --images`."""
import glob
import os
import pathlib
import re
import shlex
import types

import numpy as np
import pytest
from PIL import Image

import misc
import train
from pgan import settings
from pgan.errors import ConfigError
from pgan.importers.survey import survey
from pgan.training import own_pictures, trials
from pgan.training.own_pictures import Given, Plan, make_plan
from pgan.training.trials import Measured
from tests.support.faults import tree
from tests.support.toy_runs import check_files, expect_error, main, ticks_of


def write_pictures(folder='my pics', count=6, size=24, seed=0):
    os.makedirs(folder, exist_ok=True)
    rnd = np.random.RandomState(seed)
    for number in range(count):
        pixels = rnd.randint(0, 256, (size, size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(f'{folder}/{seed}-{number}.png')


def speeds(sec_per_kimg, resolutions=(4, 8, 16, 32, 64, 128), compiling=1.0, **more):
    """Measured times of a machine: {resolution: seconds per kimg}, or those at 32x32."""
    rates = {size: sec_per_kimg * (size / 32) ** 2 for size in resolutions}
    rows = [(size, fading) for size in resolutions for fading in (True, False)]
    state = dict(seen=[[*row, rates[row[0]] * 1e-6, 1e-6] for row in rows],
                 first=[[*row, compiling, 0.0] for row in rows],
                 saving=dict(pictures=[0.1, 1], networks=[0.2, 1]))
    return Measured(5.0, state, **more)


@pytest.fixture
def machine(in_tmp, monkeypatch):
    """A folder of pictures; machine(seconds per kimg at 32x32) replaces the measurement."""
    write_pictures()
    calls = []

    def of(sec_per_kimg, **more):
        def measure(files, assignments, uses, seconds, resolutions=None):
            calls.append((files, assignments, uses))
            sizes = resolutions or (4, 8, 16, 32, 64, 128)
            return speeds(sec_per_kimg, sizes, **more)
        monkeypatch.setattr(trials, 'measure', measure)
        return calls
    of(1.0)
    monkeypatch.setattr(own_pictures, '_precision_of_cpu', lambda: 'fp32')
    monkeypatch.setattr(own_pictures, 'has_gpu', lambda: False)
    return of


def prepare(*args, **kwargs):
    """--config, --set and --use of the chosen run."""
    plan = make_plan(*args, **kwargs)
    return plan.parts(plan.choice)


def flat(config):
    found = settings.plain_options(config)
    return {name: value for name, value in found.items() if name != 'EasyDict'}


def typed(text):
    """The configuration of the train.py command contained in a string."""
    line = next(line for line in text.splitlines() if 'train.py' in line)
    words = shlex.split(line)
    return train.load(train.parse_args(words[2:]))[0]


GIVEN = {
    'nothing': Given(),
    'set': Given((), ('G.fmap_max=16', 'desc=mine', 'train.total_kimg=3')),
    'section': Given((), ("sched={'minibatch_base': 8, 'tick_kimg_base': 2}",)),
    'precision': Given((), (), ('fp32',)),
    'preset': Given((), (), ('preset-v1-1gpu', 'bf16')),
    'file': Given(('own.py',), ('train.metrics=["swd"]',)),
    'file that replaces': Given(('replaces.py',)),
    'the defaults': Given((), ('train.mirror_augment=True', 'sched.minibatch_base=4')),
}


@pytest.mark.parametrize('given', GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize('of_cpu', ['fp32', 'bf16'])
def test_the_line_that_is_printed_is_the_same_run(given, of_cpu, machine, capsys, monkeypatch):
    monkeypatch.setattr(own_pictures, '_precision_of_cpu', lambda: of_cpu)
    pathlib.Path('own.py').write_text('sched.minibatch_base = 8\nD.fmap_max = 8\n')
    pathlib.Path('replaces.py').write_text('sched = EasyDict(minibatch_base=8, '
                                           'tick_kimg_base=3)\ntrain.total_kimg = 2\n')
    files, assignments, uses = prepare('my pics', 0.5, given, dry_run=True)
    config = settings.load(files, assignments, uses)
    settings.check_config(config)
    printed = typed(capsys.readouterr().out)
    assert flat(printed) == flat(config)
    assert printed.dataset.tfrecord_dir.startswith('my-pics-16x16-')


@pytest.mark.parametrize(('assignment', 'words'), [
    ('desc=mine', 'diffaugment'), ('train.augment=None', 'off')])
def test_the_choice_names_the_augmentation(assignment, words, machine, capsys):
    prepare('my pics', 0.5, Given((), (assignment, )), dry_run=True)
    assert re.search(rf'^  Augmentation +{words}$', capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(('given', 'name', 'value'), [
    (GIVEN['set'], 'G.fmap_max', 16), (GIVEN['set'], 'desc', 'mine'),
    (GIVEN['set'], 'train.total_kimg', 3), (GIVEN['section'], 'sched.tick_kimg_base', 2),
    (GIVEN['preset'], 'train.total_kimg', 19000), (GIVEN['preset'], 'G.dtype', 'bfloat16'),
    (GIVEN['the defaults'], 'sched.minibatch_base', 4),
    (GIVEN['the defaults'], 'train.mirror_augment', True),
], ids=str)
def test_what_the_user_sets_wins_and_is_measured(given, name, value, machine, capsys):
    calls = machine(1.0)
    config = settings.load(*prepare('my pics', 0.5, given, dry_run=True))
    assert flat(config)[name] == value
    if not name.startswith(('train.total', 'sched.tick')):
        assert all(flat(settings.load(*call))[name] == value for call in calls)
    if name == 'train.total_kimg' and value > 100:
        assert 'you have set takes longer' in capsys.readouterr().out


@pytest.mark.parametrize(('rate', 'hours'), [(1.0, 0.1), (1.0, 3), (30.0, 0.5), (0.01, 0.1)])
def test_the_run_fills_the_time(rate, hours, machine, capsys):
    machine(rate)
    plan = Plan(survey('my pics'), Given(), hours)
    plan.measure_machine()
    plan.measure_run()
    assert 0.9 * 3600 * hours < plan.expected < 3600 * hours
    plan.print()
    assert 'Note: ' not in capsys.readouterr().out


def test_the_time_is_that_of_each_stage(machine):
    """Computed by hand: a run of 100 kimg at 16x16 spends 10 at 4x4, 20 at 8x8 and 70 at 16x16."""
    plan = Plan(survey('my pics'), Given(), 1)
    plan.choice = plan._at(16, 32)
    measured = speeds(64.0, compiling=3.0)
    training = 10 * 1.0 + 20 * 4.0 + 70 * 16.0
    fixed = 5 * 3.0 + 5.0 + 20 * 0.1 + (20 / 5 + 1) * 0.2  # compiling, startup, pictures, networks
    assert plan._seconds_of(measured, 100) == pytest.approx(training + fixed, abs=0.5)


def test_a_dry_run_leaves_nothing(machine, capsys):
    before = tree('.')
    assert main('--images', 'my pics', '--hours', 0.5, '--dry-run') == 0
    assert tree('.') == before
    out = capsys.readouterr().out
    assert 'create_from_images datasets/my-pics-16x16-' in out
    assert 'Training' not in out


def test_the_data_set_of_the_same_files_is_used_again(machine, capsys):
    prepare('my pics', 0.5, Given())
    assert 'Added 6 images' in capsys.readouterr().out
    before = tree('datasets')
    prepare('my pics/', 0.5, Given())
    assert 'created from the same files' in capsys.readouterr().out
    assert tree('datasets') == before
    write_pictures(count=2, seed=1)
    prepare('my pics', 0.5, Given())
    after = tree('datasets')
    assert 'Added 8 images' in capsys.readouterr().out
    assert {name: after[name] for name in before} == before and len(os.listdir('datasets')) == 2


def test_the_data_set_is_that_of_the_printed_command(machine, capsys):
    import dataset_tool
    prepare('my pics', 0.5, Given())
    line = next(line for line in capsys.readouterr().out.splitlines() if 'dataset_tool.py' in line)
    words = shlex.split(line)[2:]
    made = tree(words[1])
    os.rename(words[1], 'kept')
    dataset_tool.main(words)
    assert {os.path.basename(name): data for name, data in tree(words[1]).items()} == {
        os.path.basename(name): data for name, data in made.items()}


def test_broken_files_are_skipped_and_counted(machine, capsys):
    pathlib.Path('my pics/bad.jpg').write_bytes(b'none')
    prepare('my pics', 0.5, Given())
    out = capsys.readouterr().out
    assert '1 of 7 pictures could not be read and were skipped' in out and 'Added 6' in out


def test_class_folders_become_labels(machine, capsys):
    write_pictures('two/a')
    write_pictures('two/b')
    config = settings.load(*prepare('two', 0.5, Given()))
    assert config.dataset.max_label_size == 'full' and config.grid.layout == 'row_per_class'
    assert '2 classes (a, b)' in capsys.readouterr().out
    assert glob.glob(f'datasets/{config.dataset.tfrecord_dir}/*.labels')


def test_three_pictures_and_tiny_ones(machine):
    write_pictures('three', count=3, size=5)
    config = settings.load(*prepare('three', 0.5, Given()))
    assert config.dataset.tfrecord_dir.startswith('three-8x8-')


@pytest.mark.parametrize(('words', 'texts'), [
    (['--images', 'gone'], ["'gone' does not exist"]),
    (['--images', 'empty'], ['No input images found']),
    (['--images', 'my pics', '--hours', '0.001'], ['--hours 0.001', '3.6 seconds',
                                                   'at least --hours 0.033']),
    (['--images', 'my pics', '--use', 'cifar10'], ['dataset.tfrecord_dir', "'cifar10'"]),
    (['--images', 'my pics', '--set', 'train.func=util_scripts.generate_fake_images'],
     ['--images trains']),
    (['--images', '.'], ['data_dir', 'is inside']),
    (['--images', 'my pics', '--set', 'result_dir=my pics/results'], ['result_dir']),
], ids=str)
def test_mistakes_are_explained(words, texts, machine, capsys):
    os.mkdir('empty')
    expect_error(capsys, main(*words), *texts)
    assert not os.path.exists('datasets') and not os.path.exists('results')


@pytest.mark.parametrize('words', [
    ['--hours', '3'], ['--images', 'x', '--resume'], ['--images', 'x', '--hours', '-1'],
    ['--images', 'x', '--hours', 'nan'], ['--images', 'x', '--hours', 'long']], ids=str)
def test_wrong_arguments(words, in_tmp, capsys):
    with pytest.raises(SystemExit) as end:
        train.parse_args(words)
    assert end.value.code == 2 and 'error: ' in capsys.readouterr().err


def test_a_slow_machine_says_what_it_needs(machine, capsys):
    machine(3000.0, compiling=20.0)
    hours = []
    with pytest.raises(ConfigError, match='at least --hours .*, for pictures of 8x8') as caught:
        prepare('my pics', 0.05, Given())
    assert not os.path.exists('datasets')
    for _ in range(3):  # each is closer than the last
        hours.append(float(re.search(r'least --hours ([\d.]+)', str(caught.value))[1]))
        try:
            prepare('my pics', hours[-1], Given())
            break
        except ConfigError as error:
            caught = types.SimpleNamespace(value=error)
    else:
        raise AssertionError(hours)
    assert hours == sorted(hours)


def test_several_machines_are_refused(machine, monkeypatch):
    monkeypatch.setenv('TF_CONFIG', '{}')
    with pytest.raises(ConfigError, match='TF_CONFIG'):
        prepare('my pics', 1, Given())


@pytest.mark.parametrize(('more', 'line'), [
    (dict(num_gpus=1, capability=(8, 0)), 'bf16'), (dict(num_gpus=1, capability=(7, 5)), 'fp16'),
    (dict(num_gpus=2, capability=(6, 1)), 'fp32'), (dict(num_gpus=1), 'fp32'), ({}, 'fp32')],
    ids=str)
def test_the_precision_is_that_of_the_devices(more, line, machine):
    machine(1.0, **more)
    assert prepare('my pics', 0.5, Given(), dry_run=True).uses == [line]


def test_processors_that_multiply_bfloat16(tmp_path):
    for text, line in (('flags : sse amx_bf16', 'bf16'), ('flags : sse', 'fp32')):
        (tmp_path / 'cpuinfo').write_text(text)
        assert own_pictures._precision_of_cpu(tmp_path / 'cpuinfo') == line
    assert own_pictures._precision_of_cpu(tmp_path / 'none') == 'fp32'


# ---------------------------------------------------------------- whole runs

@pytest.mark.slow
def test_a_run_trains_and_is_resumed(machine, capsys):
    machine(160.0)  # limits the choice to 8x8
    narrow = ['--set', 'G.fmap_max=4', '--set', 'D.fmap_max=4', '--set', 'train.total_kimg=11']
    assert main('--images', 'my pics', '--hours', 0.05, *narrow) == 0
    out = capsys.readouterr().out
    (folder,) = glob.glob('results/*/')
    check_files(folder, nearest=True)
    assert len(glob.glob(f'{folder}/fakes*.png')) > 10 and 'Report:' in out
    assert float(ticks_of(folder)[-1]['kimg']) >= 11
    assert main('--resume', 0, '--set', 'train.total_kimg=11.1') == 0
    assert float(ticks_of(folder)[-1]['kimg']) >= 11.1


@pytest.mark.slow
@pytest.mark.exhaustive
def test_measuring_a_run(in_tmp):
    data = dict(class_name='dataset.SyntheticDataset', resolution=8)
    assignments = [settings.assignment('dataset', data), 'G.fmap_max=8', 'D.fmap_max=8',
                   'sched.lod_training_kimg=1', 'sched.lod_transition_kimg=1',
                   'train.total_kimg=3', 'sched.minibatch_dict={}', 'sched.minibatch_base=4']
    found = trials.measure([], assignments, [], 0.1)
    assert [row[:2] for row in found.timetable['seen']] == [[4, False], [8, True], [8, False]]
    assert all(row[2] > 0 for row in found.timetable['seen']) and 1 < found.startup < 300
    with pytest.raises(ConfigError, match=r'train\.total is not an option'):
        trials.measure([], [*assignments, 'train.total=3'], [], 0.1)
    assert os.listdir('.') == []


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_whole_run_takes_the_time_given(in_tmp):
    """With real measurements. The bound is wide because tests share their machine."""
    import time
    write_pictures()
    start = time.monotonic()
    assert main('--images', 'my pics', '--hours', 0.035) == 0
    assert 0.5 < (time.monotonic() - start) / (0.035 * 3600) < 2
    misc.restore_output()
