"""Number of MNIST-RGB modes that a generator covers (paper, Appendix D; after Metz et al. 2016).

An MNIST-RGB image shows a handwritten digit in each colour channel: 1000 modes, 000 to 999, all
equally likely. A classifier recognizes the digit of each channel. The metric counts the modes that
occur, and measures how far their distribution is from uniform.

When first needed, the classifier is trained on a data set of single labelled digits (`mnist`, or
else `digits`, in data_dir) and cached in result_dir/_metrics-cache. A tenth of the digits is held
out to measure its accuracy.
"""
import glob
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import dataset
from metrics.feeding import check_minibatch, check_mode, check_setting
from pgan.errors import ConfigError, DataError
from pgan.files import atomic_write, make_folder, read_npz
from pgan.invocation import command

if TYPE_CHECKING:
    import keras

NUM_MODES = 1000
EVALUATION_IMAGES = 25600
DATA_SETS = ('mnist', 'digits')
_VIEWS = 120000  # digits that the classifier is trained on, each at least three times
_VERSION = 1  # of the cached classifier


def count_modes(counts: npt.ArrayLike) -> tuple[int, float]:
    """Number of modes that occur, and the KL divergence of their distribution from uniform.

    Args:
        counts: number of images of each mode, [NUM_MODES] integers, at least one above 0.

    Returns:
        (number of modes that occur, sum of p log(p / (1 / NUM_MODES)) over them, in nats). (1000,
            0) is perfect; (1, 6.9) is a single mode.
    """
    numbers = np.asarray(counts, np.float64)
    p = numbers[numbers > 0] / numbers.sum()
    return len(p), float(np.sum(p * np.log(p * len(numbers))))


class API:
    """Modes and ModesKL, averaged over all complete groups of `evaluation_images` images.

    If there are fewer images, they form one group.

    Args:
        num_images, image_shape, image_dtype, minibatch_size: see `metrics`; images of 32x32. The
            paper uses 256000 images, for ten evaluations.
        result_dir: folder of all results, where the classifier is cached.
        data_dir: folder of all data sets.
        classifier: function from uint8 [N, 1, 32, 32] to digits [N]; None =
            `find_classifier(data_dir, result_dir)`.
        evaluation_images: images per evaluation.

    Raises:
        ConfigError: the images have the wrong size or type.
        DataError: there are no digits to train the classifier on.
    """
    higher_is_better = True

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, result_dir: str | os.PathLike = 'results',
                 data_dir: str | os.PathLike = 'datasets',
                 classifier: Callable[[np.ndarray], npt.ArrayLike] | None = None,
                 evaluation_images: int = EVALUATION_IMAGES) -> None:
        check_setting(num_images, image_shape, image_dtype, minibatch_size)
        if list(image_shape) != [3, 32, 32]:
            raise ConfigError('The modes of MNIST-RGB are counted on images of 3x32x32. Received: '
                              f'image_shape={list(image_shape)}. Use this metric for runs on the '
                              'data set mnistrgb.')
        self.image_shape = tuple(image_shape)
        self._evaluation_images = evaluation_images
        self._classify = classifier or find_classifier(data_dir, result_dir)

    def get_metric_names(self) -> list[str]:
        return ['Modes', 'ModesKL']

    def get_metric_formatting(self) -> list[str]:
        return ['%-10.1f', '%-10.4f']

    def begin(self, mode: str) -> None:
        """Start a pass: 'warmup', 'reals' or 'fakes'."""
        check_mode(mode)
        self._modes: list[np.ndarray] = []

    def feed(self, mode: str, minibatch: npt.ArrayLike) -> None:
        """Classify a minibatch, uint8 [N, 3, 32, 32]."""
        minibatch = check_minibatch(minibatch, self.image_shape)
        if len(minibatch):
            planes = minibatch.reshape(-1, 1, *minibatch.shape[2:])
            digits = np.asarray(self._classify(planes)).reshape(-1, 3)
            self._modes.append(digits @ [100, 10, 1])

    def end(self, mode: str) -> list[float]:
        """Finish a pass; return [modes, divergence]."""
        modes = np.concatenate(self._modes) if self._modes else np.zeros([0], int)
        if not len(modes):
            raise ConfigError(f'Modes needs at least 1 image. Received: 0 in mode {mode!r}. Feed '
                              'more before end().')
        size = min(self._evaluation_images, len(modes))
        parts = [modes[start:start + size] for start in range(0, len(modes) - size + 1, size)]
        values = [count_modes(np.bincount(part, minlength=NUM_MODES)) for part in parts]
        return [float(value) for value in np.mean(values, axis=0)]

    def get_reals_state(self) -> dict[str, np.ndarray]:
        """Empty: generated images are not compared with reals."""
        return {}

    def set_reals_state(self, state: Mapping[str, np.ndarray]) -> None:
        """See `get_reals_state`."""


