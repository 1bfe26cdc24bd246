"""metrics/mnist_modes.py: counting modes, and the classifier, which is trained once and cached."""
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

import metrics
from metrics import mnist_modes
from metrics.mnist_modes import count_modes
from pgan.data.writer import TFRecordExporter
from pgan.errors import ConfigError, DataError
from tests.support.metric_inputs import run_pass


def draw(digit, random):
    """A printed digit of 32x32, near the centre, on noise."""
    picture = Image.new('L', (10, 12))
    ImageDraw.Draw(picture).text((2, 0), str(digit), fill=255)
    picture = np.asarray(picture.resize((20, 24)))
    image = random.randint(0, 60, size=(32, 32))
    x, y = random.randint(3, 9), random.randint(2, 6)
    image[y:y + 24, x:x + 20] = np.maximum(image[y:y + 24, x:x + 20], picture)
    return image[None].astype(np.uint8)


def write_digits(folder, count=300, labels=True):
    random = np.random.RandomState(0)
    with TFRecordExporter(folder, count, print_progress=False) as exporter:
        for i in range(count):
            exporter.add_image(draw(i % 10, random))
        if labels:
            exporter.add_labels(np.eye(10, dtype=np.float32)[np.arange(count) % 10])


def read_brightness(images):
    """Stand-in for the classifier: all pixels of an image are 20 times its digit."""
    assert images.shape[1:] == (1, 32, 32) and images.dtype == np.uint8
    return images[:, 0, 0, 0] // 20


def images_of(modes):
    digits = np.stack(
        [np.asarray(modes) // 100,
         np.asarray(modes) // 10 % 10,
         np.asarray(modes) % 10], axis=1)
    return np.broadcast_to((digits * 20).astype(np.uint8)[:, :, None, None],
                           [len(modes), 3, 32, 32])


def made(num_images, **options):
    return metrics.make('modes', num_images, [3, 32, 32], np.uint8, 64, classifier=read_brightness,
                        **options)


# ------------------------------------------------------------ counting

def test_counts_of_modes():
    assert count_modes(np.ones(1000)) == (1000, pytest.approx(0, abs=1e-12))
    assert count_modes(np.eye(1000)[3] * 7) == (1, pytest.approx(np.log(1000)))
    assert count_modes([3, 1, 0,
                        0]) == (2, pytest.approx(0.75 * np.log(0.75 * 4) + 0.25 * np.log(0.25 * 4)))


def test_a_pass():
    """The colour of each digit matters, the order of images does not. A partial evaluation at the
    end is left out.
    """
    modes = [0, 1, 10, 100, 100, 999, 999, 999]
    api = made(len(modes))
    p = np.array([1, 1, 1, 2, 3]) / 8
    expected = [5, pytest.approx(np.sum(p * np.log(p * 1000)))]
    for mode, images in (('warmup', images_of(modes)), ('reals', images_of(modes)),
                         ('fakes', images_of(modes[::-1]))):
        assert run_pass(api, mode, images, 3) == expected
    assert (api.get_metric_names(), api.get_metric_formatting()) == (['Modes', 'ModesKL'],
                                                                     ['%-10.1f', '%-10.4f'])
    api = made(9, evaluation_images=4)
    assert run_pass(api, 'fakes', images_of([7, 7, 7, 7, 1, 2, 3, 4, 5]),
                    3) == [2.5, pytest.approx(np.log(1000) - np.log(4) / 2)]


def test_impossible_uses_are_refused():
    with pytest.raises(
            ConfigError,
            match=r'images of 3x32x32. Received: image_shape=\[3, 64, 64\]. .* mnistrgb'):
        metrics.make('modes', 10, [3, 64, 64], np.uint8, 4, classifier=read_brightness)
    api = made(4)
    api.begin('fakes')
    with pytest.raises(ConfigError, match='at least 1 image. Received: 0'):
        api.end('fakes')
    with pytest.raises(ConfigError, match='uint8'):
        api.feed('fakes', np.zeros([4, 3, 32, 32]))


# ------------------------------------------------------------ the classifier

