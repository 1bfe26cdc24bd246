"""project_image: the image distance, recovery of known latents, files, mistakes."""
import os

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import misc
import tfutil
from pgan.errors import ConfigError, DataError
from pgan.scripts import project_image as projection
from tests.support.data_inputs import write_dataset
from tests.support.script_inputs import settings_of_run
from util_scripts import project_image


def network_of(label_size=0, resolution=16, num_channels=1, seed=1):
    Gs = tfutil.Network('Gs', 'networks.G_paper', num_channels=num_channels, resolution=resolution,
                        label_size=label_size, fmap_base=64, fmap_max=16)
    rs = np.random.RandomState(seed)
    for name, var in Gs.trainables.items():
        var.assign(rs.randn(*var.shape) * (0.3 if name.endswith('bias') else 1))
    return Gs


@pytest.fixture
def run_of(in_tmp):
    """Function run_of(Gs) that makes it the final network of results/000-run."""
    def save(Gs):
        os.makedirs('results/000-run')
        misc.save_pkl((Gs, Gs, Gs), 'results/000-run/network-final.pkl')
    return save


# ---------------------------------------------------------------- distance

@pytest.mark.parametrize('resolution, channels', [(8, 1), (16, 3), (64, 3)])
def test_the_pyramid_is_complete_and_linear(resolution, channels):
    a, b = (tf.constant(
        np.random.RandomState(seed).randn(2, channels, resolution, resolution), tf.float32)
            for seed in (1, 2))
    levels = projection.laplacian_pyramid(a)
    assert [level.shape[2]
            for level in levels] == [size for size in (64, 32, 16, 8) if size <= resolution]
    image = levels[-1]
    for level in levels[-2::-1]:
        image = level + tf.repeat(tf.repeat(image, 2, axis=2), 2, axis=3)
    np.testing.assert_allclose(image, a, atol=1e-5)
    for left, right, both in zip(levels, projection.laplacian_pyramid(b),
                                 projection.laplacian_pyramid(a + 2 * b)):
        np.testing.assert_allclose(left + 2 * right, both, atol=1e-5)


def test_distances_of_small_images_are_those_of_the_formula():
    rs = np.random.RandomState(3)
    images, target = rs.rand(4, 3, 8, 8).astype(np.float32), rs.rand(1, 3, 8, 8).astype(np.float32)
    difference = (images - target).reshape(4, -1)
    expected = (difference ** 2).mean(axis=1) + np.abs(difference).mean(axis=1)  # only one level
    np.testing.assert_allclose(projection.image_distance(images, target), expected, rtol=1e-5)
    assert projection.image_distance(target, target)[0] == 0


# ---------------------------------------------------------------- finding

@pytest.mark.first(1, rest='slow')
@pytest.mark.parametrize('label_size', [0, 3])
def test_an_image_of_the_network_is_found_again(label_size):
    Gs = network_of(label_size)
    label = np.eye(3, dtype=np.float32)[[1]][:, :label_size]
    target = Gs.run(
        projection.on_sphere(
            np.random.RandomState(5).randn(1, *Gs.input_shape[1:]).astype(np.float32)), label)
    latents, labels = projection.best_candidates(Gs, target, 8, None, 1000)
    found = projection.improve(Gs, target, latents, labels, 200, 0.2)
    assert found.latents.shape == (201, Gs.input_shape[1]) and len(found.losses) == 201
    np.testing.assert_allclose((found.latents ** 2).mean(axis=1), 1, rtol=1e-3)
    assert found.losses[-1] < 0.1 * found.losses[0] and found.losses[-1] == min(found.losses[-5:])
    error = np.mean((Gs.run(found.latents[-1:], found.labels) - target) ** 2)
    assert found.psnr == pytest.approx(10 * np.log10(4 / error), abs=0.1) and found.psnr > 25


def test_candidates_are_the_closest_of_many_and_the_same_each_time():
    Gs = network_of(3)
    target = np.zeros([1, 1, 16, 16], np.float32)
    latents, labels = projection.best_candidates(Gs, target, 5, None, 7)
    distances = projection.image_distance(Gs.run(latents, labels), target).numpy()
    assert (np.diff(distances) >= 0).all()
    every = misc.random_latents(projection.NUM_CANDIDATES, Gs, np.random.RandomState(7))
    of_all = projection.image_distance(Gs.run(every, projection.candidate_labels(3, None)),
                                       target).numpy()
    np.testing.assert_allclose(distances, np.sort(of_all)[:5], rtol=1e-4)
    again, _ = projection.best_candidates(Gs, target, 5, None, 7)
    np.testing.assert_array_equal(latents, again)


def test_classes_of_candidates():
    assert projection.candidate_labels(3, None).argmax(axis=1)[:5].tolist() == [0, 1, 2, 0, 1]
    assert (projection.candidate_labels(3, 2) == [0, 0, 1]).all() and projection.candidate_labels(
        0, None).shape == (256, 0)
    for size, label in ((3, 3), (3, -1), (0, 0), (3, 'a'), (3, True)):
        with pytest.raises(ConfigError, match=f'train.label: .* which has {size}'):
            projection.candidate_labels(size, label)


