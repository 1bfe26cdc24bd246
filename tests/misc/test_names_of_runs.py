"""Names that file systems or TensorFlow do not support; commands that resume a run."""
import errno
import json
import os
import pathlib
import shlex
import signal
import types

import pytest

import misc
import train
from misc import resuming, run_files
from pgan import files, invocation, settings, signals
from pgan.errors import ConfigError, DataError
from pgan.scripts import command_line
from pgan.settings import checking
from tfutil import SummaryWriter

LATIN1 = os.fsdecode(b'caf\xe9')


def names(**given):
    return types.SimpleNamespace(**{'desc': 'pgan', 'result_dir': 'results', **given})


# ---------------------------------------------------------------- too long


@pytest.mark.parametrize(('wrong', 'said'), [
    (dict(desc='celeba-crop-' * 25), 'desc is too long: 300 bytes'),
    (dict(desc='ü' * 130), 'desc is too long: 260 bytes'),
    (dict(result_dir='x' * 256), 'result_dir is too long'),
    (dict(result_dir='y/' * 1600), 'result_dir is too long')])
def test_names_that_are_too_long_are_refused_before_any_work(wrong, said):
    with pytest.raises(ConfigError, match=said):
        checking._check_names(names(**wrong))


def test_the_longest_desc_fits(in_tmp):
    longest = 'x' * files.LONGEST_DESC
    checking._check_names(names(desc=longest))
    run = misc.create_result_subdir('results', longest, {})
    # Names of derived files fit, too.
    pkl = os.path.join(run, 'network-snapshot-000010.pkl')
    misc.save_pkl([], pkl)
    picture = misc.get_id_string_for_network_pkl(pkl) + '-00001.png'
    assert picture.startswith('000-xxx') and picture.endswith('snapshot-000010-00001.png')
    misc.save_pkl([], picture)  # Written under a longer temporary name first.
    args = command_line.parse_args(['generate_fake_images', '--run_id', os.path.abspath(run)])
    desc = settings.load([], command_line.assignments(args)).desc
    assert desc.startswith('fake-images-000-xxx') and len(desc) < 140
    misc.create_result_subdir('results', desc)


def test_from_python_as_well(in_tmp):
    with pytest.raises(DataError, match='desc is too long'):
        misc.create_result_subdir('results', 'x' * 300)
    assert not os.path.exists('results')
    with pytest.raises(OSError) as caught:
        os.mkdir('x' * 300)
    assert caught.value.errno == errno.ENAMETOOLONG  # the subject of these tests


def test_short_names_stay():
    assert misc.get_id_string_for_network_pkl('results/000-pgan/network-final.pkl') == (
        '000-pgan-network-final')


# ---------------------------------------------------------------- not UTF-8


@pytest.mark.parametrize('name', ['desc', 'result_dir'])
def test_names_that_tensorflow_cannot_write_to_are_refused(name):
    with pytest.raises(ConfigError, match=f'{name}: expected a name in UTF-8'):
        checking._check_names(names(**{name: LATIN1}))


def test_a_run_in_such_a_folder_is_refused_by_resume(in_tmp):
    os.makedirs(f'{LATIN1}/000-x/{run_files.FOLDER}')
    with pytest.raises(ConfigError, match='--resume: expected a name in UTF-8'):
        resuming.find_run(f'{LATIN1}/000-x', 'results')


def test_a_data_set_of_such_a_name_can_be_written_down_and_found_again(in_tmp, capsys):
    values = dict(dataset=dict(tfrecord_dir=LATIN1), data_dir=f'/data/{LATIN1}')
    os.makedirs(LATIN1)
    run = misc.create_result_subdir('results', 'x', values)
    text = (in_tmp / run / 'config.txt').read_text()
    assert "data_dir = /data/caf\\udce9" in text
    assert misc.results.read_dataset_options(run)[0]['tfrecord_dir'] == LATIN1
    misc.write_environment(run, data=LATIN1)
    resuming.write_run(run, [f'{LATIN1}/a.py'], [f'data_dir={LATIN1}'], values)
    assert resuming.find_run(run, 'results').assignments == (f'data_dir={LATIN1}',)
    files.atomic_append('notes.txt', LATIN1)
    assert (in_tmp / 'notes.txt').read_text() == 'caf\\udce9'
    with open(os.path.join(run, 'environment.json'), encoding='utf-8') as file:
        assert json.load(file)[0]['data'] == LATIN1
    writer = SummaryWriter(run)
    writer.hparams(values)
    writer.close()
    assert 'caf\\udce9' in files.short_name(LATIN1)


# ---------------------------------------------------------------- commands that resume a run


def make_run(folder):
    os.makedirs(folder)
    resuming.write_run(folder, [], [f'desc={os.path.basename(folder)}'], {})
    return os.path.realpath(folder)


FOLDERS = ['out/drive/000-tiny', "my 'drive'/000-tiny $x", '12', '-x', '000-tiny', '../000-tiny',
           'results/000-tiny', './~']


@pytest.mark.parametrize('folder', FOLDERS)
def test_the_command_means_this_run_and_no_other(tmp_path, monkeypatch, folder):
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    wanted = make_run(folder)
    for other in {'results/000-tiny', 'results/012-tiny', 'results/12'} - {folder}:
        make_run(other)
    line = run_files.resume_command(folder, 'train.total_kimg=5')
    python, program, *arguments = shlex.split(line)
    assert os.path.samefile(program, invocation.ROOT / 'train.py')
    args = train.parse_args(arguments)
    assert args.set == ['train.total_kimg=5']
    assert os.path.realpath(resuming.find_run(args.resume, 'results').path) == wanted


def test_what_a_stopped_program_says(capsys):
    def stop(go_on):
        request = signals.StopRequest()
        request.number = signal.SIGTERM
        request.raise_stopped(go_on)

    from pgan.settings import launch
    assert launch.exit_code_of(stop, 'python train.py --resume a/000-x') == 143
    assert capsys.readouterr().out.endswith('To continue: python train.py --resume a/000-x\n')
    assert launch.exit_code_of(stop, '') == 143
    assert 'continue' not in capsys.readouterr().out


def test_finished_runs_are_named_with_the_command_that_extends_one(in_tmp):
    pathlib.Path(make_run('out/003-x'), run_files.DONE_MARK).touch()
    with pytest.raises(DataError) as caught:
        resuming.find_run('', 'out')
    assert 'train.py --resume out/003-x --set train.total_kimg=KIMG' in str(caught.value)