def test_the_classifier_has_the_papers_layers():
    shapes = [tuple(w.shape) for w in mnist_modes.make_model().weights if len(w.shape) > 1]
    assert shapes == [(3, 3, 1, 32), (3, 3, 32, 32), (3, 3, 32, 55), (3, 3, 55, 55), (3, 3, 55, 96),
                      (3, 3, 96, 96), (2 * 2 * 96, 10)]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_what_it_learns_does_not_depend_on_the_programs_seeds(in_tmp):
    """Equal up to rounding: 1e-4, after 15 updates of about 2e-3 each."""
    write_digits('datasets/digits')
    weights = []
    for number in (1, 2):
        tf.random.set_seed(number)
        np.random.seed(number)
        weights.append(mnist_modes.train_classifier('datasets/digits', views=1).weights)
    for first, second in zip(*weights, strict=True):
        assert np.abs(first - second).max() <= 1e-4


@pytest.mark.slow
def test_it_learns_digits_and_is_kept(in_tmp, capsys, monkeypatch):
    """The classifier recognizes most held-out digits (chance: a tenth) and is cached; a damaged
    file is replaced; the global random state is unchanged.
    """
    write_digits('datasets/digits')
    np.random.seed(5)
    first = mnist_modes.find_classifier('datasets', 'results', views=5000)
    assert np.random.randint(1000) == np.random.RandomState(5).randint(1000)
    assert first.accuracy >= 0.7
    assert f'{first.accuracy:.2%} accuracy on the held-out digits' in capsys.readouterr().out
    path, = [
        os.path.join('results/_metrics-cache', name)
        for name in os.listdir('results/_metrics-cache')
    ]
    random = np.random.RandomState(9)
    images = np.stack([draw(digit, random) for digit in range(10)] * 2)
    assert np.mean(first(images) == np.tile(range(10), 2)) >= 0.6

    trained = []
    monkeypatch.setattr(mnist_modes, 'train_classifier',
                        lambda folder, views: trained.append(folder) or first)
    again = mnist_modes.find_classifier('datasets', 'results')
    assert not trained and again.accuracy == first.accuracy and (again(images)
                                                                 == first(images)).all()
    with open(path, 'r+b') as file:
        file.write(b'damage')
    assert mnist_modes.find_classifier('datasets',
                                       'results') is first and trained == ['datasets/digits']
    os.utime('datasets/digits/digits-rxx.labels', (1, 1))  # a different data set
    mnist_modes.find_classifier('datasets', 'results')
    assert len(trained) == 2 and len(os.listdir('results/_metrics-cache')) == 2
    os.makedirs('datasets/mnist')
    mnist_modes.find_classifier('datasets', 'results')
    assert trained[2] == 'datasets/mnist'  # the full data set has priority


def test_digits_that_cannot_be_had_are_told(in_tmp):
    with pytest.raises(DataError, match='datasets/mnist or datasets/digits. Create one with '
                                        '.*create_mnist.*create_digits'):
        metrics.make('modes', 10, [3, 32, 32], np.uint8, 4)
    write_digits('datasets/digits', 20, labels=False)
    with pytest.raises(DataError, match='labels of 10 classes. Received: 1x32x32 with 0'):
        metrics.make('modes', 10, [3, 32, 32], np.uint8, 4)


# ------------------------------------------------------------ in use

def test_a_finished_run_and_one_that_trains(in_tmp, monkeypatch):
    """evaluate_metrics and train.metrics find data sets and results in the configured folders."""
    import misc
    import tfutil
    from pgan.reporting.snapshot_metrics import SnapshotMetrics
    from pgan.scripts.evaluate_metrics import evaluate_metrics
    from tests.support.script_inputs import settings_of_run
    asked = []
    monkeypatch.setattr(mnist_modes, 'find_classifier',
                        lambda *places: asked.append(places) or read_brightness)
    with TFRecordExporter('d/rgb', 8, print_progress=False) as exporter:
        for image in images_of([0, 1, 2, 3, 4, 5, 6, 6]):
            exporter.add_image(image)
    os.makedirs('r/000-run')
    misc.write_config('r/000-run', {'dataset': {'tfrecord_dir': 'rgb'}, 'train': {}})
    Gs = tfutil.Network('Gs', 'networks.G_mnist_mode_recovery')
    misc.save_pkl((Gs, Gs, Gs), 'r/000-run/network-snapshot-000001.pkl')
    config = settings_of_run(result_dir='r', data_dir='d', dataset={'tfrecord_dir': 'rgb'},
                             random_seed=1)
    evaluate_metrics(0, 'metric-modes.txt', ['modes'], 8, config=config, real_passes=1)
    values = SnapshotMetrics(['modes'], 8, config, False)(Gs)
    assert asked == [('d', 'r')] * 2 and values['Modes'] >= 1
    with open('r/000-run/metric-modes.jsonl') as file:
        assert '"Modes": 7.0' in file.readline()
