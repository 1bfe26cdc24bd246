"""Latent directions along which images change most.

They correspond to the principal components of an inner layer's activations (GANSpace: Harkonen et
al., "Discovering Interpretable GAN Controls", NeurIPS 2020).
"""
import io
import os
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import eigsh

import misc
from pgan.errors import UserError
from pgan.files import atomic_write
from pgan.reporting.inner_features import noting_inputs
from pgan.resolutions import log2_of
from tfutil import Network, Stage

SAMPLES = 2000
SAMPLES_AT_A_TIME = 50
MOST_DIRECTIONS = 12
LOG2_RESOLUTION = 3  # of the layer: 8x8, which determines pose and shape
STEP = 0.25  # length of a step, as a fraction of a latent's length
VERSION = 1
FEWEST_SIDE = 8  # resolution of images that replace activations


class Directions(NamedTuple):
    """Latent directions, sorted by variance, largest first.

    Attributes:
        steps: float32 [K, ...], the offset of latents for an amount of 1 along each direction.
        shares: float32 [K], fractions of the activations' variance.
        layer: description of the analysed layer.
        kept: whether the directions are saved in a file next to the snapshot.
    """
    steps: np.ndarray
    shares: np.ndarray
    layer: str
    kept: bool = False


def directions_of(Gs: Network, network_pkl: str, labels: Callable[[int], np.ndarray],
                  report: Callable[[int, int], None]) -> Directions:
    """Load a generator's directions from the file next to its pickle, or compute and save them.

    If the folder is not writable, they are not saved, and computed again next time.

    Args:
        Gs: the generator.
        network_pkl: path of its pickle.
        labels: function from seed to float32 [1, label size].
        report: progress callback, called with (samples done, total samples).
    """
    found = kept_directions(Gs, network_pkl)
    if found is not None:
        return found
    found = find_directions(Gs, labels, report)
    try:
        with atomic_write(_file_of(network_pkl)) as file:
            packed = io.BytesIO()
            np.savez(packed, mark=_mark(Gs), steps=found.steps, shares=found.shares,
                     layer=np.array(found.layer))
            file.write(packed.getbuffer())
    except (OSError, UserError):
        return found
    return found._replace(kept=True)


def _file_of(network_pkl):
    return f'{os.path.splitext(network_pkl)[0]}-directions.npz'


def _mark(Gs):
    """Fingerprint of the weights and of VERSION, the version of the method."""
    mark = VERSION
    for name, var in Gs.vars.items():
        mark = zlib.crc32(np.ascontiguousarray(var.numpy()).tobytes(), zlib.crc32(name.encode(),
                                                                                  mark))
    return mark


def kept_directions(Gs: Network, network_pkl: str) -> Directions | None:
    """Load directions from the file next to a pickle; None if it holds none of this network."""
    path = _file_of(network_pkl)
    if not os.path.isfile(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file['mark']) != _mark(Gs):
                return None
            steps, shares = file['steps'], file['shares']
            layer = str(file['layer'])
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    fits = (steps.dtype == shares.dtype == np.float32 and steps.ndim > 1 and
            list(steps.shape[1:]) == list(Gs.input_shape[1:]) and
            shares.shape == steps.shape[:1] and np.isfinite(steps).all())
    return Directions(steps, shares, layer, True) if fits else None


def find_directions(Gs: Network, labels: Callable[[int], np.ndarray],
                    report: Callable[[int, int], None]) -> Directions:
    """Compute directions; see `directions_of` for the arguments.

    Activations y of random latents z have principal coordinates x. A direction is the least-squares
    solution u of u x = z, as in section 3.2 of the paper for networks without a mapping network.
    The mean of each class is subtracted from its activations, so that directions describe variation
    within classes.
    """
    activations, layer = _layer_of(Gs)
    latents = misc.random_latents(SAMPLES, Gs, np.random.RandomState(0))
    classes = np.concatenate([labels(seed) for seed in range(SAMPLES)])
    found = None
    for start in range(0, SAMPLES, SAMPLES_AT_A_TIME):
        report(start, SAMPLES)
        part = slice(start, start + SAMPLES_AT_A_TIME)
        here = activations(latents[part], classes[part]).reshape(SAMPLES_AT_A_TIME, -1)
        if found is None:  # Allocated once: 0.25 GB for wide networks.
            found = np.empty([SAMPLES, here.shape[1]], np.float32)
        found[part] = here
    coordinates, shares = _principal(_centred(found, classes))
    flat = latents.reshape(SAMPLES, -1)
    steps = coordinates.T @ flat / SAMPLES
    # Networks normalise latents, so scale steps relative to the length of a typical latent.
    steps *= STEP * np.sqrt(flat.shape[1]) / np.maximum(
        np.linalg.norm(steps, axis=1, keepdims=True), 1e-12)
    signs = np.sign(steps[np.arange(len(steps)), np.abs(steps).argmax(axis=1)])
    steps = (steps * signs[:, np.newaxis]).reshape(-1, *latents.shape[1:])
    report(SAMPLES, SAMPLES)
    return Directions(steps.astype(np.float32), shares.astype(np.float32), layer)


def _centred(activations, classes):
    """Subtract from activations the mean of those with the same label, in place."""
    _, members = np.unique(classes, axis=0, return_inverse=True) if classes.shape[1] else (
        None, np.zeros(len(classes), int))
    members = members.reshape(-1)
    for number in range(members.max() + 1):
        chosen = members == number
        activations[chosen] -= activations[chosen].mean(axis=0)
    return activations


def _principal(centred):
    """Principal coordinates [N, K] of unit variance, and the components' fractions of variance."""
    gram = (centred @ centred.T).astype(np.float64)  # [N, N], as there may be more activations
    total = max(float(np.trace(gram)), 1e-30)
    count = min(MOST_DIRECTIONS, len(gram) - 1)
    values, vectors = eigsh(gram / total, k=count, v0=np.ones(len(gram)))
    order = np.argsort(values)[::-1]
    order = order[:max(int((values > 1e-6).sum()), 1)]
    return vectors[:, order] * np.sqrt(len(centred)), values[order]


def _layer_of(Gs):
    """(function from latents and labels to activations [N, ...], description of the layer)."""
    if Gs.gives_native_images:
        top = log2_of(Gs.output_shape[-1])
        r = min(LOG2_RESOLUTION, top)
        network = Gs.at_stage(Stage(top - r, False), native=True)
        return _inputs_of_last(Gs, network), f'{2**r}x{2**r} activations'

    def images(latents, labels):
        drawn = Gs.run(*[latents, labels][:len(Gs.input_shapes)])
        factor = max(drawn.shape[-1] // FEWEST_SIDE, 1)
        return drawn[:, :, ::factor, ::factor]
    return images, 'pixels'


def _inputs_of_last(Gs, network):
    """Function that returns the inputs of the last-evaluated layer with variables, i.e. of ToRGB.
    """
    def activations(latents, labels):
        inputs = [latents, labels][:len(Gs.input_shapes)]
        with noting_inputs(Gs.model) as noted:
            network.get_output_for(*map(tf.constant, inputs))
        return tf.cast(noted[-1], tf.float32).numpy()
    return activations
