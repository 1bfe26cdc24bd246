"""pyproject.toml and the API for notebooks: `pip install -e .` installs everything, documented and
typed.
"""
import importlib.metadata
import inspect
import os
import pydoc
import re
import subprocess
import sys
import tomllib
import typing

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

import dataset
import misc
import tfutil
from tests.support.golden import ROOT

NOT_INSTALLED = {'tests', 'benchmarks', 'examples', 'docs'}


@pytest.fixture(scope='module')
def project():
    return tomllib.loads((ROOT / 'pyproject.toml').read_text())


def test_every_module_and_package_of_the_tree_is_listed(project):
    """An editable install finds no other modules."""
    listed = project['tool']['setuptools']
    assert sorted(listed['py-modules']) == sorted(path.stem for path in ROOT.glob('*.py'))
    found = find_packages(ROOT, **listed['packages']['find'])
    packages = {path.parent.relative_to(ROOT) for path in ROOT.rglob('__init__.py')}
    packages = {
        '.'.join(path.parts)
        for path in packages if path.parts[0] not in NOT_INSTALLED | {'.venv'}
    }
    assert sorted(found) == sorted(packages)


def test_what_is_declared_exists(project):
    declared = project['project']
    assert (ROOT / declared['readme']).exists() and all(
        (ROOT / name).exists() for name in declared['license-files'])
    requirements = project['tool']['setuptools']['dynamic']['dependencies']['file']
    assert all((ROOT / name).exists()
               for name in requirements) and declared['dynamic'] == ['dependencies']
    assert declared['requires-python'] == '>=3.11' and re.fullmatch(r'\d+\.\d+\.\d+',
                                                                    declared['version'])


@pytest.mark.slow
def test_imports_from_elsewhere(tmp_path):
    """As in a notebook in another folder, with the checkout on the path: nothing depends on the
    current folder.
    """
    code = ('import misc, tfutil, dataset, train; from pgan import settings; '
            'print(settings.load().desc)')
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0 and done.stdout.startswith('pgan-'), done.stderr


def notebook_functions():
    """The functions and methods that notebooks use: {name: function}."""
    functions = {
        f'misc.{name}': getattr(misc, name)
        for name in misc.__all__ if inspect.isfunction(getattr(misc, name))
    }
    methods = {f'tfutil.Network.{name}': value for name, value in vars(tfutil.Network).items()
               if inspect.isfunction(value) and not name.startswith('_')}
    return {
        **functions, **methods, 'dataset.load_dataset': dataset.load_dataset,
        'tfutil.init_tf': tfutil.init_tf
    }


WITHOUT_TYPES = {'G', 'color', 'kwargs', 'more', 'self'}


@pytest.mark.parametrize('name', sorted(notebook_functions()))
def test_types_and_help(name):
    """Parameters have types that can be resolved, unless any type is allowed; help() shows a
    docstring.
    """
    function = notebook_functions()[name]
    hints = typing.get_type_hints(inspect.unwrap(function))
    untyped = {
        parameter
        for parameter in inspect.signature(function).parameters if parameter not in hints
    }
    assert untyped <= WITHOUT_TYPES, untyped
    text = pydoc.plain(pydoc.render_doc(function))
    first = inspect.getdoc(function).split('\n')[0]
    assert len(first) > 10 and first in text


# ------------------------------------------------------------ constraints.txt

REQUIREMENTS = sorted(ROOT.glob('requirements-*.txt'))
WITH_THE_ENVIRONMENT = {'pip', 'setuptools', 'wheel'}  # installed by `python -m venv`


def lines_of(path):
    """Lines of a requirements file without comments."""
    lines = [re.sub(r'(^| +)#.*', '', line) for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def pinned():
    """{package: version} of constraints.txt."""
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix('==')
            for pin in lines_of(ROOT / 'constraints.txt')}


def test_constraints_are_versions_in_order():
    pins = lines_of(ROOT / 'constraints.txt')
    assert all(re.fullmatch(r'==[\w.]+', str(pin.specifier)) and not pin.marker for pin in pins)
    names = [canonicalize_name(pin.name) for pin in pins]
    assert names == sorted(set(names))


@pytest.mark.parametrize('path', REQUIREMENTS, ids=lambda path: path.name)
def test_constraints_keep_the_bounds_of_the_requirements(path):
    versions = pinned()
    for requirement in lines_of(path):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f'{requirement}, pinned to {version}'


def test_constraints_name_everything_that_the_requirements_bring():
    """Including indirect requirements, as far as they are installed here."""
    wanted, missing = [line for path in REQUIREMENTS for line in lines_of(path)], {}
    versions, seen = pinned(), set(WITH_THE_ENVIRONMENT)
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or requirement.marker and not requirement.marker.evaluate({'extra': ''}):
            continue
        seen.add(name)
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in versions:
            missing[name] = package.version
        wanted += map(Requirement, package.requires or [])
    assert not missing, f'add to constraints.txt: {missing}'


PYTHON_STUB = """#!/usr/bin/env bash
if [[ "$*" == *"version_info >= (3, 14)"* ]]; then exit {newer}; fi
if [[ "$*" == *"pip install"* ]]; then echo "$*" >> calls; fi
if [[ "$*" == *constraints.txt* ]]; then exit {code}; fi
"""


def set_up(folder, newer=0, code=0):
    """Source setup_venv.sh with a fake Python that records calls of pip. Return output and calls.
    """
    (folder / '.venv/bin').mkdir(parents=True, exist_ok=True)
    (folder / '.venv/bin/python').write_text(PYTHON_STUB.format(newer=newer, code=code))
    (folder / '.venv/bin/python').chmod(0o755)
    for name in ('setup_venv.sh', 'constraints.txt', 'requirements-pip.txt'):
        if not (folder / name).exists():
            (folder / name).write_text((ROOT / name).read_text())
    done = subprocess.run(['bash', '-euc', '. ./setup_venv.sh requirements-pip.txt'], cwd=folder,
                          capture_output=True, text=True,
                          env={**os.environ, 'PYTHON': sys.executable})
    assert done.returncode == 0, done.stderr
    calls = (folder / 'calls').read_text().splitlines() if (folder / 'calls').exists() else []
    (folder / 'calls').unlink(missing_ok=True)
    return done.stdout, calls


def test_set_up_installs_the_versions_that_were_tried(tmp_path):
    said, calls = set_up(tmp_path)
    assert len(calls) == 2 and all('-c constraints.txt' in call for call in calls)
    assert 'note' not in said
    assert set_up(tmp_path) == ('', [])  # everything is installed
    with open(tmp_path / 'constraints.txt', 'a') as file:
        file.write('another==1\n')
    assert len(set_up(tmp_path)[1]) == 2


def test_set_up_on_a_newer_python_or_where_a_version_cannot_be_had(tmp_path):
    said, calls = set_up(tmp_path / 'newer', newer=1)
    assert 'note: constraints.txt is for Python 3.11 to 3.13' in said
    assert len(calls) == 2 and not any('constraints' in call for call in calls)
    said, calls = set_up(tmp_path / 'elsewhere', code=1)
    assert 'cannot be installed on this machine' in said
    assert ['constraints' in call for call in calls] == [True, False, False]
