"""The repository as a whole: everything imports, no import runs upward, every --help works,
documents are true.
"""
import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

from docs.rooms import AROUND, ROOMS, imports_of, name_of, room_of, sources
from tests.support.document_blocks import DOCUMENTS
from tests.support.golden import ROOT
from tests.support.programs import PROGRAMS, helps


def packages():
    """Dotted names of the folders with modules in them."""
    return {name_of(path.parent / '__init__.py') for path in sources()} - {'__init__'}


@pytest.mark.parametrize('path', [p for p in sources() if p.name != 'config.py'],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_no_import_runs_upward(path):
    own = ROOMS.index(room_of(name_of(path)))
    for name in imports_of(path):
        room = room_of(name)
        assert room not in ('config', 'tests'), f'{path.name} imports {name}'
        assert room not in ROOMS or ROOMS.index(room) <= own, f'{path.name} imports {name}'


@pytest.mark.slow
def test_every_module_imports():
    """In a subprocess, so that other tests have not imported anything."""
    names = [name_of(path) for path in sources()]
    code = (f'import importlib, sys\nsys.path.insert(0, {str(ROOT)!r})\nfor name in {names!r}: '
            'importlib.import_module(name)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('program', PROGRAMS)
def test_help(program):
    done = helps()[program]
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


# ---------------------------------------------------------------- the tests

TESTS = ROOT / 'tests'


def test_modules_of_tests_know_only_helpers():
    """Shared helpers are in tests/support or fixtures of a conftest.py."""
    for path in TESTS.rglob('*.py'):
        others = re.findall(r'\btests\.(?!support\b)[a-z_.]+\w', path.read_text())
        assert not others, f'{path.relative_to(ROOT)} uses {others}'


def test_no_file_of_tests_is_long():
    """A file of more than 500 lines covers more than one subject."""
    for path in TESTS.rglob('*.py'):
        count = len(path.read_text().splitlines())
        assert count <= 500, f'{path.relative_to(ROOT)} has {count} lines'


def test_no_fixture_is_written_twice():
    """A fixture of several modules is in the conftest.py of their common folder."""
    known = {}
    for path in TESTS.rglob('*.py'):
        text = path.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and any(
                    'fixture' in ast.unparse(one) for one in node.decorator_list):
                first = known.setdefault(ast.unparse(node.body[-3:]), path)
                assert first == path, f'{node.name} of {path.name} is also in {first.name}'


COLLECT = """
import sys
import pytest

class Lists:
    def pytest_collection_finish(self, session):
        for item in session.items:
            print('slow' if item.get_closest_marker('slow') else 'fast', item.nodeid)

sys.exit(pytest.main(['--collect-only', '-qq', '-p', 'no:xdist', 'tests'], plugins=[Lists()]))
"""


@pytest.fixture(scope='module')
def fast_tests(request):
    """Node ids of the tests that are not slow: this session's, if it has all tests."""
    config = request.config
    if config.args == config.getini('testpaths') and not config.getoption('keyword'):
        return [item.nodeid for item in request.session.items
                if not item.get_closest_marker('slow')]
    return [name for name, kind in request.getfixturevalue('collected').items() if kind == 'fast']


@pytest.fixture(scope='module')
def collected():
    """Tests collected in a process with another hash seed: {node id: 'fast' or 'slow'}."""
    seed = str((int(os.environ.get('PYTHONHASHSEED', '0').replace('random', '0')) + 1) % 1000)
    done = subprocess.run([sys.executable, '-c', COLLECT], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, 'PYTHONHASHSEED': seed})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r'^(fast|slow) (tests/.*)$', done.stdout, re.MULTILINE)
    return {name: kind for kind, name in lines}


@pytest.mark.slow
@pytest.mark.exhaustive
def test_names_of_tests_are_the_same_in_every_process(request, collected):
    """pytest-xdist fails if its workers collect different names, for example with a time or the
    order of a set.
    """
    assert {item.nodeid for item in request.session.items} - set(collected) == set()


@pytest.mark.slow
def test_the_fast_tests_cover_every_room(fast_tests):
    """`bash test.sh --fast` leaves out slow tests; each room has others."""
    folders = [pathlib.PurePath(name.partition('::')[0]).parent for name in fast_tests]
    for room in packages() - {'examples'}:  # their tests run whole programs
        assert folders.count(pathlib.PurePath('tests', *room.split('.'))) >= 3, room


def public_functions(tree):
    """Yield (name, node) of public functions and methods."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
            yield from ((f'{node.name}.{name}', method) for name, method in public_functions(node))
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith('_') or node.name in
                                                    ('__init__', '__call__')):
            yield node.name, node


def untyped_parts(function):
    """Parameters without a type, and 'return'. Python 2 needs the types in a comment."""
    if function.type_comment:
        return []
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += filter(None, (arguments.vararg, arguments.kwarg))
    found = [p.arg for p in parameters if p.annotation is None and p.arg not in ('self', 'cls')]
    return found + ['return'] * (function.returns is None and function.name != '__init__')


def test_public_functions_have_types():
    """mypy checks them, in test.sh."""
    untyped = {
        f'{name_of(path)}.{name}': untyped_parts(function)
        for path in sources() if path.name != 'config.py' and room_of(name_of(path)) not in AROUND
        for name, function in public_functions(
            ast.parse(path.read_text(), type_comments=True))
    }
    assert {name: parts for name, parts in untyped.items() if parts} == {}
    assert len(untyped) > 700
