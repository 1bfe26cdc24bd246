"""reporting/nearest*.py: planted copies are found, and the text agrees with the figures."""
import json
import os
import types

import keras
import numpy as np
import pytest
from PIL import Image

import dataset
import tfutil
from metrics.neighbours import Reals, mirrored
from pgan.errors import ConfigError
from pgan.reporting import nearest, nearest_of_run
from pgan.reporting.inner_features import feature_function
from pgan.reporting.nearest import (
    Found,
    feature_space,
    find_nearest,
    pixel_space,
    verdict,
    verdict_of_one,
)
from pgan.reporting.nearest_of_run import save_nearest
from pgan.reporting.nearest_picture import save_picture
from pgan.reporting.report import Report
from tests.support.data_inputs import write_dataset

RND = np.random.RandomState(3)
NUM = 60


def network(name='D', channels=3, resolution=16, **options):
    func = {'D': 'networks.D_paper', 'G': 'networks.G_paper'}.get(name, name)
    return tfutil.Network(name[0], func, num_channels=channels, resolution=resolution,
                          **{'fmap_base': 64, 'fmap_max': 8, **options})


@pytest.fixture(scope='module', params=[1, 3], ids=['gray', 'colour'])
def data(request, tmp_path_factory):
    """Data set of noise, and its images."""
    images = RND.randint(0, 256, [NUM, request.param, 16, 16], dtype=np.uint8)
    folder = write_dataset(tmp_path_factory.mktemp('data') / 'noise', images)
    return dataset.TFRecordDataset(str(folder)), images


def spaces_of(channels, size=7):
    return [pixel_space(network('G', channels)), feature_space(network('D', channels), size)]


def planted(images):
    """A copy, a mirrored copy, and a new image."""
    return np.stack([images[11], mirrored(images[42]),
                     RND.randint(0, 256, images.shape[1:], dtype=np.uint8)])


@pytest.mark.parametrize('mirror', [False, True])
@pytest.mark.parametrize('size', [7, 64])
def test_planted_copies_are_found(data, mirror, size):
    training_set, images = data
    spaces = spaces_of(images.shape[1], size)
    found, seen = find_nearest(planted(images), Reals(training_set), spaces, count=3,
                               minibatch_size=size, mirror=mirror, silent=True)
    assert seen == NUM and [each.space for each in found] == ['pixels', 'features']
    for each in found:
        assert each.distances[0, 0] == 0 and each.numbers[0, 0] == 11
        assert not each.is_mirrored[0, 0]
        assert (each.distances[1, 0] == 0) == mirror and each.distances[2, 0] > 0
        if mirror:
            assert each.numbers[1, 0] == 42 and each.is_mirrored[1, 0]
        assert len(each.typical) == NUM and (each.typical > 0).all()  # not itself
        assert set(each.images) == set(each.numbers.ravel().tolist())
        assert all((image == images[number]).all() for number, image in each.images.items())
        copies = 1 + mirror
        assert f'{copies} of 3 fakes are copies' in verdict(each)


def test_distances_are_those_of_the_definition(data):
    """Root mean squared differences of all pairs, computed at once."""
    training_set, images = data
    fakes = planted(images)
    spaces = spaces_of(images.shape[1], 64)
    found, _ = find_nearest(fakes, Reals(training_set), spaces, count=4, minibatch_size=9,
                            silent=True)
    for each, space in zip(found, spaces):
        a, b = space.describe(fakes), np.concatenate([space.describe(images[:40]),
                                                      space.describe(images[40:])])
        a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
        distances = np.sqrt(np.mean((a[:, np.newaxis] - b) ** 2, axis=2))
        among = np.sqrt(np.mean((b[:, np.newaxis] - b) ** 2, axis=2))
        np.fill_diagonal(among, np.inf)
        np.testing.assert_allclose(each.distances, np.sort(distances, axis=1)[:, :4], atol=1e-5)
        assert (each.numbers[:, 0] == distances.argmin(axis=1)).all()
        np.testing.assert_allclose(np.sort(each.typical), np.sort(among.min(axis=1)), rtol=1e-5)


