"""Augmentation: its effect on images, images left unchanged, and gradients to G."""
import numpy as np
import pytest
import tensorflow as tf

from pgan.training.augment import Augmentation, _Gates, ada, diffaugment, resampled
from tfutil import randomness
from tfutil.fusion import fusing

METHODS = ['diffaugment', 'ada']


def images_of(count=6, channels=3, size=16, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, [count, channels, size, size]).astype('f')


def augmented(method, images, step=0, probability=1.0, drange=(-1, 1)):
    with randomness.keyed(1000, step):
        return Augmentation(method, drange, lambda: tf.constant(probability))(images)[0].numpy()


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('size', [4, 8, 64])
def test_images_keep_their_shape_and_each_is_changed_in_its_own_way(method, channels, size):
    images = np.tile(images_of(1, channels, size), [32, 1, 1, 1])
    out = augmented(method, images)
    assert out.shape == images.shape and np.isfinite(out).all()
    assert len({image.tobytes() for image in out}) == 32


@pytest.mark.parametrize('method', METHODS)
def test_draws_are_a_function_of_seed_and_step(method):
    images = images_of()
    np.testing.assert_array_equal(augmented(method, images, 5), augmented(method, images, 5))
    assert (augmented(method, images, 5) != augmented(method, images, 6)).any()


@pytest.mark.parametrize('method', METHODS)
def test_minibatches_together_have_draws_of_their_own(method):
    images = tf.constant(images_of())
    with randomness.keyed(1000, 0):
        first, second = Augmentation(method, (-1, 1), lambda: tf.constant(1.0))(images, images)
    assert first.shape == second.shape == images.shape
    assert (first.numpy() != second.numpy()).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('drange', [(0, 1), (0, 255)])
def test_the_networks_range_does_not_matter(method, drange):
    images = images_of()
    low, high = drange
    out = augmented(method, (images + 1) / 2 * (high - low) + low, drange=drange)
    np.testing.assert_allclose((out - low) / (high - low) * 2 - 1, augmented(method, images),
                               atol=1e-4)


def test_with_probability_zero_ada_changes_no_bit():
    images = images_of(64)
    np.testing.assert_array_equal(augmented('ada', images, probability=0.0), images)


@pytest.mark.parametrize('p', [0.2, 0.5])
def test_the_probability_is_that_of_each_transformation(p):
    """Fraction of unchanged images: (1 - p)^5 for colours and more, as some transformations are the
    identity.
    """
    images = np.tile(images_of(1, 3, 8), [4000, 1, 1, 1])
    out = augmented('ada', images, probability=p)
    unchanged = (out == images).all(axis=(1, 2, 3)).mean()
    # mirroring and luma flip are the identity half of the time, quarter turns a quarter of it;
    # whole pixels move by [-1, 1]; by 0 a quarter of the time (half a pixel around 0, in x and y).
    flips, turns, whole = 1 - p / 2, 1 - p * 3 / 4, 1 - p * 3 / 4
    # both rotations together leave an image unchanged with probability 1 - p
    expected = flips ** 2 * turns * whole * (1 - p) ** 8
    assert abs(unchanged - expected) < 4 * np.sqrt(expected / 4000)


def gates(*names):
    return tf.constant([[0.0 if name in names else 1.0 for name in _Gates._fields]])


def done(images, names, uniform=(0,) * 8, normal=(0,) * 7):
    """Apply `ada` with selected transformations and given draws."""
    return ada(tf.constant(images), tf.constant(0.5), gates(*names),
               tf.constant([uniform], tf.float32), tf.constant([normal], tf.float32)).numpy()


def test_mirroring_and_quarter_turns_move_pixels_and_mix_none():
    images = images_of(1)
    np.testing.assert_array_equal(done(images, ['mirror']), images[:, :, :, ::-1])
    for turns in range(4):
        out = done(images, ['quarter_turns'], [0, turns / 4, 0, 0, 0, 0, 0, 0])
        np.testing.assert_array_equal(out, np.rot90(images, turns, axes=(2, 3)))


def test_whole_pixels_move_and_the_border_is_mirrored():
    images = images_of(1)
    out = done(images, ['whole_pixels'], [0, 0, 1.0, 0.5, 0, 0, 0, 0])  # 16 / 8 = 2 pixels right
    np.testing.assert_array_equal(out[..., 2:], images[..., :-2])
    np.testing.assert_array_equal(out[..., :2], images[..., 1::-1])


def test_scale_enlarges_and_a_second_rotation_undoes_the_first():
    ramp = np.broadcast_to(np.linspace(-1, 1, 17, dtype='f')[:-1], [1, 1, 16, 16])
    out = done(ramp, ['scale'], normal=[1, 0, 0, 0, 0, 0, 0])
    slope = np.diff(out[0, 0, 8])[4:-4]
    np.testing.assert_allclose(slope, np.diff(ramp[0, 0, 8])[4:-4] / 2 ** 0.2, rtol=1e-4)
    blob = np.exp(-((np.mgrid[:32, :32] - 15.5) ** 2).sum(axis=0) / 40)[None, None].astype('f')
    blob[0, 0, :, 16:] *= 0.5
    there = done(blob, ['rotation'], [0, 0, 0, 0, 0.6, 0, 0, 0])
    back = done(blob, ['rotation', 'rotation_after'], [0, 0, 0, 0, 0.6, 0.4, 0, 0])
    assert abs(there - blob).max() > 0.3
    np.testing.assert_allclose(back, blob, atol=1e-4)


