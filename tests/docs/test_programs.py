"""Run the commands of README.md and docs/ that are separate programs, in a copy of the repository;
check that none is left out.

`tests/docs/test_commands.py` runs the others, within the test's own process.
"""
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import pytest
from PIL import Image

import dataset_tool
from tests.support.celebahq_inputs import UNPADDED, set_counts, write_tree
from tests.support.document_blocks import commands, normalised
from tests.support.documented_runs import RUN, RUN_WITH_LABELS
from tests.support.golden import ROOT

QUICKSTART, TESTS = 'bash quickstart.sh', 'bash test.sh'
TWO_DEVICES = '.venv/bin/python train.py --config configs/quickstart.py --set num_gpus=2'
TENSORBOARD = '.venv/bin/tensorboard --logdir results'
BEFORE_AND_AFTER = ['git worktree add ../before HEAD~1',
                    '.venv/bin/python -m benchmarks.compare ../before . --resolution 32 '
                    '--minibatch 64 --check 20',
                    'git worktree remove ../before']
PICTURES = '.venv/bin/python docs/draw_rooms.py'
BLAME = 'git config blame.ignoreRevsFile .git-blame-ignore-revs'
EDITABLE = 'pip install -e .'
JPEGLIB = '.venv/bin/python -m pip install -r requirements-celebahq.txt'
CELEBAHQ = ['.venv/bin/python dataset_tool.py create_celebahq datasets/celebahq CELEBA DELTAS '
            '--only 0 1 2',
            '.venv/bin/python dataset_tool.py create_celebahq datasets/celebahq CELEBA DELTAS '
            '--num_threads 8']
CARRIED_OUT = [
    *RUN, *RUN_WITH_LABELS, QUICKSTART, TESTS, TWO_DEVICES, TENSORBOARD, *BEFORE_AND_AFTER,
    PICTURES, BLAME, EDITABLE, JPEGLIB, *CELEBAHQ
]
ELSEWHERE = {
    'export TF_CONFIG={"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": '
    '"worker", "index": 0}}':
        'tests/tfutil/test_machines.py does that with addresses of this machine',
    'bash setup_venv.sh requirements-pip.txt': 'quickstart.sh and test.sh source it',
    '.venv/bin/python train.py --set num_gpus=4':
        'the same; and the plain command wants a data set of 1024x1024 (see '
        'tests/test_train_command.py)',
    '.venv/bin/python train.py --images ~/my_images --hours 8':
        'tests/pgan/training/test_own_pictures.py does that in less time',
    '.venv/bin/python train.py --config configs/few_images.py':
        'tests/pgan/settings/test_few_images.py reads it; it is made for 1000 pictures of 64x64',
    '.venv/bin/python train.py --images ~/my_images --hours 8 --dry-run':
        'tests/pgan/training/test_own_pictures.py does that in less time',
    '.venv/bin/python util_scripts.py explore --run_id 0':
        'tests/pgan/explorer/test_explore.py does that; it continues until Ctrl-C',
    '.venv/bin/python util_scripts.py explore --run_id 12':
        'tests/pgan/explorer/test_explore.py does that; it runs until Ctrl-C',
    '.venv/bin/python -m pip install tensorflow[and-cuda]': 'several GB, for GPUs; only parsed',
    '.venv/bin/mkdocs build --strict': 'tests/docs/test_site.py does that, into another folder',
    '.venv/bin/python util_scripts.py generate_fake_images --run_id '
    'karras2018iclr-celebahq-1024x1024.pkl --num_pngs 20':
        'tests/pgan/scripts/test_generate_fake_images.py does that with a file that it makes',
    '.venv/bin/python examples/import_example.py karras2018iclr-celebahq-1024x1024.pkl':
        'tests/test_exchange.py does that with a golden network',
    ".venv/bin/python train.py --set train.metrics=['swd']":
        'tests/pgan/scripts/test_evaluate_metrics.py trains with metrics',
    'bash test.sh --fast': 'the tests themselves',
    'bash test.sh tests/misc': 'the tests themselves',
}
SMALLER = '''
train.update(total_kimg=0.3, network_snapshot_ticks=1)
sched.update(lod_training_kimg=0.064, lod_transition_kimg=0.032, tick_kimg_base=0.1)
G.fmap_max = 8
D.fmap_max = 8
'''
TWO_TESTS = """import pytest


def test_fast():
    assert 1 + 1 == 2


@pytest.mark.slow
def test_slow():
    assert 1 + 1 == 2
"""