def test_large_images_and_grown_ones_are_compared_at_the_resolution_that_counts():
    G = network('G', resolution=256, fmap_base=256)
    for lod, shown in ((0, 128), (1, 128), (2, 64), (2.5, 64), (6, 4)):
        G.set_var('lod', lod)
        space = pixel_space(G)
        images = np.full([2, 3, 256, 256], 10, np.uint8)
        images[1] = 13
        vectors = space.describe(images).reshape(2, -1)
        assert vectors.shape == (2, 3 * shown**2) and f'{shown}x{shown}' in space.words
        distance = np.linalg.norm(vectors[0] - vectors[1]) / space.unit(vectors[0].size)
        assert distance == pytest.approx(3)


def test_no_more_images_are_kept_than_are_shown(data):
    training_set, images = data
    search = nearest._Search(pixel_space(network('G', images.shape[1])), 2, mirror=True)
    search.add_fakes(planted(images))
    for numbers, some in Reals(training_set).minibatches(5):
        search.feed(numbers, some)
        assert len(search._images) <= 3 * 2
        assert all(image.base is None for image in search._images.values())


def test_time_is_limited(data):
    training_set, images = data
    _, seen = find_nearest(images[:2], Reals(training_set), spaces_of(images.shape[1])[:1], count=1,
                           minibatch_size=5, seconds=-1.0, silent=True)
    assert seen == 5


# ---------------------------------------------------------------- features of different D

def own_functional(num_channels=3, resolution=16, label_size=0, **_):
    x = images = keras.Input([num_channels, resolution, resolution])
    x = keras.layers.Dense(11, activation='relu')(keras.layers.Flatten()(x))
    return keras.Model(images, keras.layers.Dense(1)(x))


class OwnModel(keras.Model):
    """Nested layers, one of which is not evaluated in order of creation."""

    def __init__(self, num_channels, resolution):
        super().__init__()
        self.last = keras.layers.Dense(1)
        self.first = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(5)])
        self.inputs = [keras.KerasTensor([None, num_channels, resolution, resolution], name='x')]
        self.outputs = [keras.KerasTensor([None, 1], name='scores')]
        self(np.zeros([4, num_channels, resolution, resolution], np.float32))

    def call(self, images):
        return self.last(self.first(images))


def own_subclass(num_channels=3, resolution=16, label_size=0, **_):
    return OwnModel(num_channels, resolution)


class Shapeless(OwnModel):
    def call(self, images):
        return keras.ops.sum(images, axis=[1, 2, 3])[:, None]


def own_without_layers(num_channels=3, resolution=16, label_size=0, **_):
    return Shapeless(num_channels, resolution)


@pytest.mark.parametrize('func, size', [
    ('networks.D_paper', 8 * 16), ('networks.D_mnist_mode_recovery', None),
    (f'{__name__}.own_functional', 11), (f'{__name__}.own_subclass', 5)])
def test_features_are_of_one_image_each(func, size):
    """Features do not depend on the rest of the minibatch or on its size."""
    D = network(func)
    images = RND.randint(0, 256, [6, 3, 16, 16], dtype=np.uint8)
    together = feature_function(D, 8)(images)
    assert together.dtype == np.float32 and together.shape[1] == (size or together.shape[1])
    alone = [feature_function(D, 4)(images[i:i + 1])[0] for i in range(6)]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) == 6
    before = D.run(images.astype(np.float32)[:4])  # The model is unchanged.
    assert np.isfinite(before[0] if isinstance(before, tuple) else before).all()


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('lod', [0, 0.5, 2])
def test_features_at_every_lod_and_precision(dtype, lod):
    D = network(dtype=dtype)
    D.set_var('lod', lod)
    features = feature_function(D, 4)(RND.randint(0, 256, [3, 3, 16, 16], dtype=np.uint8))
    assert features.shape == (3, 8 * 16) and features.dtype == np.float32
    assert np.isfinite(features).all()


def test_a_model_without_features_is_named():
    with pytest.raises(ConfigError, match='no features for comparing.*features\\(images, stage\\)'):
        feature_function(network(f'{__name__}.own_without_layers'), 4)(
            np.zeros([4, 3, 16, 16], np.uint8))


