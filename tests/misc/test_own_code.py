"""Functions and classes that a run's config.txt names: which ones are imported."""
import importlib
import os
import sys
import types

import pytest

import misc
import tfutil
from docs.rooms import ROOMS
from misc import own_code
from pgan.errors import DataError

MINE = '''
import functools, os, subprocess
from subprocess import call
from misc import save_pkl
import keras
import dataset

NUMBER = 3
partial = functools.partial(os.system, 'touch hacked')

class Data(dataset.SyntheticDataset):
    def __init__(self, resolution=8, max_images=None, mirror_augment=False):
        super().__init__(resolution)
        self.given = max_images, mirror_augment

def net(units=3):
    latents = keras.Input([4], name='latents_in')
    return keras.Model(latents, keras.layers.Dense(units, name='dense')(latents))
'''
CONFIG_TXT = 'results/000-run/config.txt'


@pytest.fixture
def own(in_tmp, monkeypatch):
    """A current folder on the module path with mine.py, not yet imported, and an empty run 0."""
    (in_tmp / 'mine.py').write_text(MINE)
    (in_tmp / 'results/000-run').mkdir(parents=True)
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.setattr(tfutil.network, '_known_functions', {})
    before = set(sys.modules)
    yield in_tmp
    for name in set(sys.modules) - before:
        if str(in_tmp) in str(getattr(sys.modules[name], '__file__', '')):
            del sys.modules[name]


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def forget():
    """Reset to the state of a new process, in which no user-defined module has been imported."""
    tfutil.network._known_functions.clear()
    for name in ('mine', 'renamed', 'package', 'package.nets'):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def save_run(func='mine.net', named=None):
    """Save a network as run 0; its config.txt names the true or another build function."""
    net = tfutil.Network('G', func, units=5)
    misc.save_pkl((net, net, net), 'results/000-run/network-final.pkl')
    misc.write_config('results/000-run', {'G': {'func': named or func, 'units': 5},
                                          'D': {'func': 'networks.D_paper'}})
    forget()


# ---------------------------------------------------------------- networks

def test_the_runs_own_config_names_the_build_function(own):
    save_run()
    assert misc.load_network_pkl(0)[2].static_kwargs == {'units': 5}
    forget()
    stock = types.SimpleNamespace(G={'func': 'networks.G_paper'}, D={'func': 'networks.D_paper'})
    assert misc.load_snapshot('results/000-run/network-final.pkl', stock)[0].name == 'G'
    forget()
    assert misc.load_network_pkl('results/000-run/network-final.pkl')[2].name == 'G'


def test_a_package_may_name_what_its_modules_hold(own):
    (own / 'package').mkdir()
    (own / 'package/__init__.py').write_text('from package.nets import net\n')
    (own / 'package/nets.py').write_text(MINE)
    save_run('package.net')
    assert misc.load_network_pkl(0)[0].name == 'G'


def test_nothing_is_imported_that_no_network_needs(own):
    (own / 'mine.py').write_text("raise SystemExit('imported')\n")
    net = tfutil.Network('G', 'networks.G_paper', resolution=4, fmap_max=2, latent_size=2)
    misc.save_pkl((net, net, net), 'results/000-run/network-final.pkl')
    misc.write_config('results/000-run', {'G': {'func': 'mine.net'}, 'D': {'func': 'mine.net'}})
    assert misc.load_network_pkl(0)[0].name == 'G' and 'mine' not in sys.modules


@pytest.mark.parametrize('damage, texts', [
    (lambda: os.unlink(CONFIG_TXT), ['no config.txt', "'mine.net'", '--set G.func=']),
    (lambda: os.unlink('mine.py'), ["no module 'mine'", CONFIG_TXT, 'Copy mine.py into the']),
    (lambda: save_run(named='networks.G_paper'), ["'mine.net'", "names 'networks.G_paper' and"]),
    (lambda: save_run(named='mine.nett'), ["Did you mean 'net'", 'G.func']),
    (lambda: write('mine.py', 'import not_installed_here'), [
        "'mine.net'", CONFIG_TXT, "cannot be imported: No module named 'not_installed_here'"]),
    (lambda: os.rename('mine.py', 'results/000-run/mine.py'), ["no module 'mine'"]),
], ids=['no config.txt', 'no module', 'another function', 'misspelt', 'needs more', 'moved'])
def test_what_cannot_be_found_is_named(own, damage, texts):
    save_run()
    damage()
    forget()
    with pytest.raises(DataError) as caught:
        misc.load_network_pkl(0)
    assert all(text in str(caught.value) for text in texts), caught.value


# ---------------------------------------------------------------- trust

