"""Directions of latents along which images change most: principal components of an inner layer's
activations (GANSpace: Harkonen et al., "Discovering Interpretable GAN Controls", NeurIPS 2020).
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
LOG2_RESOLUTION = 3  # of the layer: 8x8, where pose and shape are decided
STEP = 0.25  # of a latent's length, that an amount of 1 moves
VERSION = 1
FEWEST_SIDE = 8  # pixels; of images in place of activations


class Directions(NamedTuple):
    """Directions, the strongest first.

    Attributes:
        steps: float32 [K, ...], each of the shape of a latent; what an amount of 1 adds.
        shares: float32 [K], parts of the activations' variance.
        layer: what was looked at, in words.
        kept: whether they were found, or put, in the file beside the snapshot.
    """
    steps: np.ndarray
    shares: np.ndarray
    layer: str
    kept: bool = False


def directions_of(Gs: Network, network_pkl: str, labels: Callable[[int], np.ndarray],
                  report: Callable[[int, int], None]) -> Directions:
    """Directions of a generator, out of the file beside its pickle, or computed and put there.

    A folder that cannot be written is no error: then they are computed each time.

    Args:
        Gs: the generator.
        network_pkl: path of its pickle.
        labels: function: seed -> float32 [1, label size].
        report: is told (samples drawn, of how many).
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
    """A number that changes with any weight, and with how directions are found."""
    mark = VERSION
    for name, var in Gs.vars.items():
        mark = zlib.crc32(np.ascontiguousarray(var.numpy()).tobytes(), zlib.crc32(name.encode(),
                                                                                  mark))
    return mark


def kept_directions(Gs: Network, network_pkl: str) -> Directions | None:
    """Directions out of the file beside a pickle; None if there are none of this network."""
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
    """Compute directions; see `directions_of`.

    Activations y of random latents z have principal coordinates x. A direction is the least-squares
    solution u of u x = z, as in section 3.2 of the paper for networks without a mapping network.
    Activations are taken relative to the mean of their class, so that directions change what a
    class leaves open.
    """
    activations, layer = _layer_of(Gs)
    latents = misc.random_latents(SAMPLES, Gs, np.random.RandomState(0))
    classes = np.concatenate([labels(seed) for seed in range(SAMPLES)])
    found = None
    for start in range(0, SAMPLES, SAMPLES_AT_A_TIME):
        report(start, SAMPLES)
        part = slice(start, start + SAMPLES_AT_A_TIME)
        here = activations(latents[part], classes[part]).reshape(SAMPLES_AT_A_TIME, -1)
        if found is None:  # all at once: for wide networks, a quarter of a GB
            found = np.empty([SAMPLES, here.shape[1]], np.float32)
        found[part] = here
    coordinates, shares = _principal(_centred(found, classes))
    flat = latents.reshape(SAMPLES, -1)
    steps = coordinates.T @ flat / SAMPLES
    # what the networks normalise is the direction of a latent, whose length is that of the noise
    steps *= STEP * np.sqrt(flat.shape[1]) / np.maximum(
        np.linalg.norm(steps, axis=1, keepdims=True), 1e-12)
    signs = np.sign(steps[np.arange(len(steps)), np.abs(steps).argmax(axis=1)])
    steps = (steps * signs[:, np.newaxis]).reshape(-1, *latents.shape[1:])
    report(SAMPLES, SAMPLES)
    return Directions(steps.astype(np.float32), shares.astype(np.float32), layer)


def _centred(activations, classes):
    """Activations less the mean of those with the same label."""
    _, members = np.unique(classes, axis=0, return_inverse=True) if classes.shape[1] else (
        None, np.zeros(len(classes), int))
    members = members.reshape(-1)
    for number in range(members.max() + 1):
        chosen = members == number
        activations[chosen] -= activations[chosen].mean(axis=0)
    return activations


def _principal(centred):
    """Principal coordinates [N, K] of unit variance, and the components' parts of the variance."""
    gram = (centred @ centred.T).astype(np.float64)  # [N, N]: of activations there may be more
    total = max(float(np.trace(gram)), 1e-30)
    count = min(MOST_DIRECTIONS, len(gram) - 1)
    values, vectors = eigsh(gram / total, k=count, v0=np.ones(len(gram)))
    order = np.argsort(values)[::-1]
    order = order[:max(int((values > 1e-6).sum()), 1)]
    return vectors[:, order] * np.sqrt(len(centred)), values[order]


def _layer_of(Gs):
    """(function: latents, labels -> activations [N, ...], the layer in words)."""
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
    """What the layer with variables that is evaluated last gets: ToRGB's inputs."""
    def activations(latents, labels):
        inputs = [latents, labels][:len(Gs.input_shapes)]
        with noting_inputs(Gs.model) as noted:
            network.get_output_for(*map(tf.constant, inputs))
        return tf.cast(noted[-1], tf.float32).numpy()
    return activations