# ---------------------------------------------------------------- text

def found_of(nearest_ones, typical):
    shape = [len(nearest_ones), 1]
    return Found('pixels', 'pixels (16x16)', np.reshape(nearest_ones, shape).astype(float),
                 np.zeros(shape, int), np.zeros(shape, bool), np.asarray(typical, float), {})


@pytest.mark.parametrize('nearest_ones, text', [
    ([10, 11, 12, 13], '0 of 4 fakes are nearer to a training image than 95 % of training images'),
    ([10, 11, 12, 13], 'no sign of memorising'), ([1, 11, 12, 13], 'no sign of memorising'),
    ([1, 1, 1, 13], '3 of 4 fakes are nearer'), ([1, 1, 1, 13], 'may have memorised'),
    ([0, 1, 1, 13], '1 of 4 fakes are copies of training images'),
    ([10, 11, 12, 13], 'fakes are 11.5 from their nearest training image (median of 4, from 10 to'),
    ([10, 11, 12, 13], 'training images are 10.5 from their nearest other one (median of 20; 5 %')])
def test_verdict(nearest_ones, text):
    assert text in verdict(found_of(nearest_ones, np.arange(1, 21)))


@pytest.mark.parametrize('distance, typical, text', [
    (0.0, range(1, 21), 'A copy'), (1.0, range(1, 21), 'Nearer to a training image than 95 %'),
    (10.5, range(1, 21), '50 % of training images are nearer to another one: no sign'),
    (99.0, range(1, 21), '100 % of training images'), (3.0, [], 'no other training image')])
def test_verdict_of_one(distance, typical, text):
    assert text in verdict_of_one(found_of([distance], np.array(typical, float)))


@pytest.mark.parametrize('ones, others, disagree', [
    ([10, 11, 12, 13], [9, 10, 12, 13], False), ([1, 1, 1, 13], [0, 1, 1, 13], False),
    ([10, 11, 12, 13], [1, 1, 1, 13], True), ([0, 11, 12, 13], [10, 11, 12, 13], True)])
def test_contradicting_comparisons_are_said(in_tmp, ones, others, disagree):
    both = [found_of(each, np.arange(1, 21)) for each in (ones, others)]
    lines = nearest.save_values('values.json', both, ['a', 'b', 'c', 'd'])
    assert ('judge by the pictures' in lines[-1]) == disagree and len(lines) == 2 + disagree
    with open('values.json') as file:
        assert json.load(file)['text'] == lines


def test_fakes_that_are_like_training_images_are_seldom_suspected():
    typical = RND.gamma(4, size=200)
    suspected = [verdict(found_of(RND.gamma(4, size=8), typical)).count('may have memorised')
                 for _ in range(300)]
    assert np.mean(suspected) < 0.03


def test_one_training_image_is_no_comparison():
    found = found_of([3.0], [])
    assert 'no other training image' in verdict(found) and found.ratios.tolist() == [[3.0]]


def test_equal_training_images_do_not_divide_by_zero():
    found = found_of([3.0], [0.0, 0.0, 0.0])
    assert np.isfinite(found.ratios).all() and 'no sign of memorising' in verdict(found)


# ---------------------------------------------------------------- picture

