"""Projection: find the latent whose image is closest to a given one."""
import math
import os
import warnings
from collections.abc import Generator
from typing import IO, Annotated, Any, NamedTuple

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

import misc
from pgan.data.colour_profiles import profile_of
from pgan.data.decoding import centre_square, mode_of, opened, upright_pixels
from pgan.data.writer import npy_bytes
from pgan.errors import DataError, expect
from pgan.files import atomic_write
from pgan.options import Count, Interval, Positive, Seed, Snapshot, is_integer
from pgan.pixels import repeat_pixels, to_uint8
from pgan.progress_bar import progress_bar
from pgan.scripts.early_checks import expect_picture
from pgan.scripts.generator import draw, label_size, load_generator, mark_done, new_result_folder
from pgan.scripts.label_choice import class_number
from pgan.scripts.option_checks import ClassLabel, RunId, frame_count
from pgan.scripts.script import script
from pgan.scripts.video import write_video
from tfutil import Network

NUM_CANDIDATES = 256  # random latents; the best are optimized
CANDIDATES_AT_A_TIME = 16
PIXELS_AT_A_TIME = 16 * 128**2
SMALLEST_LEVEL = 8  # pixels; of the Laplacian pyramid
SMALLEST_SHOWN = 256  # pixels; of an image in the comparison and the video
RAMPDOWN = 0.5  # fraction of the steps in which the learning rate falls to zero


@script
def project_image(
    run_id: RunId,
    image: str,
    snapshot: Snapshot = None,
    num_steps: Count = 500,
    num_starts: Annotated[int, Interval(1, NUM_CANDIDATES)] = 4,
    learning_rate: Positive = 0.2,
    label: ClassLabel = None,
    duration_sec: Positive = 5.0,
    mp4_fps: Count = 30,
    random_seed: Seed = 1000,
    *,
    config: Any = None,
) -> str:
    """Find the latent for which a run's generator produces the image closest to a given one.

    The best of 256 random latents are optimized together with Adam, on the sphere to which latents
    are normalized. Writes a result folder: `projected.npy` (the latent, float32 [1, L]),
    `label.npy` for conditional networks, `comparison.png` (target left, found image right) and
    `trajectory.mp4` (the optimization, with the target at its left).

    Args:
        run_id: number, name or folder of the run, or the path of a pickle.
        image: path of the picture, of any format and size; its central square is used.
        snapshot: kimg of the network; 'best' = the best by the run's metric; None = the last.
        num_steps: number of updates.
        num_starts: number of latents to optimize together.
        learning_rate: learning rate of Adam, for latents of unit mean square.
        label: class of the image, by number or name; None = the class of the best candidate.
        duration_sec: length of the video in seconds.
        mp4_fps: frames per second.
        random_seed: seed of the candidates.
        config: configuration like config.py; None = the module `config`. Uses result_dir and
            desc.

    Returns:
        The result folder's path.

    Raises:
        ConfigError, DataError: there is no such run or picture, or a number is out of range.
    """
    num_frames = frame_count(duration_sec, mp4_fps)
    Gs, network_pkl = load_generator(run_id, snapshot, config)
    target = load_target(image, Gs)
    if label is not None and label_size(Gs) > 0:
        label = class_number(label, Gs, network_pkl, config, 'train.label')
    number = label if isinstance(label, int) else None
    latents, labels = best_candidates(Gs, target, num_starts, number, random_seed)
    folder = new_result_folder(config)
    print('Projecting...')
    found = improve(Gs, target, latents, labels, num_steps, learning_rate)
    save(folder, Gs, target, found, num_frames, mp4_fps)
    print(f'Loss {found.losses[-1]:.4f}, at the start {found.losses[0]:.4f}; PSNR '
          f'{found.psnr:.2f} dB')
    return folder


def load_target(path: str, Gs: Network) -> np.ndarray:
    """Load a picture in the format of the network's images: float32 [1, C, R, R] in -1..1."""
    expect_picture(path)
    return decode_target(path, path, Gs)


