"""train.py as a command: interrupts, signals and mistakes before any training."""
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

import misc
import tfutil
from misc import resuming, run_files, run_status, startup
from pgan import settings
from pgan.errors import ConfigError, DataError
from pgan.settings import launch
from tests.support.golden import ROOT
from train import load, main, parse_args


def train(folder, override, **environment):
    """Run train.py in a folder, with an override file of the given content."""
    (folder / 'override.py').write_text(override)
    return subprocess.run([sys.executable, ROOT / 'train.py', '--config', 'override.py'],
                          cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **environment})


@pytest.mark.parametrize(
    ('override', 'code', 'message'),
    [('raise KeyboardInterrupt', 130, 'Interrupted. What was finished'),
     ('import os, signal; os.kill(os.getpid(), signal.SIGINT)', 130,
      'Interrupted. What was finished'),
     ('import os, signal; os.kill(os.getpid(), signal.SIGTERM)', 143, 'Stopped by SIGTERM.'),
     ('import os, signal; os.kill(os.getpid(), signal.SIGHUP)', 129, 'Stopped by SIGHUP.'), ])
def test_interrupted_before_anything_began(override, code, message, tmp_path):
    done = train(tmp_path, override)
    assert (done.returncode, done.stderr) == (code, '')
    assert done.stdout.startswith(message) and done.stdout.count('\n') == 1


def test_no_unfinished_file_is_left(tmp_path):
    done = train(tmp_path, "import misc, os, signal\nwith misc.atomic_write('network.pkl') as "
                           "file:\n    file.write(b'half')\n    os.kill(os.getpid(), "
                           'signal.SIGTERM)\n')
    assert done.returncode == 143
    assert [path.name for path in tmp_path.iterdir()] == ['override.py']


