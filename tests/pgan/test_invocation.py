"""Commands that the program prints can be typed as they stand."""
import os
import subprocess
import sys

import pytest

from pgan import invocation


@pytest.fixture
def path_without(monkeypatch, tmp_path):
    """PATH with a shell and no interpreter."""
    (tmp_path / 'bin').mkdir()
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))


@pytest.mark.parametrize('cwd', [invocation.ROOT, invocation.ROOT / 'docs', '/'])
def test_a_printed_command_runs_from_where_it_was_printed(monkeypatch, cwd, path_without):
    monkeypatch.chdir(cwd)
    line = invocation.command('dataset_tool.py', '-h')
    done = subprocess.run(line, shell=True, executable='/bin/sh', capture_output=True, text=True)
    assert done.returncode == 0 and 'create_mnist' in done.stdout, (line, done.stderr)


def test_python_is_called_by_name_only_where_the_name_finds_this_one(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', os.path.dirname(sys.executable))
    assert invocation.interpreter() in ('python', 'python3')
    other = tmp_path / 'python'
    other.symlink_to(os.path.realpath(sys.executable))  # the same file, another environment
    monkeypatch.setenv('PATH', str(tmp_path))
    assert os.path.samefile(invocation.interpreter(), sys.executable)
    assert os.path.basename(os.path.dirname(invocation.interpreter())) == 'bin'


def test_arguments_are_quoted(monkeypatch):
    monkeypatch.chdir(invocation.ROOT)
    assert invocation.command('train.py', '--resume', "a run's", 3).endswith(
        """train.py --resume 'a run'"'"'s' 3""")
