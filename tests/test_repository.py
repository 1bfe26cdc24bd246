"""The repository as a whole: everything imports, no import runs upward, every --help works,
documents say what is so.
"""
import os
import re
import subprocess
import sys

import pytest

from docs.rooms import ROOMS, imports_of, name_of, room_of, sources
from tests.support.document_blocks import DOCUMENTS
from tests.support.golden import ROOT


@pytest.mark.parametrize('path', [p for p in sources() if p.name != 'config.py'],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_no_import_runs_upward(path):
    own = ROOMS.index(room_of(name_of(path)))
    for name in imports_of(path):
        room = room_of(name)
        assert room not in ('config', 'tests'), f'{path.name} imports {name}'
        assert room not in ROOMS or ROOMS.index(room) <= own, f'{path.name} imports {name}'


def test_every_module_imports():
    """In a process of its own, without importing one by way of another test."""
    names = [name_of(path) for path in sources()]
    code = (f'import importlib, sys\nsys.path.insert(0, {str(ROOT)!r})\nfor name in {names!r}: '
            'importlib.import_module(name)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('command', [
    'train.py', 'dataset_tool.py', 'util_scripts.py', 'examples/digits.py',
    'examples/import_example.py', '-m benchmarks.training_step', '-m benchmarks.dataset_tool',
    '-m benchmarks.snapshot', '-m benchmarks.metrics', '-m benchmarks.replicas',
    '-m benchmarks.celebahq', '-m benchmarks.mode_recovery', '-m benchmarks.paper_settings',
    '-m benchmarks', '-m benchmarks.machine', '-m benchmarks.bare_step', '-m benchmarks.compare',
    '-m benchmarks.pipeline', '-m benchmarks.startup', '-m benchmarks.peers', '-m benchmarks.gpu',
    '-m benchmarks.peer_torch_step', 'docs/draw_rooms.py'
])
def test_help(command):
    done = subprocess.run([sys.executable, *command.split(), '--help'], capture_output=True,
                          text=True, cwd=ROOT)
    assert done.returncode == 0 and 'usage:' in done.stdout, done.stderr


def test_help_of_train_does_not_start_tensorflow():
    entry = """
import runpy, sys
sys.argv = ['train.py', '-h']
try:
    runpy.run_path('train.py', run_name='__main__')
except SystemExit:
    print('TF' if 'tensorflow' in sys.modules else 'light')
"""
    done = subprocess.run([sys.executable, '-c', entry], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().endswith('light'), done.stdout + done.stderr


def test_documents_name_files_that_exist():
    for document in DOCUMENTS:
        text = document.read_text()
        for target in re.findall(r'\]\((?!https?:)([^)#]+)\)', text):
            assert (document.parent / target).exists(), f'{document.name} links to {target}'
        for name in re.findall(r'`((?:[\w-]+/)*[\w-]+\.(?:py|sh))`', text):
            exists = any((folder / name).exists()
                         for folder in (ROOT, ROOT / 'tfutil', ROOT / 'pgan' / 'training'))
            assert exists, f'{document.name} names {name}'


def test_scripts_are_sound_bash():
    for script in ('quickstart.sh', 'test.sh', 'setup_venv.sh', '.ci/run'):
        assert subprocess.run(['bash', '-n', ROOT / script]).returncode == 0


def test_names_of_tests_are_the_same_in_every_process(request):
    """The suite's processes must agree on them: a time stamp or the order of a set in a name stops
    the whole suite, now and then.
    """
    seed = str((int(os.environ.get('PYTHONHASHSEED', '0').replace('random', '0')) + 1) % 1000)
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-q', '-p', 'no:xdist', 'tests'],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, 'PYTHONHASHSEED': seed})
    assert done.returncode == 0, done.stdout + done.stderr
    assert {item.nodeid for item in request.session.items} - set(done.stdout.splitlines()) == set()