def test_colours_by_their_formulas():
    images = images_of(1)
    grey = images.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(done(images, ['brightness'], normal=[0, 0, 0, 0, 1, 0, 0]),
                               images + 0.2, atol=1e-6)
    np.testing.assert_allclose(done(images, ['contrast'], normal=[0, 0, 0, 0, 0, 2, 0]),
                               images * 2, atol=1e-6)
    np.testing.assert_allclose(done(images, ['luma_flip']), images - 2 * grey, atol=1e-6)
    np.testing.assert_allclose(done(images, ['saturation'], normal=[0, 0, 0, 0, 0, 0, 1]),
                               grey + (images - grey) * 2, atol=1e-6)
    turned = done(images, ['hue'], [0, 0, 0, 0, 0, 0, 0, 0.5 + 1 / 6])  # a sixth of a turn
    twice = done(turned, ['hue'], [0, 0, 0, 0, 0, 0, 0, 0.5 + 1 / 6])
    np.testing.assert_allclose(twice, images[:, [2, 0, 1]], atol=1e-5)  # red becomes green
    np.testing.assert_allclose(turned.mean(axis=1), images.mean(axis=1), atol=1e-6)


def test_grey_images_know_brightness_contrast_and_negative():
    images = images_of(1, channels=1)
    np.testing.assert_allclose(done(images, ['luma_flip']), -images, atol=1e-6)
    np.testing.assert_array_equal(done(images, ['hue', 'saturation'], normal=[1] * 7), images)


def test_resampling_by_hand():
    """Compare with the definition, pixel by pixel, including maps that leave the image."""
    images = images_of(2, 2, 5, seed=3)
    inverse = np.array([[[0.9, -0.4, 1.3], [0.5, 1.2, -2.2]], [[-3.0, 0.1, 0.0], [0.2, 0.7, 9.1]]])
    out = resampled(tf.constant(images), tf.constant(inverse, tf.float32)).numpy()
    for number, y, x in np.ndindex(2, 5, 5):
        place = inverse[number] @ [x - 2, y - 2, 1] + 2
        # reflected at the edges -0.5 and 4.5
        place = np.abs((place + 0.5 + 5) % 10 - 5) - 0.5
        place = np.clip(place, 0, 4)
        first = np.floor(place).astype(int)
        second = np.minimum(first + 1, 4)
        (tx, ty), (x0, y0), (x1, y1) = place - first, first, second
        pixels = images[number]
        upper = pixels[:, y0, x0] * (1 - tx) + pixels[:, y0, x1] * tx
        lower = pixels[:, y1, x0] * (1 - tx) + pixels[:, y1, x1] * tx
        np.testing.assert_allclose(out[number, :, y, x], upper * (1 - ty) + lower * ty, atol=1e-5)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('size', [4, 8, 16])
def test_diffaugment_by_hand(size, channels):
    """Compare with the definition, one image and one step at a time."""
    images = images_of(20, channels, size)
    draws = np.random.RandomState(7).uniform(size=[20, 7]).astype('f')
    out = diffaugment(tf.constant(images), tf.constant(draws)).numpy()
    most, cut = max(size // 8, 1), size // 2
    for image, draw, result in zip(images, draws, out):
        image = image + draw[0] - 0.5
        grey = image.mean(axis=0)
        image = grey + (image - grey) * (draw[1] * 2)
        image = image.mean() + (image - image.mean()) * (draw[2] + 0.5)
        down, right = np.floor(draw[3:5] * (2 * most + 1)).astype(int)
        padded = np.pad(image, [(0, 0), (2 * most, 2 * most), (2 * most, 2 * most)])
        image = padded[:, 3 * most - down:, 3 * most - right:][:, :size, :size].copy()
        top, left = np.floor(draw[5:] * (size + 1)).astype(int)
        holes = np.pad(image, [(0, 0), (cut, cut), (cut, cut)])
        holes[:, top + cut - cut // 2:, left + cut - cut // 2:][:, :cut, :cut] = 0
        np.testing.assert_allclose(result, holes[:, cut:-cut, cut:-cut], atol=2e-6)


@pytest.mark.parametrize('method', METHODS)
def test_gradients_are_those_of_differences(method):
    """Check with a directional derivative in float32, which is exact because the maps are affine in
    the image.
    """
    images, direction = images_of(4, 3, 8), images_of(4, 3, 8, seed=1)
    weights = images_of(4, 3, 8, seed=2)

    def value(x):
        with randomness.keyed(1, 2):
            out, = Augmentation(method, (-1, 1), lambda: tf.constant(0.9))(x)
        return tf.reduce_sum(out * weights)
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = value(x)
    slope = tf.reduce_sum(tape.gradient(y, x) * direction).numpy()
    change = (value(tf.constant(images + direction)) - value(tf.constant(images - direction))) / 2
    np.testing.assert_allclose(slope, change.numpy(), rtol=1e-3, atol=1e-3)


def with_gradient(method, images, weights):
    """Augmented images, and the gradient of their weighted sum."""
    with randomness.keyed(1000, 3), tf.GradientTape() as tape:
        tape.watch(images)
        out, = Augmentation(method, (-1, 1), lambda: tf.constant(0.7))(images)
        total = tf.reduce_sum(out * weights)
    return out, tape.gradient(total, images)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_fused_parts_compute_the_same(method):
    images, weights = tf.constant(images_of()), tf.constant(images_of(seed=1))

    @tf.function(autograph=False)
    def fused_parts(images):
        with fusing():
            return with_gradient(method, images, weights)
    for expected, actual in zip(with_gradient(method, images, weights), fused_parts(images)):
        np.testing.assert_allclose(actual, expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_xla_computes_the_same(method):
    images = tf.constant(images_of())

    def run(x):
        with randomness.keyed(1000, 3):
            return Augmentation(method, (-1, 1), lambda: tf.constant(0.7))(x)[0]
    compiled = tf.function(run, jit_compile=True, autograph=False)(images)
    np.testing.assert_allclose(compiled.numpy(), run(images).numpy(), atol=2e-5)
