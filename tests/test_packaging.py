"""pyproject.toml and the API for notebooks: what `pip install -e .` brings is complete, described
and has types.
"""
import inspect
import os
import pydoc
import re
import subprocess
import sys
import tomllib
import typing

import pytest
from setuptools import find_packages

import dataset
import misc
import tfutil
from tests.support.golden import ROOT

NOT_INSTALLED = {'tests', 'benchmarks', 'examples'}


@pytest.fixture(scope='module')
def project():
    return tomllib.loads((ROOT / 'pyproject.toml').read_text())


def test_every_module_and_package_of_the_tree_is_listed(project):
    """An editable install finds nothing else."""
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


def test_imports_from_elsewhere(tmp_path):
    """As from a notebook in another folder, with the checkout on the path: nothing relies on the
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
    """Parameters have types that can be resolved, unless any kind will do; help() shows a
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
