"""Modules that a program of the repository can import."""
import os
import sys
import types

import pytest

from pgan.settings import launch


def paths_during(code=0):
    seen = []
    assert launch.exit_code_of(lambda: seen.append(list(sys.path))) == code
    return seen[0]


def test_modules_of_the_current_folder_can_be_imported_and_hide_none(in_tmp):
    before = list(sys.path)
    (in_tmp / 'dataset.py').write_text("raise SystemExit('hidden')\n")
    assert paths_during() == [*before, str(in_tmp)] and sys.path == before


def test_a_folder_that_is_on_the_path_stays_where_it_is(in_tmp, monkeypatch):
    monkeypatch.syspath_prepend(str(in_tmp))
    before = list(sys.path)
    assert paths_during() == before and sys.path == before


def test_a_current_folder_that_is_gone(in_tmp):
    os.mkdir('gone')
    os.chdir('gone')
    os.rmdir('../gone')
    assert paths_during()


@pytest.mark.parametrize(('files', 'named'), [
    (['grid-000000.png', 'config.txt', 'log.txt', '_done.txt'], '/grid-000000.png'),
    (['film.MP4', 'rows.txt'], '/film.MP4'), (['nearest.png', 'nearest.json'], '/nearest.png'),
    (['a.png', 'b.png'], ''), (['comparison.png', 'trajectory.mp4'], ''), (['config.txt'], ''),
])
def test_the_one_product_of_a_script_is_named(files, named, in_tmp, capsys):
    os.mkdir('out')
    for name in files:
        open(f'out/{name}', 'w').close()
    config = types.SimpleNamespace(train=types.SimpleNamespace(func='util_scripts.any'))
    launch.end(config, 'out')
    launch.end(config, 'out/config.txt')
    assert capsys.readouterr().out.splitlines() == [
        f'Written: out{named}', 'Exiting...', 'Written: out/config.txt', 'Exiting...']
