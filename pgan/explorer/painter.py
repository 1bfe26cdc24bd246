"""Image synthesis with a run's generator, at any of its snapshots and levels of detail."""
import gc
import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

import misc
from pgan.errors import DataError
from pgan.explorer.recipes import Point
from pgan.explorer.worker import View
from pgan.pixels import to_uint8
from pgan.reporting.inner_features import noting_inputs
from pgan.resolutions import log2_of
from pgan.scripts.generator import draw, label_size
from tfutil import Network, Stage
from tfutil.evaluation import convert_output

MOST_WEIGHTS = 1 << 30  # bytes of cached weights, in addition to those in use
PIXELS_A_BATCH = 1 << 18
LARGEST_BATCH = 32
PREVIEW_SIDE = 128
FITTED = 2  # number of images used to fit the colours of previews


class Snapshot(NamedTuple):
    """A network pickle. Attributes: path; kimg, None if its name does not contain it."""
    path: str
    kimg: int | None

    @classmethod
    def of(cls, path: str) -> 'Snapshot':
        """Create a snapshot from the path of its pickle."""
        found = re.fullmatch(r'network-snapshot-(\d+)\.pkl', os.path.basename(path))
        return cls(path, int(found[1]) if found else None)


class Painter:
    """Draws images. Not thread-safe.

    All snapshots of a run have the same architecture, so a single network is compiled, and the
    weights of the requested snapshot are assigned to it.

    Args:
        Gs: the generator.
        snapshots: the snapshots of its run.
        index: index of the snapshot that Gs was loaded from.
        load: function from path to generator.
    """

    def __init__(self, Gs: Network, snapshots: Sequence[Snapshot], index: int,
                 load: Callable[[str], Network]):
        self.Gs = Gs
        self.snapshots = snapshots  # grows while the run is training
        self._load = load
        self._index = index
        self._values: dict[int, dict[str, np.ndarray]] = {}
        self._compiled: dict[int, Callable[..., tf.Tensor]] = {}
        self._previews: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def resolution(self) -> int:
        return int(self.Gs.output_shape[-1])

    @property
    def grows(self) -> bool:
        """Whether the generator can draw at levels of detail above 0."""
        return self.Gs.gives_native_images

    def lods(self) -> list[int]:
        """Available levels of detail, the coarsest (4x4) first; [] if the generator does not grow.
        """
        if not self.grows:
            return []
        first = Stage.of(self.Gs.lod or 0.0, self.resolution).floor_lod
        return list(range(log2_of(self.resolution) - 2, first - 1, -1))

    @property
    def has_preview(self) -> bool:
        """Whether images are large enough that a preview is drawn first."""
        return self._preview_lod > 0

    @property
    def _preview_lod(self):
        lod = max(math.ceil(math.log2(self.resolution / PREVIEW_SIDE)), 0)
        return lod if lod in self.lods() else 0

    def batch_size(self, view: View) -> int:
        """Images per batch: few large ones, so that the next request does not wait long."""
        side = self.resolution >> (self._preview_lod if view.is_preview else view.lod or 0)
        return int(np.clip(PIXELS_A_BATCH // side**2, 1, LARGEST_BATCH))

    def draw(self, points: Sequence[Point], view: View) -> np.ndarray:
        """Draw the images of points, uint8 [N, C, r, r]."""
        self.use(view.snapshot)
        latents, labels = (np.concatenate(parts) for parts in zip(*points))
        if view.is_preview and self.has_preview:
            return self._draw_previews(latents, labels)
        grown = Stage.of(self.Gs.lod or 0.0, self.resolution).floor_lod
        if view.lod is None or not self.grows or view.lod < grown:
            return draw(self.Gs, latents, labels, len(points), image_shrink=view.shrink)
        inputs = [latents, labels][:len(self.Gs.input_shapes)]
        return self._at_lod(view.lod)(*map(tf.constant, inputs)).numpy()

    def _draw_previews(self, latents, labels):
        """Draw small images from inner activations, with colours fitted to those of full images.

        The ToRGB layers of lower resolutions have not been trained since the network grew, so their
        colours are wrong.
        """
        if self._index not in self._previews:
            self._previews[self._index] = self._fit_colours()
        weights, bias = self._previews[self._index]
        return to_uint8((self._activations(latents, labels) @ weights + bias).transpose(0, 3, 1, 2))

    def _fit_colours(self):
        """Fit weights [fmaps, C] and bias [C] from activations to shrunk images (least squares)."""
        latents = misc.random_latents(FITTED, self.Gs, np.random.RandomState(0))
        size = label_size(self.Gs)
        labels = np.eye(max(size, 1), dtype=np.float32)[np.arange(FITTED) % max(size, 1), :size]
        images = draw(self.Gs, latents, labels, 1, image_shrink=1 << self._preview_lod)
        colours = images.transpose(0, 2, 3, 1).reshape(-1, images.shape[1])
        inputs = self._activations(latents, labels).reshape(len(colours), -1)
        inputs = np.concatenate([inputs, np.ones([len(inputs), 1], np.float32)], axis=1)
        found, *_ = np.linalg.lstsq(inputs, colours.astype(np.float32), rcond=1e-5)
        return found[:-1], found[-1]

    def _activations(self, latents, labels):
        """Inputs of ToRGB at the preview's resolution, float32 [N, r, r, fmaps]."""
        lod = self._preview_lod
        key = -1 - lod
        if key not in self._compiled:
            network = self.Gs.at_stage(Stage(lod, False), native=True)

            @tf.function(autograph=False, input_signature=self._signature())
            def evaluate(*inputs):
                with noting_inputs(self.Gs.model) as noted:
                    network.get_output_for(*inputs)
                return tf.cast(noted[-1], tf.float32)
            self._compiled[key] = evaluate
        inputs = [latents, labels][:len(self.Gs.input_shapes)]
        return self._compiled[key](*map(tf.constant, inputs)).numpy()

    def _signature(self):
        return [tf.TensorSpec(shape, tf.float32) for shape in self.Gs.input_shapes]

    def use(self, index: int) -> None:
        """Assign the weights of a snapshot to the network.

        Raises:
            DataError: the snapshot cannot be read, or has another architecture.
        """
        if index == self._index:
            return
        values = self._values_of(index)
        self._values.setdefault(self._index, _values(self.Gs))
        for name, value in values.items():
            self.Gs.set_var(name, value)
        self._index = index
        self._forget(values)

    def _values_of(self, index):
        if index in self._values:
            self._values[index] = self._values.pop(index)  # Most recently used ones come last.
            return self._values[index]
        path = self.snapshots[index].path
        values = _values(self._load(path))
        own = _values(self.Gs)
        if {name: value.shape for name, value in values.items()} != {
                name: value.shape for name, value in own.items()}:
            raise DataError(f'{path!r} has another architecture than the network in use. Expected '
                            'all snapshots of the run to have the same one. Move it elsewhere, or '
                            'explore it by its path.')
        self._values[index] = values
        gc.collect()  # the loaded networks are in reference cycles, and would fill a GPU's memory
        return values

    def _forget(self, values):
        """Evict snapshots until at most MOST_WEIGHTS bytes are cached."""
        size = sum(value.nbytes for value in values.values())
        while len(self._values) > max(MOST_WEIGHTS // max(size, 1), 1):
            del self._values[next(iter(self._values))]

    def _at_lod(self, lod):
        """Compiled evaluation at an integer level of detail, at its native resolution."""
        if lod not in self._compiled:
            network = self.Gs.at_stage(Stage(lod, False), native=True)

            @tf.function(autograph=False, input_signature=self._signature())
            def evaluate(*inputs):
                return convert_output(network.get_output_for(*inputs), 127.5, 127.5, 1, tf.uint8)
            self._compiled[lod] = evaluate
        return self._compiled[lod]


def _values(network: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(var.numpy()) for name, var in network.vars.items()}
