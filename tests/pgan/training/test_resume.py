"""Runs that are stopped, at any point and in any way, and continue as if never interrupted."""
import contextlib
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest

import misc
from misc import resuming
from pgan import signals
from pgan.training.overfitting import Overfitting
from pgan.training.step import TrainingSteps
from tests.support.faults import tree
from tests.support.golden import ROOT
from tests.support.resume_inputs import outcome, run, run_with_kills, start
from tests.support.toy_runs import TINY, expect_error, main, make_toy

EVERY_UPDATE = 'train.checkpoint_minutes=1e-9'
TINY_RUN = ('--config', 'tiny.py', '--set', 'env.TF_DETERMINISTIC_OPS=1', '--set',
            'dataset.resolution=8', '--set', 'train.total_kimg=0.25')
EXACT = (*TINY_RUN, '--set', EVERY_UPDATE)


@pytest.fixture(scope='module')
def toy_folder(tmp_path_factory):
    """Function that creates folders with datasets/toy and tiny.py."""
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        make_toy(folder / 'datasets' / 'toy')
        (folder / 'tiny.py').write_text(TINY)
        return folder
    return make


@pytest.fixture(scope='module')
def uninterrupted(toy_folder):
    """Results of an uninterrupted run, by its number of devices."""
    made = {}

    def get(num_gpus):
        if num_gpus not in made:
            folder = toy_folder('uninterrupted')
            code, output = run(folder, *EXACT, '--set', f'num_gpus={num_gpus}')
            assert code == 0, output
            made[num_gpus] = outcome(folder / 'results' / '000-tiny')
        return made[num_gpus]
    return get


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('num_gpus, kills', [(1, 6), (1, 12), (2, 2)])
def test_killed_at_random_moments(toy_folder, uninterrupted, num_gpus, kills):
    """Networks are bitwise equal, pictures, ticks and scalars byte for byte, to those of an
    uninterrupted run.
    """
    folder = toy_folder('killed')
    hits = run_with_kills(folder, kills, num_gpus, *EXACT, '--set', f'num_gpus={num_gpus}')
    assert len(hits) == kills and (kills < 12 or 'inside a checkpoint' in hits), hits
    killed, expected = outcome(folder / 'results' / '000-tiny'), uninterrupted(num_gpus)
    assert killed['ticks'] == expected['ticks'] and killed['scalars'] == expected[
        'scalars'] and killed['stats'] == expected['stats']
    assert len(killed['stats']) == len(killed['ticks'])
    assert killed['pictures'] == expected['pictures'] and killed['networks'] == expected['networks']


# ---------------------------------------------------------------- in this process

@pytest.fixture(scope='module')
def uninterrupted_here(toy_folder):
    """Results of an uninterrupted run in this process, whose threads are already configured
    (`pgan.training.threads`).
    """
    folder = toy_folder('uninterrupted-toy')
    with contextlib.chdir(folder):
        assert main(*TINY_RUN) == 0
    return outcome(folder / 'results' / '000-tiny')


class StopsAfter(TrainingSteps):
    """Training steps that send this process a stop signal, as by kill or Ctrl-C, after a given
    number of updates.
    """
    updates_to_go, signal_number = 0, signal.SIGTERM

    def run(self, *arguments):
        shown = super().run(*arguments)
        StopsAfter.updates_to_go -= 1
        if StopsAfter.updates_to_go == 0:
            os.kill(os.getpid(), self.signal_number)
            deadline = time.monotonic() + 10
            # a thread records it
            while StopsAfter.request.number is None and time.monotonic() < deadline:
                time.sleep(0.01)
        return shown


@pytest.fixture
def stopping(monkeypatch):
    """Function (updates, signal): stop later runs after this number of G updates."""
    monkeypatch.setattr('pgan.training.loop.TrainingSteps', StopsAfter)
    make = signals.StopRequest

    def noted():
        StopsAfter.request = make()
        return StopsAfter.request
    monkeypatch.setattr(signals, 'StopRequest', noted)

    def after(updates, number=signal.SIGTERM):
        StopsAfter.updates_to_go, StopsAfter.signal_number = updates, number
    return after


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_step_end_and_saves(toy, capsys, stopping, number, code,
                                              uninterrupted_here):
    """Stopped in the middle of a round, far from any tick, and resumed: nothing is lost or
    repeated.
    """
    stopping(14, number)
    assert main(*TINY_RUN) == code
    captured = capsys.readouterr()
    assert 'Stopping after this step' in captured.err
    assert 'train.py --resume results/000-tiny\n' in captured.out
    assert f'Stopped by {signal.Signals(number).name}' in captured.out
    page = pathlib.Path('results/000-tiny/report.html')
    assert f'Stopped by {signal.Signals(number).name} on' in page.read_text()
    assert 'of 0.25 kimg. Continue with:' in page.read_text()
    index = pathlib.Path('results/index.html').read_text()
    assert 'data-state="stopped"' in index and 'train.py --resume results/000-tiny' in index
    assert main('--resume') == 0
    assert 'Finished on' in page.read_text()
    after, expected = outcome('results/000-tiny'), uninterrupted_here
    assert after['ticks'] == expected['ticks'] and after['networks'] == expected['networks']
    assert after['stats'] == expected['stats'] and len(after['stats']) == len(after['ticks'])
    assert sorted(os.listdir('results')) == ['000-tiny', 'index.html']
    assert 'data-state="finished"' in pathlib.Path('results/index.html').read_text()
    with open('results/000-tiny/log.txt') as file:
        log = file.read()
    assert 'Resuming results/000-tiny at kimg 0.1' in log and log.count('Running train.') == 2
    with open('results/000-tiny/log-interrupted.txt') as file:
        assert 'Stopped by' in file.read()