def test_nohup_is_respected(tmp_path):
    """SIGHUP stays ignored if it is ignored when the program starts."""
    (tmp_path / 'override.py').write_text('import os, signal, sys\nos.kill(os.getpid(), '
                                          "signal.SIGHUP)\nraise KeyError('went on')\n")
    done = subprocess.run(['nohup', sys.executable, ROOT / 'train.py', '--config', 'override.py'],
                          cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and 'went on' in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(startup.has_gpu(), reason='this machine has a GPU: what TensorFlow says about '
                                              'it is of interest')
def test_an_error_stands_alone(tmp_path):
    """TensorFlow's startup messages do not surround it."""
    done = train(tmp_path, 'train.total_kimgs = 3', TF_CPP_MIN_LOG_LEVEL='1')
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith(
        'error: train.total_kimgs is not an option.') and done.stderr.count('\n') == 1


def test_thread_numbers_are_checked_before_tensorflow_sees_them():
    """TensorFlow would raise a bare ValueError, or abort the process for a negative one."""
    with pytest.raises(ConfigError, match='intra_op_parallelism_threads.*expected an integer, at '
                                          "least 0. Received: 'two'"):
        tfutil.init_tf({'intra_op_parallelism_threads': 'two'})


def resumed(*argv):
    """Return the configuration of a command line that resumes a run, without training."""
    return load(parse_args(['--resume', '0', *argv]))[0]


def test_lines_by_name_are_those_of_the_start_when_a_run_is_resumed(in_tmp):
    """As recorded by `write_run` from the configuration of `load`."""
    config, _ = load(parse_args(['--use', 'cond,bf16', '--use', 'mnist', '--set', 'num_gpus=2']))
    resuming.write_run('results/000-x', *settings.command_line(config), settings.values(config),
                       settings.used_lines(config))
    again = resumed()
    assert settings.values(again) == {**settings.values(config), 'EasyDict': again.EasyDict}
    assert resumed('--use', 'fp32,grpc').desc == 'pgan-mnist-cond-grpc-preset-v2-1gpu-fp32'


def test_a_run_of_a_version_without_lines_by_name_is_resumed(in_tmp):
    resuming.write_run('results/000-x', [], ['num_gpus=2'], {})
    path = pathlib.Path(run_files.run_json('results/000-x'))
    content = json.loads(path.read_text())
    assert content.pop('uses') == []
    path.write_text(json.dumps(content))
    assert (resumed().num_gpus, resumed().desc) == (2, 'pgan-celebahq-preset-v2-1gpu-fp32')


@pytest.mark.parametrize('place', ['results/000-x', 'results/000-x/checkpoints',
                                   'lib/site-packages'])
def test_a_run_folder_does_not_bring_files_to_execute(in_tmp, place):
    """They may come from elsewhere with the run; naming them means trusting them."""
    resuming.write_run('results/000-x', [], [], {})
    os.makedirs(place, exist_ok=True)
    path = in_tmp / place / 'theirs.py'
    path.write_text('open("executed", "w").close()\nnum_gpus = 2\n')
    (in_tmp / 'link.py').symlink_to(path)
    for name in (str(path), 'link.py'):
        resuming.write_run('results/000-x', [name], [], {})
        with pytest.raises(DataError, match='If you trust it, name it yourself: add --config '):
            resumed()
        assert not os.path.exists('executed')
    assert resumed('--config', 'link.py').num_gpus == 2


@pytest.mark.parametrize(('assignment', 'is_taken'), [
    ("train={'func': 'os.system', 'command': 'touch executed'}", False),
    ('G.func=subprocess.call', False), ('dataset.class_name=misc.save_pkl', False),
    ('D_loss.func=networks.np.save', False), ('G.func=numpy.save', False),
    ('G.func=networks.G_paper', True), ('dataset.class_name=dataset.SyntheticDataset', True),
    ('G.func=mine.net', True),
    ('train.metrics=["swd", "fid"]', True), ('train.metrics=["metrics.ms_ssim.API"]', True),
    ('train.metrics=["swd", "mine.Metric"]', True), ('train.metrics=["antigravity.API"]', False),
    ('train.metrics=["swd", "os.system"]', False), ("train.metrics=('this.API',)", False),
    ('train.metrics=["metrics.np.save"]', False), ('train.metrics=["misc.own_code.API"]', False),
    ("train={'func': 'train.train_progressive_gan', 'metrics': ['os.system']}", False),
    ('env.TF_DETERMINISTIC_OPS=1', True), ('env.CUDA_VISIBLE_DEVICES=0,1', True),
    ("env={'OMP_NUM_THREADS': 4}", True), ('env.TF_CPP_MIN_LOG_LEVEL=/etc/passwd', False),
    ('env.LD_PRELOAD=results/000-x/theirs.so', False), ('env.PYTHONPATH=results/000-x', False),
    ('env.XLA_FLAGS=--xla_dump_to=here', False), ("env={'PATH': 'results/000-x'}", False),
    ('env.CUDA_VISIBLE_DEVICES="0;touch executed"', False)])
def test_a_run_folder_names_stock_functions_and_the_users_own(in_tmp, monkeypatch, assignment,
                                                              is_taken):
    monkeypatch.syspath_prepend(str(in_tmp))
    (in_tmp / 'mine.py').write_text('raise SystemExit("not yet")')
    resuming.write_run('results/000-x', [], [assignment], {})
    if is_taken:
        assert resumed()
        return
    before = dict(os.environ), set(sys.modules)
    with pytest.raises(DataError, match='If you trust the run, .* yourself: add --set ') as caught:
        resumed()
    assert (dict(os.environ), set(sys.modules) - {'misc.own_code'}) == (
        before[0], before[1] - {'misc.own_code'})
    assert resumed('--set', assignment)
    typed = shlex.split(str(caught.value).partition(': add ')[2])
    if '={' not in assignment:
        assert resumed(*typed)


def test_a_file_beside_the_runs_is_the_users(in_tmp):
    (in_tmp / 'mine.py').write_text('num_gpus = 2\n')
    resuming.write_run('results/000-x', ['mine.py'], [], {})
    assert resumed().num_gpus == 2


def test_each_list_of_requirements_is_installed_once(tmp_path):
    """quickstart.sh and test.sh share .venv and install different requirements."""
    shutil.copy(ROOT / 'setup_venv.sh', tmp_path)
    for name in ('one.txt', 'two.txt'):
        (tmp_path / name).write_text('numpy\n')
    fake = tmp_path / '.venv' / 'bin' / 'python'
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\nexit 0\n')
    fake.chmod(0o755)

    def installs(*lists):
        command = ['bash', '-c', '. ./setup_venv.sh "$@"', 'setup', *lists]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True,
                              env={**os.environ, 'PYTHON': sys.executable})
        return 'Installing' in done.stdout

    assert [
        installs('one.txt'),
        installs('one.txt', 'two.txt'),
        installs('one.txt'),
        installs('one.txt', 'two.txt')
    ] == [True, True, False, False]
    (tmp_path / 'one.txt').write_text('scipy\n')
    assert [installs('one.txt'), installs('one.txt')] == [True, False]