def test_every_command_is_carried_out_or_has_a_reason():
    written = {' '.join(words) for _, words in commands()}
    assert written <= {*CARRIED_OUT, *ELSEWHERE}
    assert {*CARRIED_OUT, *ELSEWHERE} - written == {RUN_WITH_LABELS[1]}


# ---------------------------------------------------------------- in a copy of the repository

@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of the repository with two commits and this virtual environment.

    Its quick start trains on a few hundred images.
    """
    if sys.prefix == sys.base_prefix or not shutil.which('git'):
        pytest.skip('needs git, and tests that run in a virtual environment')
    folder = tmp_path_factory.mktemp('checkout') / 'copy'
    unwanted = shutil.ignore_patterns('.git', '.venv', 'datasets', 'results', 'tests',
                                      '__pycache__', '.*_cache', '*.egg-info')
    shutil.copytree(ROOT, folder, ignore=unwanted, symlinks=True)
    (folder / '.venv').symlink_to(sys.prefix)
    with open(folder / 'configs' / 'quickstart.py', 'a') as file:
        file.write(SMALLER)
    (folder / 'tests').mkdir()
    (folder / 'tests' / 'test_two.py').write_text(TWO_TESTS)
    git = ['git', '-c', 'user.name=Nobody', '-c', 'user.email=nobody@example.com']
    for command in (['init', '-q'], ['add',
                                     '.'], ['commit', '-qm',
                                            'One'], ['commit', '-qm', 'Two', '--allow-empty']):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def carry_out(folder, command, *more, replaced=()):
    """Run a command in a folder, with extra options and some words replaced. Returns its output."""
    words = [dict(replaced).get(word, word) for word in command.split()]
    if words[0] == 'python':
        words[0] = sys.executable
    done = subprocess.run([*words, *more], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
    return done.stdout


@pytest.mark.slow
def test_quick_start(checkout, own_threads):
    """Set-up, data set, training, pictures; and that a second run finds all of it done."""
    said = carry_out(checkout, QUICKSTART)
    result = checkout / 'results' / '000-quickstart-digits'
    assert (result / '_training-done.txt').exists() and (checkout / 'datasets' / 'digits').is_dir()
    table = (result / 'digits.txt').read_text()
    assert table in said
    assert re.search(r'^all: \d+\.\d% of 1000 generated digits are recognized as the requested '
                     r'class$',
                     table, re.MULTILINE)
    assert Image.open(result / 'digits.png').size == (1024, 640)
    film = Image.open(result / 'interpolation.gif')
    assert film.n_frames == 120 and film.size == (640, 320)
    shown = re.findall(r'results/000-quickstart-digits/\S+(?<!,)', said[said.index('Look at:'):])
    assert len(shown) == 5 and all(any(checkout.glob(pattern)) for pattern in shown), said
    written = {path: path.stat().st_mtime_ns for path in result.iterdir()}
    assert table in carry_out(checkout, QUICKSTART)
    assert {path: path.stat().st_mtime_ns
            for path in result.iterdir()} == written and len(os.listdir(checkout / 'results')) == 2


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_devices(checkout):
    if not (checkout / 'datasets' / 'digits').exists():
        carry_out(checkout, '.venv/bin/python dataset_tool.py create_digits datasets/digits')
    said = carry_out(checkout, TWO_DEVICES, '--set', 'train.total_kimg=0.1', '--set', 'desc=two')
    assert 'Devices       2 x CPU' in said and (next(checkout.glob('results/*-two')) /
                                                '_training-done.txt').exists()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_tests(checkout):
    """All of them, the fast ones, and one that fails."""
    assert '2 passed' in carry_out(checkout, TESTS)
    fast = carry_out(checkout, f'{TESTS} --fast', '--durations=1')
    assert '1 passed' in fast and 'slowest 1 durations' in fast
    path = checkout / 'tests' / 'test_two.py'
    path.write_text(TWO_TESTS.replace('2', '3'))
    assert subprocess.run(TESTS.split(), cwd=checkout, capture_output=True).returncode != 0
    path.write_text(TWO_TESTS)


@pytest.mark.slow
def test_curves(checkout):
    """TensorBoard serves the folder of results. It gets a port that is free."""
    with subprocess.Popen([*TENSORBOARD.split(), '--port', '0'], cwd=checkout,
                          stderr=subprocess.PIPE, text=True) as server:
        try:
            address = next(found[0] for found in (re.search(r'http://\S+', line)
                                                  for line in server.stderr) if found)
            with urllib.request.urlopen(address) as page:
                assert b'TensorBoard' in page.read()
        finally:
            server.send_signal(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_before_and_after_a_change(checkout):
    add, compare, remove = BEFORE_AND_AFTER
    carry_out(checkout, add)
    said = carry_out(checkout, compare, '--turns', '1', '--seconds', '0.1', '--fmap_base', '32',
                     '--fmap_max', '8', replaced={'32': '8', '64': '4', '20': '1'})
    assert '"after_updates": {"rounds": 1, "of_all": 0.0' in said  # the two are alike
    carry_out(checkout, remove)
    assert not (checkout.parent / 'before').exists()


@pytest.mark.slow
def test_pictures(checkout):
    """Drawn again, they are the same."""
    said = carry_out(checkout, PICTURES)
    assert 'docs/rooms.svg is drawn.' in said
    assert subprocess.run(['git', 'diff', '--exit-code', 'docs'], cwd=checkout).returncode == 0


def test_blame_with_commits_to_ignore(checkout):
    carry_out(checkout, BLAME)
    carry_out(checkout, 'git blame README.md')


@pytest.mark.slow
def test_editable_install(checkout, tmp_path):
    """In a new environment without the program's dependencies. pip fetches its build tools."""
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'venv'], check=True)
    python = tmp_path / 'venv' / 'bin' / 'python'
    done = subprocess.run([python, '-m', *EDITABLE.split(), '--no-deps'], cwd=checkout,
                          capture_output=True, text=True)
    if done.returncode and re.search('Failed to establish a new '
                                     'connection|NewConnectionError|timed out', done.stderr):
        pytest.skip('no network')
    assert done.returncode == 0, done.stderr
    done = subprocess.run([python, '-c', 'from pgan import errors; print(errors.__file__)'],
                          cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(checkout / 'pgan' / 'errors.py'), done.stderr


# ---------------------------------------------------------------- CelebA-HQ


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.skipif(
    importlib.util.find_spec('jpeglib') is None, reason='jpeglib has no wheel for this machine')
def test_celebahq(checkout, in_tmp, monkeypatch):
    """On a toy tree of two photographs. jpeglib is there already, so that pip has nothing to do."""
    assert 'already satisfied' in carry_out(checkout, JPEGLIB)
    write_tree(in_tmp, UNPADDED)
    set_counts(monkeypatch, 2)
    for command in CELEBAHQ:
        words = normalised(
            command.replace('CELEBA', 'celeba').replace('DELTAS', 'deltas').replace(' 2',
                                                                                    '').split())
        assert not dataset_tool.main(words[2:])
    assert sorted(os.listdir('datasets')) == ['celebahq', 'celebahq-only']
    assert len(os.listdir('datasets/celebahq')) == 9 and len(
        os.listdir('datasets/celebahq-only')) == 2
