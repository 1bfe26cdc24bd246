"""nearest: the whole script, on handmade runs."""
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

import misc
import tfutil
from metrics.neighbours import mirrored
from pgan.errors import ConfigError, DataError
from pgan.scripts import command_line, generator
from pgan.scripts.nearest import nearest
from tests.support.data_inputs import write_dataset
from tests.support.script_inputs import settings_of_run

NUM = 30
OWN = '''
import keras
import dataset
import numpy as np

def own_G(num_channels, resolution, label_size):
    latents = keras.Input([4], name='latents_in')
    images = keras.layers.Dense(num_channels * resolution**2)(latents)
    return keras.Model(latents, keras.layers.Reshape([num_channels, resolution,
                                                      resolution])(images))

def own_D(num_channels, resolution, label_size):
    images = keras.Input([num_channels, resolution, resolution], name='images_in')
    x = keras.layers.Dense(6)(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Dense(1)(x))

def bare_D(num_channels, resolution, label_size):
    images = keras.Input([num_channels, resolution, resolution], name='images_in')
    return keras.Model(images, keras.layers.Flatten()(images)[:, :1])

class Endless(dataset.SyntheticDataset):
    def __init__(self):
        super().__init__(16, 3)

    def _generate_images(self, minibatch_size, lod, shape):
        return np.random.RandomState(self.position).randint(
            0, 256, [minibatch_size, *shape], dtype=np.uint8)
'''


@pytest.fixture
def run(in_tmp, monkeypatch):
    """Function that creates run 4, on noise, and returns the images."""
    def make(channels=3, labels=0, mirror=False, lod=0.0, G=None, D=None, data=None):
        images = np.random.RandomState(0).randint(0, 256, [NUM, channels, 16, 16], dtype=np.uint8)
        onehot = np.eye(max(labels, 1), dtype=np.float32)[np.arange(NUM) % max(labels, 1)]
        write_dataset('datasets/noise', images, onehot if labels else None)
        options = dict(num_channels=channels, resolution=16, label_size=labels)
        small = dict(fmap_base=64, fmap_max=8)
        Gs, D_net = (tfutil.Network(name, func or stock, **options, **({} if func else small))
                     for name, func, stock in (('Gs', G, 'networks.G_paper'),
                                               ('D', D, 'networks.D_paper')))
        for net in (Gs, D_net):
            if lod:
                net.set_var('lod', lod)
        os.makedirs('results/004-run')
        for name in ('network-snapshot-000010', 'network-final', 'network-best'):
            misc.save_pkl((Gs, D_net, Gs), f'results/004-run/{name}.pkl')
        misc.save_pkl(Gs, 'results/004-run/alone.pkl')
        misc.write_config('results/004-run', {
            'G': {'func': G or 'networks.G_paper'}, 'D': {'func': D or 'networks.D_paper'},
            'dataset': data or {'tfrecord_dir': 'noise', 'max_label_size': 'full' if labels else 0},
            'train': {'mirror_augment': mirror}})
        return images
    return make


def values_of(folder):
    assert sorted(os.listdir(folder)) == ['_done.txt', 'config.txt', 'environment.json',
                                          'nearest.json', 'nearest.png']
    with Image.open(f'{folder}/nearest.png') as picture:
        assert max(picture.size) <= 4000
    with open(f'{folder}/nearest.json') as file:
        return json.load(file)


def script(run_id=4, **options):
    return values_of(nearest(run_id, config=settings_of_run(), **options))


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('mirror', [False, True])
def test_copies_are_found_and_told(run, monkeypatch, capsys, channels, mirror):
    """A generator that returns training images, every second one mirrored."""
    images = run(channels, mirror=mirror)
    fakes = images[:4].copy()
    fakes[1::2] = mirrored(fakes[1::2])
    monkeypatch.setattr(generator, 'draw', lambda *args: fakes)
    values = script(num=4, neighbours=2, minibatch_size=7)
    for space in ('pixels', 'features'):
        nearest_ones = [fake['neighbours'][0] for fake in values[space]['fakes']]
        assert all(len(fake['neighbours']) == 2 for fake in values[space]['fakes'])
        for number, found in enumerate(nearest_ones):
            is_copy = number % 2 == 0 or mirror
            assert (found['distance'] == 0) == is_copy
            assert not is_copy or found['image'] == number
            assert not is_copy or found['mirrored'] == bool(number % 2)
        assert values[space]['typical']['images'] == NUM
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) < 80 for line in lines if '/' not in line)
    out = ' '.join(lines)
    assert out.count(f'{4 if mirror else 2} of 4 fakes are copies of training images') == 2
    assert f'Compared 4 fakes with {NUM} training images' in out
    assert ('mirrored' in out) == mirror and all(line in out for line in values['text'])