@pytest.mark.slow
def test_the_second_signal_ends_the_process_at_once():
    """In a separate process that is busy for a minute after the first step."""
    code = ("import time\nfrom pgan.signals import graceful_stop\nwith graceful_stop('noted') as "
            "stop:\n    print('ready', flush=True)\n    end = time.time() + 60\n    while "
            'time.time() < end:\n        time.sleep(0.1)')
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == 'ready\n'
        process.send_signal(number)
        assert process.stderr.readline() == 'noted\n'
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize('work, seconds', [('time.sleep(0.05)', 60), ('busy()', 60)])
def test_with_nothing_to_save_the_first_signal_ends_it(work, seconds):
    """Works even if Python cannot run its handler, inside a single call that executes no bytecode
    for a minute.
    """
    code = ("import time\nfrom pgan.settings.launch import exit_code_of\n"
            'from pgan.signals import graceful_stop\n'
            # one C call that releases the GIL
            'import hashlib\n'
            "def busy():\n    hashlib.pbkdf2_hmac('sha512', b'x', b'y', 10**9)\n"
            "def action():\n    with graceful_stop('noted', early_note='at once'):\n"
            f"        print('ready', flush=True)\n        end = time.time() + {seconds}\n"
            f'        while time.time() < end:\n            {work}\n'
            'raise SystemExit(exit_code_of(action))')
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == 'ready\n'
        time.sleep(1)  # so that it is inside the call
        start = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
        assert time.monotonic() - start < 15
        out, err = process.communicate()
        assert err == 'at once\n' and ('Nothing has been saved.' in out) == (work != 'busy()')


def test_from_where_there_is_something_to_save_a_signal_waits(capfd):
    with signals.graceful_stop('noted', early_note='at once') as stop:
        stop.wait_from_here()
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not stop and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stop.number == signal.SIGTERM
    assert capfd.readouterr().err == 'noted\n'


def test_a_signal_before_that_point_counts():
    with signals.graceful_stop('noted', early_note='at once') as stop:
        stop.number = signal.SIGINT
        with pytest.raises(signals.Stopped) as stopped:
            stop.wait_from_here()
    assert (stopped.value.code, stopped.value.left) == (130, 'Nothing has been saved.')


def test_signals_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with signals.graceful_stop('noted') as stop:
        assert not stop
    assert [signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


SHORT = (*TINY_RUN, '--set', 'train.total_kimg=0.05')


@pytest.mark.slow
def test_a_finished_run_is_extended_and_changes_are_told(toy, capsys):
    """One process can do all of this, because the folder is unlocked at the end of each run."""
    assert main(*SHORT) == 0
    last = capsys.readouterr().out.splitlines()[-6:]
    assert last[0] == 'Report:   results/000-tiny/report.html' and last[-1] == 'Exiting...'
    expect_error(capsys, main('--resume'), 'no unfinished run', '000-tiny')
    expect_error(capsys, main('--resume', 0), 'has finished, at', 'train.total_kimg=')
    assert main('--resume', 0, '--set', 'train.total_kimg=0.09', '--set',
                'sched.G_lrate_base=0.002') == 0
    out = capsys.readouterr().out
    assert 'train.total_kimg: 0.05 -> 0.09' in out and 'sched.G_lrate_base: not set -> 0.002' in out
    assert 'Resuming results/000-tiny at kimg 0.1' in out and 'kimg 0.1 ' in out
    with open('results/000-tiny/config.txt') as file:
        assert "'total_kimg': 0.09" in file.read()
    # earlier changes are kept
    assert main('--resume', 0, '--set', 'train.total_kimg=0.12') == 0
    assert 'G_lrate_base' not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    'assignment, texts',
    [('G.fmap_max=16', ['G.fmap_max was 8', 'is 16 now']),
     ('D.use_wscale=False', ['D.use_wscale was not set', 'is False now']),
     ('dataset.resolution=16', ['the networks of this configuration are not those']),
     ("dataset.max_label_size='full'", ['the networks of this configuration are not those']),
     ('dataset.tfrecord_dir=other', ["'datasets/other' has 41 images", '40']),
     ("train={'func': 'util_scripts.generate_fake_images', 'run_id': 0}",
      ['--resume is for training']), ])