@pytest.mark.parametrize('shrink, zoom', [(1, 1), (1, 6), (4, 1)])
def test_picture(data, shrink, zoom, in_tmp):
    """Fakes and neighbours are in the right places, mirrored ones mirrored."""
    training_set, images = data
    fakes = planted(images)
    found, _ = find_nearest(fakes, Reals(training_set), spaces_of(images.shape[1]), count=2,
                            minibatch_size=7, mirror=True, silent=True)
    save_picture('p.png', fakes, found, ['seed 1', 'seed 2', 'seed 3, cat'], shrink, zoom)
    picture = np.asarray(Image.open('p.png').convert('RGB')).astype(int)
    side = 16 // shrink * zoom
    expected = [fake.reshape(-1, 16 // shrink, shrink, 16 // shrink, shrink).mean(axis=(2, 4))
                for fake in fakes[:2]]
    for image in expected:
        image = np.broadcast_to(np.rint(image), [3, *image.shape[1:]]).transpose(1, 2, 0)
        image = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
        places = np.lib.stride_tricks.sliding_window_view(picture, image.shape)[:, :, 0]
        corners = (picture[:places.shape[0], :places.shape[1]] == image[0, 0]).all(axis=2)
        equal = [(x, y) for y, x in zip(*np.nonzero(corners)) if (places[y, x] == image).all()]
        row = [y for _, y in equal].count(min(equal)[1])
        assert row == 3  # the fake, and its copy, by pixels and by features
    assert picture.shape[0] > 3 * side and picture.shape[1] > 5 * 96


# ---------------------------------------------------------------- the end of a run

def run_of(data, resolution=16):
    training_set, images = data
    nets = [network('G', images.shape[1]), network('D', images.shape[1])]
    Gs = nets[0].clone('Gs')
    return (*nets, Gs), RND.randn(10, *Gs.input_shape[1:]), np.zeros([10, 0], np.float32)


def test_the_section_of_a_run(data, in_tmp, monkeypatch):
    monkeypatch.setattr(nearest_of_run, '_is_fast', lambda *_: True)  # on a slow machine, too
    networks, latents, labels = run_of(data)
    training_set, images = data
    training_set.position = 5
    state = np.random.get_state()[1].copy()
    assert save_nearest('.', networks, training_set, latents, labels, 8, mirror=True, kimg=12.5)
    assert (np.random.get_state()[1] == state).all() and training_set.position == 5
    with open('nearest.json') as file:
        values = json.load(file)
    assert values['training_images'] == NUM == values['of'] and values['kimg'] == 12.5
    assert len(values['pixels']['fakes']) == len(values['features']['fakes']) == 8
    Report('.').write()
    with open('report.html') as file:
        page = file.read()
    assert page.count('<h2>Nearest training images</h2>') == 1 and 'kimg 12.5' in page
    assert 'mirrored ones, too' in page and all(line.split(':')[0] in page
                                                for line in values['text'])
    os.unlink('nearest.png')
    Report('.').write()
    with open('report.html') as file:
        assert 'Nearest' not in file.read()


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"training_images": "x"}'])
def test_damaged_values_leave_the_section_out(text, in_tmp):
    Image.new('RGB', (4, 4)).save('nearest.png')
    with open('nearest.json', 'w') as file:
        file.write(text)
    Report('.').write()
    with open('report.html') as file:
        assert 'Nearest' not in file.read()


def test_a_slow_D_is_left_out(data, in_tmp, monkeypatch):
    networks, latents, labels = run_of(data)
    monkeypatch.setattr(nearest_of_run, 'OVERHEAD', -1000)
    assert save_nearest('.', networks, data[0], latents, labels, 2, mirror=False, kimg=1)
    with open('nearest.json') as file:
        values = json.load(file)
    assert 'features' not in values and len(values['text']) == 1


def test_no_section_without_fakes_or_an_end(data, in_tmp, capsys):
    networks, latents, labels = run_of(data)
    endless = dataset.SyntheticDataset(resolution=16, num_channels=data[1].shape[1])
    assert not save_nearest('.', networks, data[0], latents, labels, 0, mirror=False, kimg=1)
    assert not save_nearest('.', networks, endless, latents, labels, 8, mirror=False, kimg=1)
    assert os.listdir('.') == [] and capsys.readouterr().err == ''


def test_a_data_set_that_is_gone_is_a_warning(data, in_tmp, capsys):
    networks, latents, labels = run_of(data)

    def gone(*_):
        raise OSError('the disk is gone')
    training_set = types.SimpleNamespace(num_images=NUM, shape=list(data[1].shape[1:]),
                                         read_images=gone, position=0, dynamic_range=[0, 255])
    assert not save_nearest('.', networks, training_set, latents, labels, 8, mirror=False, kimg=1)
    assert 'the disk is gone' in capsys.readouterr().err and os.listdir('.') == []
