"""misc/environment.py: the records in a result folder's environment.json."""
import json
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from misc import environment
from pgan.errors import DataError


def test_an_entry_for_each_start(in_tmp, monkeypatch):
    monkeypatch.setattr('sys.argv', ['train.py', '--set', 'desc=two words'])
    environment.write_environment('.', random_seed=7, began_at_nimg=0)
    environment.write_environment('.', random_seed=7, began_at_nimg=5000)
    first, second = environment.read_environment('.')
    assert first['command'] == "python train.py --set 'desc=two words'" and first[
        'random_seed'] == 7 and first['folder'] == str(in_tmp)
    assert first['packages']['tensorflow'] == tf.__version__ and first['packages'][
        'numpy'] == np.__version__
    assert [entry['began_at_nimg'] for entry in (first, second)] == [0, 5000]
    assert len(first['devices']) == len(
        tf.config.list_physical_devices()) and first['devices'][0].startswith('CPU 0: ')


def test_it_does_not_grow_without_end(in_tmp):
    (in_tmp / 'environment.json').write_text(json.dumps([{'number': i} for i in range(500)]))
    environment.write_environment('.')
    entries = environment.read_environment('.')
    assert len(entries) == 100 and entries[0]['number'] == 401 and 'python' in entries[-1]


@pytest.mark.parametrize('text', ['', '{"a": 1}', '[1, 2]', '\x00'])
def test_a_damaged_one_starts_anew(in_tmp, text):
    (in_tmp / 'environment.json').write_text(text)
    environment.write_environment('.')
    assert len(environment.read_environment('.')) == 1


def test_a_folder_that_cannot_be_written(in_tmp):
    with pytest.raises(DataError, match='gone'):
        environment.write_environment('gone')


def git(folder, *arguments):
    subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments], cwd=folder,
                   check=True, capture_output=True)


def test_the_commit_of_the_checkout(in_tmp):
    """Uncommitted changes are mentioned; an enclosing repository of another project is ignored."""
    (in_tmp / 'repo' / 'inside').mkdir(parents=True)
    git(in_tmp / 'repo', 'init')
    (in_tmp / 'repo' / 'a.py').write_text('1')
    git(in_tmp / 'repo', 'add', 'a.py')
    git(in_tmp / 'repo', 'commit', '-m', 'x')
    commit = environment.git_commit(in_tmp / 'repo')
    assert len(commit) == 40 and int(commit, 16)
    (in_tmp / 'repo' / 'a.py').write_text('2')
    assert environment.git_commit(in_tmp / 'repo') == f'{commit} and changes'
    assert environment.git_commit(
        in_tmp / 'repo' / 'inside') is None and environment.git_commit(in_tmp) is None


def test_no_git_at_all(in_tmp, monkeypatch):
    monkeypatch.setenv('PATH', str(in_tmp))
    assert environment.git_commit() is None
