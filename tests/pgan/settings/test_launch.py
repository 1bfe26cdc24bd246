"""Modules that a program of the repository can import."""
import os
import sys
import types

import pytest

import misc
from pgan import settings
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


@pytest.mark.parametrize(('func', 'tf_config', 'visible', 'growth'), [
    ('util_scripts.explore', {}, 1, {'gpu_options.allow_growth': True}),
    ('util_scripts.explore', {'gpu_options.allow_growth': False}, 1,
     {'gpu_options.allow_growth': False}),
    (launch.TRAINING, {}, 4, {}),  # it knows its share of a cluster
])
def test_a_script_leaves_gpus_and_memory_to_training(func, tf_config, visible, growth, monkeypatch):
    gpus = [types.SimpleNamespace(name=f'GPU:{i}') for i in range(4)]
    given = {}
    monkeypatch.setattr('tensorflow.config.list_physical_devices', lambda kind: list(gpus))
    monkeypatch.setattr('tensorflow.config.set_visible_devices',
                        lambda those, kind: given.update(visible=those))
    monkeypatch.setattr('tfutil.init_tf', lambda config, *rest: given.update(growth=config))
    for name in ('apply_env', 'check_spelling', 'check_config'):
        monkeypatch.setattr(settings, name, lambda config: None)
    monkeypatch.setattr(launch, 'run', lambda *arguments: None)
    monkeypatch.setattr('dataset.check_present', lambda *arguments: None)
    config = types.SimpleNamespace(
        train=types.SimpleNamespace(func=func), tf_config=tf_config, random_seed=1, num_gpus=1,
        dataset={}, data_dir='datasets')
    try:
        launch.start(config)
    finally:
        misc.restore_output()
    assert given == {'growth': growth, **({'visible': gpus[:1]} if visible == 1 else {})}