def decode_target(file: str | IO[bytes], name: str, Gs: Network,
                  most_pixels: float = math.inf) -> np.ndarray:
    """Decode a picture to the format of the network's images: float32 [1, C, R, R] in -1..1.

    Args:
        file: path or file object.
        name: name of the file in messages.
        Gs: the network.
        most_pixels: limit of the number of pixels, checked before decoding.

    Raises:
        DataError: the file is not a picture, is damaged, or has more pixels.
    """
    channels, resolution = Gs.output_shape[1:3]
    with warnings.catch_warnings(), opened(file, name) as picture:
        warnings.filterwarnings('ignore', module=r'PIL\.')  # about odd EXIF data
        if picture.width * picture.height > most_pixels:
            raise DataError(f'{name!r} has {picture.width}x{picture.height} pixels. Expected at '
                            f'most {most_pixels:,.0f} in all; make it smaller.')
        if mode_of(picture) in ('I', 'F'):
            raise DataError(f'{name!r} is stored as 32-bit numbers, which have no defined black '
                            'and white level. Expected 8 or 16 bits per channel; convert it.')
        profile = profile_of(picture)
        if profile is not None and profile.fault:
            print(f'Note: the colour profile of {name!r} cannot be used and is ignored: '
                  f'{profile.fault}')
        pixels = upright_pixels(picture, gray=False)
    if channels == 1:
        pixels = np.asarray(PIL.Image.fromarray(pixels).convert('L'))
    return centre_square(pixels, resolution)[np.newaxis].astype(np.float32) / 127.5 - 1


# --------------------------------------------------------------------------------------------------
# Distance of two images.

_BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32) / 256


def image_distance(images: tf.Tensor | np.ndarray, target: np.ndarray) -> tf.Tensor:
    """Mean squared difference of the pixels, plus the mean absolute difference of each level of a
    Laplacian pyramid.

    The pyramid follows Bojanowski et al., "Optimizing the Latent Space of Generative Networks",
    ICML 2018, section 3.2. Coarse levels guide the search to where fine levels can match.

    Args:
        images: [N, C, R, R] in -1..1.
        target: [1, C, R, R].

    Returns:
        float32 [N]
    """
    difference = tf.cast(images, tf.float32) - target
    total = tf.reduce_mean(tf.square(difference), axis=[1, 2, 3])
    # The pyramid is linear, so the pyramid of the difference is enough.
    for level in laplacian_pyramid(difference):
        total += tf.reduce_mean(tf.abs(level), axis=[1, 2, 3])
    return total


def laplacian_pyramid(images: tf.Tensor) -> list[tf.Tensor]:
    """Return the bands of images [N, C, R, R], fine to coarse, and the low-pass residual.

    Returns:
        List of [N, C, r, r], each of half the size of the one before.
    """
    levels = []
    while images.shape[2] > SMALLEST_LEVEL:
        smaller = _blur(images)[:, :, ::2, ::2]
        levels.append(images - tf.repeat(tf.repeat(smaller, 2, axis=2), 2, axis=3))
        images = smaller
    return levels + [images]


def _blur(images):
    channels = images.shape[1]
    padded = tf.pad(images, [[0, 0], [0, 0], [2, 2], [2, 2]], mode='REFLECT')
    kernel = tf.constant(np.repeat(_BINOMIAL[:, :, np.newaxis, np.newaxis], channels, axis=2))
    # CPUs need channels last
    blurred = tf.nn.depthwise_conv2d(tf.transpose(padded, [0, 2, 3, 1]), kernel, [1, 1, 1, 1],
                                     'VALID')
    return tf.transpose(blurred, [0, 3, 1, 2])


# --------------------------------------------------------------------------------------------------
# Finding the latent.


class Found(NamedTuple):
    """Result of `improve`, for the start with the lowest final loss.

    Attributes:
        latents: its latents after each step, [steps + 1, L].
        labels: its label, [1, components].
        losses: its loss at each of these latents.
        psnr: peak signal-to-noise ratio of the final image, in dB.
    """
    latents: np.ndarray
    labels: np.ndarray
    losses: list[float]
    psnr: float


def on_sphere(latents: tf.Tensor | tf.Variable | np.ndarray) -> tf.Tensor:
    """Normalize latents to unit mean square, as the networks do (paper, appendix A.1)."""
    return latents / tf.sqrt(tf.reduce_mean(tf.square(latents), axis=-1, keepdims=True) + 1e-8)