HOSTILE = [
    'os.system', 'posix.system', 'subprocess.Popen', 'builtins.eval', 'antigravity.fly',
    'numpy.save', 'tensorflow.keras.Model', 'tfutil.call_func_by_name', 'misc.save_pkl',
    'train.main', 'util_scripts.write_report', 'examples.digits.main', '__main__.main',
    'mine.os.system', 'mine.call', 'mine.save_pkl', 'mine.partial', 'mine.NUMBER',
    'mine.subprocess.Popen', 'mine.Data.__subclasshook__', 'mine.net.__call__', 'mine',
    'theirs.net', 'installed.net', '.mine.net', '', 3, 'mine..net'
]


@pytest.fixture
def hostile(own, monkeypatch):
    """Modules in the run's folder and in an installed package, both on the path."""
    for folder, name in (('results/000-run', 'theirs'), ('site-packages', 'installed')):
        (own / folder).mkdir(exist_ok=True)
        (own / folder / f'{name}.py').write_text(MINE + "open('hacked', 'w')\n")
        monkeypatch.syspath_prepend(str(own / folder))
    return own


@pytest.mark.parametrize('name', HOSTILE, ids=repr)
def test_other_names_are_refused(hostile, name):
    with pytest.raises(DataError, match='(?s)config.txt') as caught:
        own_code.import_own('G.func', {'func': name, 'units': 2}, CONFIG_TXT)
    assert repr(name) in str(caught.value) and not os.path.exists('hacked')
    assert not {'antigravity', 'theirs', 'installed'} & set(sys.modules)


def test_a_run_folder_executes_nothing(hostile, monkeypatch):
    state = dict(tfutil.Network('G', 'mine.net').__getstate__(), build_module_name='posix',
                 build_func_name='system', static_kwargs={'command': 'touch hacked'})
    with monkeypatch.context() as patch:
        patch.setattr(tfutil.Network, '__getstate__', lambda self: state)
        misc.save_pkl([object.__new__(tfutil.Network)] * 3, 'results/000-run/network-final.pkl')
    forget()
    misc.write_config('results/000-run', {
        'G': {'func': 'os.system', 'command': 'touch hacked'},
        'dataset': {'class_name': 'subprocess.Popen', 'args': 'touch hacked', 'shell': True}
    })
    with pytest.raises(DataError, match=r'--set "G=\{\'func\': \'os.system\''):
        misc.load_network_pkl(0)
    with pytest.raises(DataError, match=r'--set "dataset=\{\'class_name\': \'subprocess.Popen'):
        misc.load_dataset_for_previous_run(0)
    assert not os.path.exists('hacked')


def test_the_user_may_name_what_a_file_may_not(hostile, monkeypatch):
    (hostile / 'site-packages/installed.py').write_text(MINE)
    save_run('installed.net')
    sys.modules.pop('installed')
    with pytest.raises(DataError, match='installed packages'):
        misc.load_network_pkl(0)
    config = types.SimpleNamespace(G={'func': 'installed.net'}, D=None,
                                   dataset={'class_name': 'installed.Data'})
    assert misc.load_snapshot('results/000-run/network-final.pkl', config)[0].name == 'G'
    misc.write_config('results/000-run', {'dataset': {'class_name': 'installed.Data'}})
    with pytest.raises(DataError, match='in a program, pass class_name'):
        misc.load_dataset_for_previous_run(0)
    for options in ({'config': config}, {'class_name': 'installed.Data'}):
        assert misc.load_dataset_for_previous_run(0, **options)[0].shape == [3, 8, 8]


def test_the_names_of_the_program_are_known():
    """PROGRAM lists all top-level modules, so a new one is not mistaken for a user's module."""
    assert own_code.PROGRAM == {*(room.partition('.')[0] for room in ROOMS), 'config', 'configs',
                                'tests'}


# ---------------------------------------------------------------- data sets

def test_a_data_set_of_ones_own(own):
    options = {'class_name': 'mine.Data', 'resolution': 16, 'max_images': 7,
               'mirror_augment': True}
    misc.write_config('results/000-run', {'dataset': options, 'train': {'mirror_augment': False}})
    training_set, mirror_augment = misc.load_dataset_for_previous_run(0)
    assert training_set.shape == [3, 16, 16] and not mirror_augment
    assert training_set.given == (7, True)  # Options are not translated from older versions.


def test_a_data_set_whose_module_is_elsewhere(own):
    misc.write_config('results/000-run', {'dataset': {'class_name': 'nowhere_to_find.Data'}})
    with pytest.raises(DataError, match="dataset.class_name in .* no module 'nowhere_to_find'"):
        misc.load_dataset_for_previous_run(0)