def test_changes_that_a_run_cannot_go_on_with(unfinished, capsys, assignment, texts):
    make_toy('datasets/other', count=41)
    before = tree('results')
    expect_error(capsys, main('--resume', '--set', assignment), *texts)
    after = tree('results')
    same = [name for name in before if not name.endswith(('/in-use', '/checkpoint'))]
    assert set(after) == set(before) and all(before[name] == after[name] for name in same)


@pytest.fixture
def unfinished(toy, capsys, stopped_run):
    """results/000-tiny, stopped halfway."""
    shutil.copytree(stopped_run / 'results', 'results')
    for path in glob.glob('results/*/checkpoints/run.json'):
        text = pathlib.Path(path).read_text()
        pathlib.Path(path).write_text(text.replace(str(stopped_run), str(toy)))
    return toy


@pytest.fixture(scope='module')
def stopped_run(toy_folder):
    """A folder with a run that was killed after some updates, with three checkpoints."""
    folder = toy_folder('stopped')
    process = start(folder, *EXACT, '--set', 'train.total_kimg=1000')
    while len(glob.glob(str(folder / 'results' / '*' / 'checkpoints' /
                            '*.index'))) < 3 or 'tick 1 ' not in (folder / 'results' / '000-tiny' /
                                                                  'log.txt').read_text():
        assert process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    return folder


@pytest.mark.slow
def test_a_damaged_checkpoint_gives_way_to_the_one_before(unfinished, capsys):
    newest = max(glob.glob('results/000-tiny/checkpoints/*.data*'),
                 key=lambda path: int(path.split('ckpt-')[1].split('.')[0]))
    with open(newest, 'r+b') as file:
        file.seek(os.path.getsize(newest) // 2)
        file.write(bytes(4000))
    assert main('--resume', '--set', 'train.total_kimg=0.2') == 0
    captured = capsys.readouterr()
    assert 'cannot be read' in captured.err and 'the previous checkpoint' in captured.err
    assert 'Resuming' in captured.out


@pytest.mark.slow
def test_no_checkpoint_can_be_read(unfinished, capsys):
    for path in glob.glob('results/000-tiny/checkpoints/*.data*'):
        os.truncate(path, 1000)
    before = tree('results')
    expect_error(capsys, main('--resume'), 'no checkpoint of this run can be read',
                 'train.resume_run_id')
    assert {name: data for name, data in tree('results').items() if 'checkpoints/' not in name} == {
        name: data for name, data in before.items() if 'checkpoints/' not in name}


@pytest.mark.slow
def test_runs_that_cannot_be_found_or_read(unfinished, capsys):
    expect_error(capsys, main('--resume', '7'), "Cannot locate result subdir for run 7")
    os.makedirs('results/001-old')
    expect_error(capsys, main('--resume', '1'), "has no 'checkpoints' folder", 'resume_run_id')
    pathlib.Path('results/000-tiny/checkpoints/run.json').write_text('{"config_files": 3')
    expect_error(capsys, main('--resume'), 'Cannot read', 'run.json')
    shutil.rmtree('results')
    expect_error(capsys, main('--resume'), 'no unfinished run', 'train.py')


@pytest.mark.slow
def test_a_config_file_that_is_gone(unfinished, capsys):
    os.unlink('tiny.py')
    expect_error(capsys, main('--resume'), 'tiny.py', 'no such file')


@pytest.mark.slow
def test_a_run_that_is_being_trained_right_now(unfinished, capsys):
    with resuming.only_process('results/000-tiny'):
        expect_error(capsys, main('--resume'), 'right now.',
                     f'Process {os.getpid()} is training')
    assert main('--resume', '--set', 'train.total_kimg=0.2') == 0


@pytest.mark.slow
def test_a_run_that_began_with_the_networks_of_another_one_that_is_gone(toy, capsys):
    """Layers are those of the snapshot, not of the configuration."""
    assert main(*SHORT, '--set', 'G.fmap_max=4') == 0
    assert main(*SHORT, '--set', 'train.resume_run_id=0') == 0
    shutil.rmtree('results/000-tiny')
    assert main('--resume', 1, '--set', 'train.total_kimg=0.1') == 0
    assert misc.load_pkl('results/001-tiny/network-final.pkl')[0].static_kwargs['fmap_max'] == 4


@pytest.mark.slow
def test_checkpoints_come_by_the_clock_and_with_networks(toy, monkeypatch):
    """Every 15 minutes of a clock that each update advances by 4, and whenever networks are saved.
    """
    now, saved = [0.0], []

    class Ticking(TrainingSteps):
        def run(self, *arguments):
            now[0] += 240
            return super().run(*arguments)

    monkeypatch.setattr('pgan.training.loop.TrainingSteps', Ticking)
    monkeypatch.setattr('pgan.training.loop.time',
                        types.SimpleNamespace(time=time.time, perf_counter=time.perf_counter,
                                              monotonic=lambda: now[0]))
    monkeypatch.setattr('pgan.training.checkpoint.Checkpoints.save',
                        lambda self, values: saved.append(values['loop']['cur_nimg']))
    assert main(*TINY_RUN, '--set', 'train.total_kimg=0.128', '--set',
                'sched.tick_kimg_base=0.064') == 0
    assert saved == [0, 32, 64, 96, 128, 128]
    saved.clear()
    assert main(*TINY_RUN, '--set', 'train.total_kimg=0.128', '--set', 'sched.tick_kimg_base=0.064',
                '--set', 'train.checkpoint_minutes=0') == 0
    assert saved == [0, 128]


@pytest.mark.slow
def test_a_data_set_that_is_deleted_while_it_is_read(toy, monkeypatch):
    """Memory-mapped files remain readable on systems that support it, so the run finishes."""
    class Deletes(TrainingSteps):
        def run(self, *arguments):
            shown = super().run(*arguments)
            shutil.rmtree('datasets', ignore_errors=True)
            return shown

    monkeypatch.setattr('pgan.training.loop.TrainingSteps', Deletes)
    assert main(*SHORT) == 0
    assert not os.path.exists('datasets') and os.path.exists('results/000-tiny/network-final.pkl')


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() == 0, reason='root may write everywhere')
def test_a_result_folder_that_cannot_be_written(unfinished, capsys):
    os.chmod('results/000-tiny/checkpoints', 0o500)
    expect_error(capsys, main('--resume'), 'permission')