def best_candidates(Gs: Network, target: np.ndarray, num_starts: int, label: int | None,
                    random_seed: int,
                    num_candidates: int = NUM_CANDIDATES) -> tuple[np.ndarray, np.ndarray]:
    """Return the random latents whose images are closest to the target, and their labels.

    Returns:
        float32 [num_starts, L] and [num_starts, components], closest first.
    """
    random = np.random.RandomState(random_seed)
    latents = misc.random_latents(num_candidates, Gs, random)
    labels = candidate_labels(label_size(Gs), label)[:num_candidates]
    # fewer for large images: sixteen of 1024x1024 would take 5 GB
    count = int(np.clip(PIXELS_AT_A_TIME // target.shape[-1]**2, 1, CANDIDATES_AT_A_TIME))
    distances = np.concatenate([
        image_distance(Gs.run(latents[start:start + count], labels[start:start + count]),
                       target).numpy() for start in range(0, num_candidates, count)
    ])
    best = np.argsort(distances)[:num_starts]
    return latents[best], labels[best]


def candidate_labels(num_classes: int, label: int | None) -> np.ndarray:
    """Return one-hot labels of the candidates, [NUM_CANDIDATES, num_classes].

    All have the given class; label = None cycles through all classes.
    """
    fits = label is None or is_integer(label) and 0 <= label < num_classes
    expect(fits, 'train.label', 'None or a class of this network, which has '
           f'{num_classes}', label)
    classes = np.arange(NUM_CANDIDATES) % max(num_classes, 1) if label is None else np.full(
        NUM_CANDIDATES, label)
    return np.eye(max(num_classes, 1), dtype=np.float32)[classes][:, :num_classes]


def improve(Gs: Network, target: np.ndarray, latents: np.ndarray, labels: np.ndarray,
            num_steps: int, learning_rate: float) -> Found:
    """Optimize latents [n, L] so that their images approach the target; return a `Found`."""
    steps = improving(Gs, target, latents, labels, num_steps, learning_rate)
    with progress_bar(total=num_steps, desc='Projecting', unit='step') as bar:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            bar.update()


def improving(Gs: Network, target: np.ndarray, latents: np.ndarray, labels: np.ndarray,
              num_steps: int,
              learning_rate: float) -> Generator[tuple[np.ndarray, np.ndarray], None, Found]:
    """Generator version of `improve`, one step at a time.

    Yields:
        (latents [n, L] after a step, losses [n] before it).

    Returns:
        A `Found`.
    """
    variable, constant_labels = tf.Variable(on_sphere(latents)), tf.constant(labels)
    optimizer = keras.optimizers.Adam()
    optimizer.build([variable])
    network = Gs.at_stage(Gs.stage)

    @tf.function(autograph=False)
    def step(rate):
        with tf.GradientTape() as tape:
            losses = image_distance(network.get_output_for(variable, constant_labels), target)
        optimizer.learning_rate.assign(rate)
        optimizer.apply_gradients([(tape.gradient(losses, variable), variable)])
        variable.assign(on_sphere(variable))
        return losses

    way, all_losses = [variable.numpy()], []
    for number in range(num_steps):
        all_losses.append(
            step(tf.constant(learning_rate * _ramp(number / num_steps), tf.float32)).numpy())
        way.append(variable.numpy())
        yield way[-1], all_losses[-1]
    images = network.get_output_for(variable, constant_labels)
    all_losses.append(image_distance(images, target).numpy())
    best = int(np.argmin(all_losses[-1]))
    error = float(tf.reduce_mean(tf.square(tf.cast(images[best], tf.float32) - target[0])))
    return Found(
        np.stack(way)[:, best], labels[best:best + 1],
        [float(losses[best]) for losses in all_losses], 10 * np.log10(4 / max(error, 1e-12)))


def _ramp(progress):
    """Learning rate factor: 1, then cosine decay to 0 over the last fraction RAMPDOWN."""
    return 0.5 - 0.5 * np.cos(np.pi * min(1, (1 - progress) / RAMPDOWN))


# --------------------------------------------------------------------------------------------------
# Saving.


def save(folder: str, Gs: Network, target: np.ndarray, found: Found, num_frames: int,
         mp4_fps: int) -> None:
    """Write the result files into the folder."""
    for name, array in (('projected.npy', found.latents[-1:]), ('label.npy', found.labels)):
        if array.size:
            with atomic_write(os.path.join(folder, name)) as file:
                # np.save bypasses Python's file object and hides the reason of a failure
                file.write(npy_bytes(array))

    def frame(number):
        # Show early steps more slowly, as they change the image most.
        step = round((number / max(num_frames - 1, 1)) ** 2 * (len(found.latents) - 1))
        return side_by_side(target,
                            draw(Gs, found.latents[step:step + 1], found.labels, minibatch_size=1))

    misc.save_image(
        frame(num_frames - 1).transpose(2, 0, 1), os.path.join(folder, 'comparison.png'),
        drange=[0, 255])
    write_video(os.path.join(folder, 'trajectory.mp4'), frame, num_frames, mp4_fps)
    mark_done(folder)


def side_by_side(target: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the target and an image side by side, as one frame; small images are enlarged.

    Args:
        target: [1, C, R, R] in -1..1.
        image: uint8 of the same shape.

    Returns:
        uint8 [height, width, 3].
    """
    both = np.concatenate([to_uint8((target + 1) * 127.5), image], axis=3)[0]
    both = repeat_pixels(both, max(1, SMALLEST_SHOWN // both.shape[1])).transpose(1, 2, 0)
    return np.broadcast_to(both, [*both.shape[:2], 3])