# --------------------------------------------------------------------------------------------------
# The classifier.

class Classifier:
    """Digit classifier: uint8 [N, 1, 32, 32] to integers [N].

    Args:
        weights: arrays as returned by `weights`; None = random initialization.

    Attributes:
        accuracy: accuracy on held-out digits, in [0, 1]; None if not known.
    """

    def __init__(self, weights: Sequence[np.ndarray] | None = None) -> None:
        import keras
        self.model = make_model()
        self.accuracy: float | None = None
        self._graph: Callable | None = None
        if weights is not None:
            self.model.set_weights(weights)
        self._keras = keras

    @property
    def weights(self) -> list[np.ndarray]:
        """Weight arrays, in the order of the layers."""
        return self.model.get_weights()

    def __call__(self, images: npt.ArrayLike) -> np.ndarray:
        if self._graph is None:
            import tensorflow as tf
            self._graph = tf.function(
                lambda x: tf.argmax(self.model(x, training=False), axis=1), autograph=False,
                input_signature=[tf.TensorSpec([None, 32, 32, 1], tf.float32)])
        return self._graph(to_input(images)).numpy()

    def train(self, images: np.ndarray, labels: np.ndarray, *, seed: int = 0,
              views: int = _VIEWS) -> None:
        """Train on digits.

        Args:
            images: uint8 [N, 1, 32, 32].
            labels: integers [N].
            seed: seed of all random choices; the global generators are not used.
            views: number of images to train on in total; at least three epochs.
        """
        import tensorflow as tf
        keras = self._keras
        epochs = max(-(-views // len(images)), 3)
        steps = max(len(images) // 64, 1) * epochs
        inputs, targets = tf.constant(to_input(images)), tf.constant(labels.astype(np.int64))
        # Not Dataset.shuffle: its order also depends on TensorFlow's global seed.
        random = np.random.RandomState(seed)
        data = tf.data.Dataset.from_tensor_slices(
            [random.permutation(len(images)) for _ in range(epochs)])
        data = data.flat_map(lambda order: tf.data.Dataset.from_tensor_slices(order).batch(64))
        data = data.map(lambda order: (tf.gather(inputs, order), tf.gather(targets, order)))
        # Without a known cardinality Keras warns at the end.
        data = data.apply(tf.data.experimental.assert_cardinality(epochs * -(-len(images) // 64)))
        self.model.compile(
            optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.002, steps)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        self.model.fit(data, epochs=1, verbose=0, shuffle=False)


def make_model() -> 'keras.Sequential':
    """The classifier's network, for float32 [N, 32, 32, 1], with leaky ReLU of slope 0.1.

    3x3 convolutions 32, 32, pool, 55, 55, pool, 96, 96 (these two unpadded), pool, dense 10. In
    training, digits are randomly translated and rotated, and dropout removes half of the last
    features.
    """
    import keras
    from keras import layers

    layout = dict(data_format='channels_last')  # keras.json may have another default

    def conv(number, fmaps, padding):
        return layers.Conv2D(fmaps, 3, padding=padding, **layout, dtype='float32',
                             activation=lambda x: keras.ops.maximum(x, 0.1 * x),
                             kernel_initializer=keras.initializers.HeNormal(seed=number))

    return keras.Sequential([
        keras.Input([32, 32, 1], dtype='float32'),
        layers.RandomTranslation(0.07, 0.07, fill_mode='constant', fill_value=-1.0, seed=7,
                                 **layout),
        layers.RandomRotation(0.03, fill_mode='constant', fill_value=-1.0, seed=8, **layout),
        conv(0, 32, 'same'),
        conv(1, 32, 'same'),
        layers.MaxPool2D(**layout),
        conv(2, 55, 'same'),
        conv(3, 55, 'same'),
        layers.MaxPool2D(**layout),
        conv(4, 96, 'valid'),
        conv(5, 96, 'valid'),
        layers.MaxPool2D(**layout),
        layers.Flatten(**layout),
        layers.Dropout(0.5, seed=9),
        layers.Dense(10, dtype='float32',
                     kernel_initializer=keras.initializers.GlorotUniform(seed=6))
    ])


def to_input(images: npt.ArrayLike) -> np.ndarray:
    """Convert uint8 [N, 1, 32, 32] to the model's input: float32 [N, 32, 32, 1] in [-1, 1]."""
    pixels = np.asarray(images).transpose(0, 2, 3, 1).astype(np.float32)
    return pixels / np.float32(127.5) - np.float32(1)


def find_classifier(data_dir: str | os.PathLike, result_dir: str | os.PathLike, *,
                    views: int = _VIEWS) -> Classifier:
    """Load the cached classifier for the digits in data_dir, or train and cache a new one.

    Raises:
        DataError: there is no data set of labelled digits.
    """
    folder = _find_digits(data_dir)
    path = os.path.join(result_dir, '_metrics-cache',
                        f'mnist-classifier-{_fingerprint(folder)}.npz')
    classifier = _load(path)
    if classifier is None:
        print(f'Training a classifier on the digits of {folder!r} (once, some minutes)...')
        classifier = train_classifier(folder, views=views)
        _save(path, classifier)
    print(f'Classifier of digits: {classifier.accuracy:.2%} accuracy on the held-out digits of '
          f'{folder!r}.')
    return classifier


def train_classifier(folder: str | os.PathLike, *, views: int = _VIEWS) -> Classifier:
    """Train a classifier on nine tenths of a data set, and measure its accuracy on the rest."""
    digits = _load_digits(folder)
    order = np.random.RandomState(0).permutation(digits.num_images)
    images, labels = digits.read_images(order), digits.labels[order].argmax(axis=1)
    held_out = max(len(images) // 10, 1)
    classifier = Classifier()
    classifier.train(images[held_out:], labels[held_out:], views=views)
    parts = [images[i:min(i + 500, held_out)] for i in range(0, held_out, 500)]
    named = np.concatenate([classifier(part) for part in parts])
    classifier.accuracy = float(np.mean(named == labels[:held_out]))
    return classifier


def _load_digits(folder):
    digits = dataset.load_dataset(tfrecord_dir=folder)
    if digits.shape == [1, 32, 32] and glob.glob(os.path.join(glob.escape(folder), '*.labels')):
        digits = dataset.load_dataset(tfrecord_dir=folder, max_label_size='full')
    if digits.shape != [1, 32, 32] or digits.label_size != 10:
        raise DataError(f'A classifier of digits cannot be trained on {folder!r}. Expected images '
                        'of 1x32x32 with labels of 10 classes. Received: '
                        f'{"x".join(map(str, digits.shape))} with {digits.label_size}. Create it '
                        'again with dataset_tool.py create_mnist.')
    return digits


def _find_digits(data_dir):
    folders = [os.path.join(data_dir, name) for name in DATA_SETS]
    for folder in folders:
        if os.path.isdir(folder):
            return folder
    raise DataError('The metric "modes" needs labelled digits to train its classifier on: '
                    f'{" or ".join(folders)}. Create one with '
                    f'{command("dataset_tool.py", "create_mnist", folders[0], "MNIST_DIR")}, or, '
                    'of 5000 digits, with '
                    f'{command("dataset_tool.py", "create_digits", folders[1])}')


def _fingerprint(folder):
    """Fingerprint of the folder's files; changes whenever any of them does."""
    paths = glob.glob(os.path.join(glob.escape(folder), '*'))
    files = sorted([os.path.realpath(path), os.stat(path).st_size, os.stat(path).st_mtime_ns]
                   for path in paths)
    return hashlib.sha256(json.dumps([_VERSION, files]).encode()).hexdigest()[:16]


def _load(path):
    """Load a cached classifier; None if the file is missing or damaged."""
    if not os.path.isfile(path):
        return None
    try:
        kept = read_npz(path)
        classifier = Classifier([kept[f'weight{number}'] for number in range(len(kept) - 1)])
        classifier.accuracy = float(kept['accuracy'])
        return classifier
    # A damaged file can raise almost anything; it is only a cache.
    except Exception:
        return None


def _save(path, classifier):
    try:
        make_folder(os.path.dirname(path))
        weights = {f'weight{number}': w for number, w in enumerate(classifier.weights)}
        with atomic_write(path) as file:
            np.savez(file, accuracy=classifier.accuracy, **weights)
    except DataError as error:  # The classifier itself is usable.
        print(f'Warning: the classifier of digits is not cached for the next run. {error}',
              file=sys.stderr)
