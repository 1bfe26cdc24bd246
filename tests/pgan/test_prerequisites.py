"""The program uses TensorFlow as Keras's backend, and reports missing prerequisites in one line."""
import ast
import glob
import json
import os
import subprocess
import sys
import types

import pytest

from pgan import prerequisites, settings
from tests.support.golden import ROOT

PROGRAMS = ('train.py', 'dataset_tool.py', 'util_scripts.py', 'examples/digits.py',
            'examples/import_example.py')
ENTRANCES = ('import tfutil', 'import networks', 'import loss', 'import legacy', 'import train',
             'import util_scripts', 'import pgan.nn.layers', 'from tfutil import ops',
             'import misc; misc.import_tensorflow()',
             'from metrics import mnist_modes; mnist_modes.make_model()',
             'import pickle; pickle.loads(b"ctfutil.network\\nNetwork\\n.")')


def run(*command, cwd=None, **environment):
    """stdout and stderr of a command, and whether it succeeded."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=60, cwd=cwd, env={**os.environ, **environment})
    return done.stdout, done.stderr, done.returncode


# ---------------------------------------------------------------- Keras's backend

def backend_seen_by(tmp_path, code, **environment):
    """KERAS_BACKEND when TensorFlow or Keras is imported; stubs of both print it."""
    for name in ('tensorflow', 'keras'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(
            'import os; print(os.environ.get("KERAS_BACKEND"), flush=True); os._exit(0)')
    return run(sys.executable, '-c', code, PYTHONPATH=f'{tmp_path}:{ROOT}', **environment)[0]


@pytest.mark.parametrize('code', ENTRANCES)
def test_every_entrance_chooses_tensorflow_before_keras_is_imported(tmp_path, code):
    assert backend_seen_by(tmp_path, code, KERAS_BACKEND='jax') == 'tensorflow\n'


def test_config_env_does_not_change_it(monkeypatch):
    monkeypatch.setenv('KERAS_BACKEND', 'tensorflow')
    settings.apply_env(types.SimpleNamespace(env={'KERAS_BACKEND': 'torch'}))
    assert os.environ['KERAS_BACKEND'] == 'tensorflow'


def test_keras_on_another_backend_is_refused(monkeypatch):
    other = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: 'jax'))
    monkeypatch.setitem(sys.modules, 'keras', other)
    with pytest.raises(ImportError, match="backend 'jax'.*Import tfutil before keras"):
        prerequisites.choose_keras_backend()


@pytest.mark.slow
def test_a_keras_json_of_theanos_time_changes_nothing(tmp_path):
    (tmp_path / '.keras').mkdir()
    (tmp_path / '.keras' / 'keras.json').write_text(json.dumps({
        'floatx': 'float16', 'epsilon': 1e-7, 'backend': 'theano',
        'image_data_format': 'channels_first'}))
    code = ('import numpy as np; from metrics import mnist_modes; '
            'print({v.dtype for v in mnist_modes.make_model().weights}); '
            'print(mnist_modes.Classifier()(np.zeros([2, 1, 32, 32], np.uint8)).shape)')
    out, err, code = run(sys.executable, '-c', code, HOME=str(tmp_path), PYTHONPATH=str(ROOT))
    assert (out.splitlines()[-1], code) == ('(2,)', 0), err
    assert "'float16'" not in out


SYNTHETIC = "dataset={'class_name':'dataset.SyntheticDataset'}"  # always present
KERAS = """
import json, os
_config_path = os.path.expanduser('~/.keras/keras.json')
_config = json.load(open(_config_path))
assert _config.get('floatx', 'float32') in {'float16', 'float32', 'float64'}
assert isinstance(_config.get('epsilon', 1e-7), float)
assert _config.get('image_data_format', 'channels_last') in {'channels_last', 'channels_first'}
raise ValueError('another reason')
"""


@pytest.mark.first(4, rest='exhaustive')
@pytest.mark.parametrize('content, said', [
    ('{bad', 'Expecting property name'), ('', 'Expecting value'), ('[]', 'it is not a JSON object'),
    ('{"floatx": "bfloat16"}', "its floatx is 'bfloat16', expected float16, float32 or float64"),
    ('{"floatx": []}', 'its floatx is []'), ('{"epsilon": 1}', 'its epsilon is 1'),
    ('{"image_data_format": null}', 'its image_data_format is None'), ('{}', 'another reason'),
    (None, 'Is a directory')])
def test_a_malformed_keras_json_gets_one_line(tmp_path, content, said):
    """Stubs of Keras and TensorFlow read the file as the real ones do."""
    path = tmp_path / '.keras' / 'keras.json'
    path.parent.mkdir()
    path.mkdir() if content is None else path.write_text(content)
    for name, text in (('keras', KERAS), ('tensorflow', 'import keras')):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(text)
    _, err, code = run(sys.executable, ROOT / 'train.py', '--set', SYNTHETIC, cwd=tmp_path,
                       HOME=str(tmp_path), PYTHONPATH=str(tmp_path))
    assert code == 1 and err.count('\n') == 1, err
    assert err.startswith('error: Keras cannot use') and repr(str(path)) in err and said in err


@pytest.mark.slow
@pytest.mark.parametrize('program', [f'train.py --set {SYNTHETIC}',
                                     'util_scripts.py generate_fake_images --run_id x.pkl'])
def test_keras_itself_with_a_malformed_keras_json(tmp_path, program):
    (tmp_path / '.keras').mkdir()
    (tmp_path / '.keras' / 'keras.json').write_text('{"floatx": "bfloat16"}')
    (tmp_path / 'x.pkl').touch()
    name, *arguments = program.split()
    _, err, code = run(sys.executable, ROOT / name, *arguments, HOME=str(tmp_path), cwd=tmp_path)
    assert code == 1 and err.count('\n') == 1 and "its floatx is 'bfloat16'" in err


# ---------------------------------------------------------------- Python and its packages

def interpreters():
    """Installed Pythons that are too old; 3.8 is the oldest that parses `:=` and `/`."""
    found = glob.glob(os.path.expanduser('~/.pyenv/versions/*/bin/python'))
    names = '2.7.', '3.6.', '3.8.', '3.10.'
    return [path for path in found if path.split('/')[-3].startswith(names)]


@pytest.mark.parametrize('program', [*PROGRAMS, 'docs/draw_rooms.py', 'legacy.py', '-m benchmarks',
                                     '-m benchmarks.gpu'])
def test_an_old_python_gets_one_line(program):
    words = program.split() if program[0] == '-' else [ROOT / program]
    for python in interpreters():
        out, err, code = run(python, *words, '-h', cwd=ROOT, PYTHONDONTWRITEBYTECODE='1')
        assert out == '' and code != 0, (python, err)
        if '/2.7' in python and program == 'legacy.py':
            continue  # a module, never run as a program
        if '/2.7' in python and err.startswith('  File'):
            name, line, _, kind = err.splitlines()
            assert 'Python 3.11 or newer is needed' in line and kind.startswith('SyntaxError')
            continue
        assert err.count('\n') == 1 and 'needs 3.11 or newer' in err, (python, err)
        assert 'Python of .venv: .venv/bin/python' in err or not (ROOT / '.venv').exists()


class _NewerThanPython2(ast.NodeVisitor):
    """Line of the first syntax that Python 2.7 cannot parse, or None."""

    def __init__(self):
        self.lines = []

    def generic_visit(self, node):
        new = isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.NamedExpr,
                                ast.AsyncFunctionDef, ast.YieldFrom))
        new |= isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
        new |= isinstance(node, ast.arg) and node.annotation is not None
        new |= isinstance(node, ast.FunctionDef) and bool(node.returns or node.args.kwonlyargs)
        new |= isinstance(node, ast.Raise) and node.cause is not None
        new |= isinstance(node, ast.ClassDef) and bool(node.keywords)
        if new:
            self.lines.append(node.lineno)
        super().generic_visit(node)


def first_new_line(path):
    text = path.read_text()
    visitor = _NewerThanPython2()
    visitor.visit(ast.parse(text))
    return text.splitlines()[min(visitor.lines) - 1] if visitor.lines else ''


def test_what_python_2_reads_of_each_program_says_which_python_is_needed():
    """Works without an old interpreter."""
    for name in ('pgan/__init__.py', 'pgan/prerequisites.py', 'util_scripts.py',
                 'benchmarks/__init__.py'):
        assert first_new_line(ROOT / name) == '', name
        (ROOT / name).read_bytes().decode('ascii')
    needed = 'Python {}.{} or newer is needed'.format(*prerequisites.PYTHON)
    for name in PROGRAMS:
        assert needed in first_new_line(ROOT / name) or name == 'util_scripts.py', name


@pytest.mark.parametrize('program', [
    'train.py --dry-run', 'dataset_tool.py', 'util_scripts.py write_report --run_id 1',
    'examples/digits.py 1', 'examples/import_example.py'])
def test_missing_packages_get_one_line(program):
    program, *arguments = program.split()
    # -S: without site-packages
    out, err, code = run(sys.executable, '-S', ROOT / program, *arguments, cwd='/')
    assert code == 1 and err.count('\n') == 1 and err.startswith("error: the package '"), err
    assert 'Python of .venv' in err or '-m pip install -r' in err


def test_the_line_names_the_environment_if_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(prerequisites, 'ROOT', str(tmp_path))
    monkeypatch.setattr(prerequisites, 'is_program', lambda: True)
    monkeypatch.setattr(sys, 'argv', ['train.py', '--set', 'desc=a b'])
    monkeypatch.setitem(sys.modules, '__main__', types.SimpleNamespace(__file__='train.py'))
    monkeypatch.chdir(tmp_path)
    assert '-m pip install -r requirements-pip.txt' in prerequisites._way_out()
    (tmp_path / '.venv' / 'bin').mkdir(parents=True)
    (tmp_path / '.venv' / 'bin' / 'python').touch()
    assert prerequisites._way_out().endswith(".venv/bin/python train.py --set 'desc=a b'")


def test_the_oldest_python_and_the_packages_are_the_declared_ones():
    assert 'requires-python = ">={}.{}"'.format(*prerequisites.PYTHON) in (
        ROOT / 'pyproject.toml').read_text()
    imported = {'pillow': 'PIL', 'google-crc32c': 'google_crc32c'}
    for line in (ROOT / 'requirements-pip.txt').read_text().splitlines():
        name = line.partition('>=')[0].strip()
        if name and not name.startswith('#'):
            assert imported.get(name, name) in prerequisites.PACKAGES


def test_the_line_starts_a_module_as_it_was_started(tmp_path):
    out, err, code = run(sys.executable, '-S', '-m', 'benchmarks', '--only', 'a b', cwd=ROOT)
    assert code == 1 and err.count('\n') == 1, err
    assert err.rstrip().endswith("-m benchmarks --only 'a b'") or '-m pip install' in err


def test_other_errors_keep_their_traceback(capsys):
    try:
        raise ModuleNotFoundError("No module named 'my_networks'", name='my_networks')
    except ModuleNotFoundError as error:
        prerequisites._report(type(error), error, error.__traceback__)
    assert 'Traceback' in capsys.readouterr().err


def test_only_files_of_this_folder_are_its_programs(monkeypatch):
    def started_with(path):
        monkeypatch.setitem(sys.modules, '__main__', types.SimpleNamespace(__file__=str(path)))
        return prerequisites.is_program()

    assert started_with(ROOT / 'train.py') and started_with(ROOT / 'examples' / 'digits.py')
    assert not started_with(ROOT / '.venv' / 'bin' / 'pytest')
    assert not started_with('/usr/bin/jupyter')