# ---------------------------------------------------------------- the script

def test_a_class_goes_by_its_name(run_of, monkeypatch):
    """Up to the start of the search."""
    run_of(network_of(3))
    write_dataset('datasets/toy', np.zeros([3, 1, 16, 16], np.uint8), np.eye(3))
    with open('datasets/toy/toy-classes.txt', 'w') as file:
        file.write('ant\nbee\ncat\n')
    misc.write_config('results/000-run', {
        'dataset': {'tfrecord_dir': 'toy', 'max_label_size': 'full'}, 'train': {}})
    PIL.Image.new('RGB', (8, 8)).save('me.png', icc_profile=b'no profile')
    asked = []
    monkeypatch.setattr(projection, 'best_candidates', lambda *args: asked.append(args[3]) or 1 / 0)
    for label in ('Bee', 2, None):
        with pytest.raises(ZeroDivisionError):
            project_image(0, 'me.png', label=label, config=settings_of_run())
    assert asked == [1, 2, None]
    with pytest.raises(ConfigError, match="train.label: .*Received: 'ants'. Did you mean 'ant'"):
        project_image(0, 'me.png', label='ants', config=settings_of_run())



@pytest.mark.parametrize('label_size, channels', [(0, 3), (2, 1)])
def test_what_is_written(run_of, capsys, label_size, channels):
    import imageio_ffmpeg
    Gs = network_of(label_size, num_channels=channels)
    run_of(Gs)
    PIL.Image.fromarray(np.random.RandomState(0).randint(0, 256, size=(40, 50, 4),
                                                         dtype=np.uint8)).save('me.png')
    folder = project_image(0, 'me.png', num_steps=5, num_starts=2, duration_sec=0.5, mp4_fps=20,
                           config=settings_of_run())
    files = {
        '_done.txt', 'comparison.png', 'config.txt', 'environment.json', 'projected.npy',
        'trajectory.mp4'
    }
    files |= {'label.npy'} if label_size else set()
    assert set(os.listdir(folder)) == files and os.path.basename(folder).startswith('001-')
    latent = np.load(f'{folder}/projected.npy')
    labels = np.load(f'{folder}/label.npy') if label_size else np.zeros([1, 0])
    assert latent.shape == (
        1, Gs.input_shape[1]) and latent.dtype == np.float32 and labels.shape == (1, label_size)
    picture = np.asarray(PIL.Image.open(f'{folder}/comparison.png').convert('RGB'))
    assert picture.shape == (256, 512, 3)
    drawn = Gs.run(latent, labels, out_mul=127.5, out_add=127.5, out_dtype=np.uint8)[0]
    right = np.broadcast_to(drawn.transpose(1, 2, 0),
                            (16, 16, 3)).repeat(16, axis=0).repeat(16, axis=1)
    assert np.abs(picture[:, 256:].astype(int) - right).max() <= 1
    target = np.rint((projection.load_target('me.png', Gs)[0].transpose(1, 2, 0) + 1) * 127.5)
    assert np.abs(picture[::16, :256:16].astype(int) - target).max() == 0
    frames = imageio_ffmpeg.read_frames(f'{folder}/trajectory.mp4')
    head = next(frames)
    assert head['size'] == (512, 256) and head['fps'] == 20 and len(list(frames)) == 10
    assert 'PSNR' in capsys.readouterr().out


@pytest.mark.parametrize('options, words', [(dict(image='nowhere.png'), "no file 'nowhere.png'"),
                                            (dict(image='bad.png'), 'bad.png'),
                                            (dict(num_steps=0), 'train.num_steps'),
                                            (dict(num_starts=257), 'train.num_starts'),
                                            (dict(learning_rate=0), 'train.learning_rate'),
                                            (dict(duration_sec=-1), 'duration_sec'),
                                            (dict(label=0), 'train.label'),
                                            (dict(run_id=7), 'Cannot locate result subdir'),
                                            (dict(random_seed=-1), 'random_seed')])
def test_mistakes_are_named_before_anything_is_written(options, words, run_of, in_tmp):
    run_of(network_of())
    PIL.Image.new('RGB', (8, 8)).save('me.png')
    (in_tmp / 'bad.png').write_bytes(b'no image')
    with pytest.raises((ConfigError, DataError), match=words):
        project_image(**{**dict(run_id=0, image='me.png'), **options}, config=settings_of_run())
    assert os.listdir('results') == ['000-run']


def test_pictures_of_any_kind_are_targets(in_tmp):
    Gs = network_of(num_channels=3)
    rgb = PIL.Image.fromarray(
        np.random.RandomState(0).randint(0, 256, size=(16, 16, 3), dtype=np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 3  # upside down
    for name, picture, options in (('a.png', rgb, {}), ('b.png', rgb.rotate(180), {'exif': exif}),
                                   ('c.png', rgb.convert('RGBA'), {})):
        picture.save(name, **options)
        target = projection.load_target(name, Gs)
        assert target.shape == (1, 3, 16, 16) and target.dtype == np.float32
        np.testing.assert_array_equal(np.rint((target[0] + 1) * 127.5),
                                      np.asarray(rgb).transpose(2, 0, 1))