@pytest.mark.slow
def test_a_result_folder_that_becomes_a_file(unfinished, capsys):
    """Also when running as root: an unwritable file is reported in one paragraph."""
    shutil.rmtree('results/000-tiny/checkpoints')
    pathlib.Path('results/000-tiny/checkpoints').write_text('')
    expect_error(capsys, main('--resume', 0), 'checkpoint')


def test_files_that_grow_are_cut_to_where_the_checkpoint_was(in_tmp):
    """Each by itself; files that did not exist at the checkpoint are removed."""
    names = ['log.txt', 'stats.jsonl', 'events.out.tfevents.1.host']
    for name in names:
        pathlib.Path(name).write_text('before\n')
    sizes = resuming.appended_sizes('.')
    for name in [*names, 'events.out.tfevents.2.host']:
        with open(name, 'a') as file:
            file.write('after\n')
    resuming.cut_appended('.', sizes)
    assert [pathlib.Path(name).read_text() for name in names
            ] == ['before\n'] * 3 and not os.path.exists('events.out.tfevents.2.host')
    resuming.cut_appended('.', {})  # the run starts over
    assert not os.path.exists('stats.jsonl')


class Augmented(Overfitting):
    """Augments from the start, because the toy's discriminator does not overfit soon enough."""

    def __init__(self, target, kimg):
        super().__init__(target, kimg)
        self.restore([0.4, 0.0, 0.0])


@pytest.mark.slow
@pytest.mark.exhaustive  # every other test of resuming is of the same kind
def test_adaptive_augmentation_goes_on_where_it_was(toy_folder, monkeypatch, capsys, stopping):
    """Probability, running means and held-out images are restored: networks are bitwise equal."""
    for module in ('step', 'updates'):
        monkeypatch.setattr(f'pgan.training.{module}.STEPS_BETWEEN', 3)
    monkeypatch.setattr('pgan.training.step.Overfitting', Augmented)
    adaptive = (*TINY_RUN, '--set', 'train.augment=ada', '--set', 'train.augment_kimg=0.5', '--set',
                'train.augment_target=1', '--set', 'dataset.validation=0.3')
    whole, stopped = toy_folder('whole'), toy_folder('stopped')
    with contextlib.chdir(whole):
        assert main(*adaptive) == 0
    stopping(17)
    with contextlib.chdir(stopped):
        assert main(*adaptive) == 143
        assert main('--resume') == 0
    misc.restore_output()
    after, expected = (outcome(folder / 'results' / '000-tiny') for folder in (stopped, whole))
    assert after['ticks'] == expected['ticks'] and after['networks'] == expected['networks']
    assert all(0 < row['Augment/probability'] < 0.4 for row in expected['stats'])