@pytest.mark.parametrize('options, titles', [
    (dict(num=2), ['0, class 0', '1, class 0']),
    (dict(labels=1, num=2), ['0, class 1', '1, class 1']),
    (dict(labels='rows', num=4), ['0, class 0', '1, class 1', '2, class 2', '3, class 0']),
    (dict(seeds='5,7-8', labels=2), ['seed 5, class 2', 'seed 7, class 2', 'seed 8, class 2'])])
def test_seeds_and_labels(run, options, titles):
    run(labels=3)
    found = [fake['fake'] for fake in script(**options)['pixels']['fakes']]
    assert len(found) == len(titles)
    assert found == titles or options == dict(num=2)


def test_seeds_are_those_of_generate_fake_images(run):
    run()
    from pgan.scripts.generate_fake_images import generate_fake_images
    folder = generate_fake_images(4, seeds='5', config=settings_of_run())
    seen = []
    original = generator.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, 'draw', lambda *args: seen.append(original(*args)) or seen[0])
        script(seeds='5')
    with Image.open(f'{folder}/seed0005.png') as picture:
        assert (np.asarray(picture).transpose(2, 0, 1) == seen[0][0]).all()


@pytest.mark.parametrize('snapshot, name', [(None, 'final'), ('best', 'best'),
                                            (10, 'snapshot-000010')])
def test_snapshots(run, snapshot, name):
    run()
    assert script(snapshot=snapshot, num=1)['network'].endswith(f'network-{name}.pkl')
    path = f'results/004-run/network-{name}.pkl'
    assert script(path, num=1)['network'] == path


def test_a_network_that_is_still_small(run):
    """It is compared at its current resolution."""
    run(lod=1.5)
    values = script(num=2)
    assert values['pixels']['what'] == 'pixels (8x8)' and 'features' in values


def test_some_reals(run):
    run()
    values = script(max_reals=12, num=2)
    assert (values['training_images'], values['of']) == (12, NUM)
    assert values['pixels']['typical']['images'] == 12


@pytest.fixture
def own(in_tmp, monkeypatch):
    (in_tmp / 'own_nearest.py').write_text(OWN)
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.setattr(tfutil.network, '_known_functions', {})
    yield tfutil.network._known_functions
    del sys.modules['own_nearest']


def test_networks_of_ones_own(run, own):
    run(G='own_nearest.own_G', D='own_nearest.own_D')
    own.clear()
    assert len(script(num=3)['features']['fakes']) == 3


def test_a_discriminator_without_features(run, own, capsys):
    run(G='own_nearest.own_G', D='own_nearest.bare_D')
    own.clear()
    assert 'features' not in script(num=3)
    assert 'Note: comparing images by pixels only' in capsys.readouterr().out


def test_a_generator_alone(run, capsys):
    run()
    assert 'features' not in script('results/004-run/alone.pkl', num=3)
    assert 'holds no discriminator' in capsys.readouterr().out


def test_a_data_set_without_an_end(run, own):
    run(data={'class_name': 'own_nearest.Endless'})
    with pytest.raises(ConfigError, match='train.max_reals: expected a number.*Received: None'):
        script()
    assert os.listdir('results') == ['004-run']
    assert script(max_reals=20, num=2)['training_images'] == 20


@pytest.mark.parametrize('options, error, text', [
    (dict(num=0), ConfigError, 'train.num: expected'),
    (dict(neighbours=0), ConfigError, 'train.neighbours: expected'),
    (dict(max_reals=0), ConfigError, 'train.max_reals: expected'),
    (dict(snapshot='first'), ConfigError, "train.snapshot: expected None, 'best' or an integer"),
    (dict(snapshot=3), DataError, 'network-snapshot-000010.pkl'),
    (dict(seeds='1', num=3), ConfigError, 'train.num: cannot be combined with train.seeds'),
    (dict(labels=0), ConfigError, 'was trained without labels'),
    (dict(image_shrink=32), ConfigError, 'train.image_shrink: expected an integer from 1 to 16'),
    (dict(run_id=99), DataError, 'Cannot locate result subdir for run 99')])
def test_errors(run, options, error, text):
    run()
    with pytest.raises(error, match=text):
        script(**options)
    assert os.listdir('results') == ['004-run']


def test_data_sets_that_are_gone_or_others(run):
    run()
    os.rename('datasets/noise', 'datasets/elsewhere')
    with pytest.raises(DataError, match='noise'):
        script()
    write_dataset('datasets/noise', np.zeros([4, 3, 32, 32], np.uint8))
    with pytest.raises(ConfigError, match=r'Received: a data set of \[3, 32, 32\]'):
        script()
    assert os.listdir('results') == ['004-run']


def test_on_the_command_line(run, capsys):
    run()
    assert command_line.main(['nearest', '--run_id', '4', '--seeds', '1-2', '--neighbours', '1',
                              '--snapshot', 'best', '--set', 'result_dir=results', '--set',
                              'data_dir=datasets']) == 0
    misc.restore_output()
    assert 'Compared 2 fakes' in capsys.readouterr().out
    assert os.path.exists('results/005-nearest-4-best-seeds-1-2/nearest.png')