def test_a_finished_run_is_told_before_tensorflow_starts(in_tmp, monkeypatch, capsys):
    """A longer run continues, and so does one of unknown length."""
    given = ['train.total_kimg=5']
    resuming.write_run('results/000-x', [], given, settings.values(settings.load([], given)))
    pathlib.Path('results/000-x', run_files.DONE_MARK).touch()
    assert resumed().train.total_kimg == 5
    run_status.write_status('results/000-x', run_status.FINISHED, 5.008, 5)
    with pytest.raises(ConfigError, match='has finished, at 5.008 kimg.*total_kimg=11$'):
        resumed()
    assert resumed('--set', 'train.total_kimg=11').train.total_kimg == 11
    monkeypatch.setattr(launch, 'start', lambda *_: pytest.fail('TensorFlow is started'))
    with pytest.raises(SystemExit):
        main(['--resume', '0'])
    assert 'has finished, at' in capsys.readouterr().err


@pytest.fixture
def output(capsys):
    """Restores stdout and stderr, which the program logs from its start on."""
    yield capsys
    misc.restore_output()


@pytest.mark.parametrize('name, text', [
    ('none', "'datasets/none' not found"), ('empty', 'has no .tfrecords files'),
    ('file', 'is a file'), ('datasets/toy', "'toy' instead of 'datasets/toy'"), (12, 'not found')])
def test_a_missing_data_set_is_told_before_tensorflow_starts(in_tmp, monkeypatch, output, name,
                                                             text):
    for folder in ('empty', 'toy'):
        (in_tmp / 'datasets' / folder).mkdir(parents=True)
    (in_tmp / 'datasets/file').touch()
    monkeypatch.setattr(misc, 'import_tensorflow', lambda: pytest.fail('TensorFlow is started'))
    with pytest.raises(SystemExit):
        main(['--set', f'dataset.tfrecord_dir={name}'])
    assert text in output.readouterr().err


@pytest.mark.parametrize('assignment', [
    'dataset.class_name=my_data.Flowers', 'train.func=util_scripts.info'])
def test_other_classes_and_functions_look_for_their_data_themselves(in_tmp, monkeypatch, output,
                                                                    assignment):
    class Started(Exception):
        pass

    def start():
        raise Started
    monkeypatch.setattr(misc, 'import_tensorflow', start)
    with pytest.raises(Started):
        launch.start(settings.load([], ['dataset.tfrecord_dir=none', 'train={"func": '
                                        '"train.train_progressive_gan"}', assignment]))


def test_the_quick_start_continues_where_it_was_stopped(tmp_path):
    """Its choice of a run, with a fake Python that only records its arguments."""
    shutil.copy(ROOT / 'quickstart.sh', tmp_path)
    (tmp_path / 'setup_venv.sh').touch()
    (tmp_path / 'datasets' / 'digits').mkdir(parents=True)
    python = tmp_path / '.venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >> asked\n')
    python.chmod(0o755)

    def asked():
        (tmp_path / 'asked').write_text('')
        subprocess.run(['bash', 'quickstart.sh'], cwd=tmp_path, capture_output=True, check=True)
        return (tmp_path / 'asked').read_text().splitlines()[0]

    def run(name, *files):
        for file in files:
            path = tmp_path / 'results' / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    new, state = 'train.py --config configs/quickstart.py', 'checkpoints/ckpt-7.index'
    assert asked() == new
    run('000-quickstart-digits', 'log.txt')
    run('001-other', state)
    assert asked() == new
    run('002-quickstart-digits', state)
    run('003-quickstart-digits', state)
    assert asked() == 'train.py --resume results/003-quickstart-digits'
    run('002-quickstart-digits', '_training-done.txt')
    assert asked() == 'examples/digits.py results/002-quickstart-digits'
