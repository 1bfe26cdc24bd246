"""Files that a run saves at ticks: image grids, networks, statistics."""
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

import misc
from dataset import Dataset
from metrics import Judge
from misc.run_files import DONE_MARK
from pgan.data.class_names import ROWS_FILE, names_of, row_lines
from pgan.errors import ConfigError
from pgan.options import Supplied, checked
from pgan.reporting.best_snapshot import BestSnapshot
from pgan.reporting.image_grids import GRID_SIZES, snapshot_grid_size
from pgan.reporting.nearest_of_run import save_nearest
from pgan.reporting.nearest_section import PICTURE
from pgan.reporting.report import Report
from pgan.reporting.statistics import Statistics, layout_for
from tfutil import Network, save_summaries, summary
from tfutil.devices import Devices


@checked('grid')
def setup_snapshot_image_grid(
    G: Supplied[Any],
    training_set: Supplied[Any],
    size: Literal[*GRID_SIZES] = '1080p',  # type: ignore[valid-type]
    layout: Literal['random', 'row_per_class'] = 'random',
) -> tuple[tuple[int, int], np.ndarray, np.ndarray, np.ndarray]:
    """Choose the real images, labels and latents of a run's image grids.

    Args:
        G: the generator; determines the size of images and latents.
        training_set: the data set, which supplies full-resolution images.
        size: size of the picture, '1080p' or '4k'.
        layout: 'random', or 'row_per_class': row y shows only class y mod label_size.

    Returns:
        ((columns, rows), reals uint8 [n, C, R, R], labels [n, label size], latents [n, latent
            size]), with n = columns * rows.

    Raises:
        ConfigError: unknown size or layout, or 'row_per_class' for a run without labels.
    """
    gw, gh = snapshot_grid_size(G.output_shape[3], G.output_shape[2], size)
    latents = misc.random_latents(gw * gh, G)
    if layout == 'random':
        reals, labels = training_set.get_minibatch_np(gw * gh)
    else:
        reals, labels = reals_by_row(training_set, gw, gh)
    return (gw, gh), reals, labels, latents


def reals_by_row(training_set: Dataset, gw: int, gh: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose real images for a grid whose row y shows only class y mod label_size.

    If a class has too few images, they repeat; if it has none, its cells stay black. In endless
    data sets (without `labels`), a limited number of minibatches is searched.

    Args:
        training_set: the data set.
        gw, gh: number of columns and rows.

    Returns:
        (images [gw * gh, C, R, R], labels [gw * gh, label_size]).

    Raises:
        ConfigError: the run has no labels.
    """
    classes = training_set.label_size
    if classes == 0:
        raise ConfigError("grid.layout 'row_per_class' requires labels: condition the run with "
                          "dataset.max_label_size = 'full' (the line '-cond'), or choose "
                          "grid.layout = 'random'.")
    row_classes = np.arange(gh) % classes
    labels = np.eye(classes, dtype=training_set.label_dtype)[row_classes.repeat(gw)]
    reals = np.zeros([gh, gw, *training_set.shape], training_set.dtype)
    is_endless = getattr(training_set, 'labels', None) is None
    choose = _choose_from_stream if is_endless else _choose_by_label
    for k, images in choose(training_set, classes, gw * -(-gh // classes)).items():
        rows = np.flatnonzero(row_classes == k)
        cells = images[np.arange(len(rows) * gw) % len(images)]
        reals[rows] = cells.reshape(len(rows), gw, *training_set.shape)
    return reals.reshape(-1, *training_set.shape), labels


def _choose_by_label(training_set, classes, count):
    """{class: up to `count` of its images}, chosen at random; only these images are read."""
    of_class = np.where(training_set.labels.max(axis=1) > 0, training_set.labels.argmax(axis=1), -1)
    picked = {k: np.random.permutation(np.flatnonzero(of_class == k))[:count]
              for k in range(classes)}
    return {k: training_set.read_images(indices) for k, indices in picked.items() if len(indices)}


def _choose_from_stream(training_set, classes, count, minibatches=200, minibatch_size=16):
    """{class: up to `count` of its images}, taken from the next minibatches of the stream."""
    found = {}
    for _ in range(minibatches):
        for image, label in zip(*training_set.get_minibatch_np(minibatch_size)):
            if label.max() > 0:
                found.setdefault(int(label.argmax()), []).append(image)
        if len(found) == classes and all(len(images) >= count for images in found.values()):
            break
    return {k: np.stack(images[:count]) for k, images in found.items()}


class ImageSnapshots:
    """Image grids of a run: reals.png, written once, and fakes%06d.png (kimg), always of the same
    latents and labels.
    """

    def __init__(self, Gs: Network, training_set: Dataset, drange_net: Sequence[float],
                 **grid_options: Any):
        self.Gs = Gs
        self.training_set = training_set
        self.drange_net = drange_net
        self.layout = grid_options.get('layout')
        self.reals: np.ndarray | None
        self.grid_size, self.reals, self.labels, self.latents = setup_snapshot_image_grid(
            Gs, training_set, **grid_options)

    def save_row_names(self, folder: str) -> None:
        """Write rows.txt, the class of each row, if rows are classes with names."""
        if self.row_names:
            with misc.atomic_write(os.path.join(folder, ROWS_FILE)) as file:
                file.write(self.row_names.encode('utf-8', 'surrogateescape'))

    @property
    def row_names(self) -> str:
        """Class names of the rows, one per line; '' if rows are not classes with names."""
        names = names_of(self.training_set)
        by_class = self.layout == 'row_per_class' and names
        return row_lines(names, self.grid_size[1]) if by_class else ''

    def save_reals(self, folder: str) -> str:
        """Write reals.png and return its path. May be called only once."""
        assert self.reals is not None, 'they are written once'
        path = os.path.join(folder, 'reals.png')
        misc.save_image_grid(self.reals, path, drange=self.training_set.dynamic_range,
                             grid_size=self.grid_size)
        self.reals = None  # A 4k grid of 1024x1024 images takes as much memory as a network.
        return path

    def state(self) -> dict[str, np.ndarray]:
        """Latents and labels of the pictures, for a checkpoint."""
        return dict(latents=self.latents, labels=self.labels)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore latents and labels, so that a resumed run draws the same pictures.

        Raises:
            ConfigError: the saved grid has another size.
        """
        if len(state['latents']) != len(self.latents):
            raise ConfigError('grid.size: expected the size that the run was started with, '
                              f'{len(state["latents"])} images per picture. Received: one with '
                              f'{len(self.latents)}. Set grid.size back.')
        self.latents = state['latents']
        self.labels = state['labels']
        self.reals = None

    def save_fakes(self, folder: str, cur_nimg: int, minibatch: int) -> str:
        """Write fakes%06d.png and return its path."""
        fakes: Any = self.Gs.run(self.latents, self.labels, minibatch_size=minibatch)
        path = os.path.join(folder, f'fakes{cur_nimg // 1000:06d}.png')
        misc.save_image_grid(fakes, path, drange=self.drange_net, grid_size=self.grid_size)
        return path


class RunFolder:
    """A result folder and the files that a run writes to it.

    Args:
        path: the existing result folder.
        networks: G, D, Gs.
        grid: the image grids.
        metrics: function from Gs to {name: value}, called whenever networks are saved.
        image_snapshot_ticks, network_snapshot_ticks: ticks between two fakes*.png, and between two
            network-snapshot-*.pkl.
        save_weight_histograms: whether to write weight histograms to the event file at each tick.
        judge: the metric that decides which snapshot becomes network-best.pkl; None keeps none.
    """

    def __init__(self, path: str, networks: Sequence[Network], grid: ImageSnapshots,
                 metrics: Callable[[Network], Mapping[str, float]], *, image_snapshot_ticks: int,
                 network_snapshot_ticks: int, save_weight_histograms: bool,
                 judge: Judge | None = None):
        self.path = path
        self.networks = networks
        self.grid = grid
        self.image_snapshot_ticks = image_snapshot_ticks
        self.network_snapshot_ticks = network_snapshot_ticks
        self.save_weight_histograms = save_weight_histograms
        self.metrics = metrics
        self.best = BestSnapshot(path, judge)
        self.writer = Statistics(path)
        self.report = Report(path)

    def begin(self, cur_nimg: int, minibatch: int,
              options: Mapping[str, Any] = {}) -> tuple[float, float]:
        """Save the first image grids of a run, and its options for TensorBoard.

        Args:
            cur_nimg: images shown so far.
            minibatch: minibatch size for evaluating Gs.
            options: {name: value} of the options.

        Returns:
            (seconds per picture, additional seconds of the first picture by Gs).
        """
        self.writer.hparams(options)
        self.writer.layout(layout_for(options))
        self.grid.save_row_names(self.path)
        start = time.perf_counter()
        self._show_picture('reals', self.grid.save_reals(self.path), cur_nimg)
        between = time.perf_counter()
        self._show_picture('fakes', self.grid.save_fakes(self.path, cur_nimg, minibatch), cur_nimg)
        self.report.refresh()
        seconds = between - start
        return seconds, max(time.perf_counter() - between - seconds, 0.0)

    def _show_picture(self, tag, path, cur_nimg):
        """Add a saved picture to TensorBoard and the report, as a thumbnail."""
        try:
            data, (width, height), _ = self.report.add_thumbnail(os.path.basename(path))
        except OSError as error:  # The picture itself was saved; a missing copy must not end a run.
            print(f'Warning: {path} is not shown in TensorBoard: {error}', file=sys.stderr)
        else:
            self.writer.image(tag, data, width, height, cur_nimg, self.grid.row_names)

    def tick(self, cur_tick: int, cur_nimg: int, minibatch: int, done: bool,
             graph_def: tf.compat.v1.GraphDef | None = None) -> bool:
        """Save the snapshots that are due (all if the run is done) and the tick's statistics.

        Returns:
            Whether networks were saved.
        """
        networks_are_due = cur_tick % self.network_snapshot_ticks == 0 or done
        if networks_are_due:
            snapshot = self._save_networks(f'network-snapshot-{cur_nimg // 1000:06d}.pkl')
            self._save_metrics(cur_nimg, snapshot)
        if cur_tick % self.image_snapshot_ticks == 0 or done:
            self._show_picture('fakes', self.grid.save_fakes(self.path, cur_nimg, minibatch),
                               cur_nimg)
        if graph_def is not None:
            self.writer.graph(graph_def)
        if self.save_weight_histograms:
            for net in self.networks[:2]:
                for tag, values in net.setup_weight_histograms():
                    self.writer.histogram(tag, values, cur_nimg)
        save_summaries(self.writer, cur_nimg)
        self.writer.end_tick(cur_nimg)
        self.report.refresh()
        return networks_are_due

    def flush(self) -> None:
        """Flush buffered statistics to the event file."""
        self.writer.flush()

    def _save_metrics(self, cur_nimg, snapshot):
        values = self.metrics(self.networks[2])
        for name, value in values.items():
            self.writer.scalar(f'Metrics/{name}', value, cur_nimg)
        if values:
            print('Metrics:', ', '.join(f'{name} {value:.4f}' for name, value in values.items()))
        best = self.best.consider(snapshot, values, cur_nimg / 1000)
        if best is not None:
            print(f'Best so far: {best}, saved as network-best.pkl')

    def finish(self, cur_nimg: int = 0, nearest_fakes: int = 0, mirror: bool = False) -> None:
        """Save the final networks, the done mark, and the last report.

        Args:
            cur_nimg: images shown.
            nearest_fakes: number of fakes shown next to their nearest training images; 0 = none.
            mirror: whether the run mirrored its images.
        """
        self._save_networks('network-final.pkl')
        self.writer.close()
        with misc.atomic_write(os.path.join(self.path, DONE_MARK)):
            pass
        grid = self.grid
        if save_nearest(self.path, self.networks, grid.training_set, grid.latents, grid.labels,
                        nearest_fakes, mirror=mirror, kimg=cur_nimg / 1000):
            self.report.forget_thumbnail(PICTURE)
        self.report.refresh()

    def _save_networks(self, name):
        path = os.path.join(self.path, name)
        misc.save_pkl(self.networks, path)
        return path


class NoFolder:
    """`RunFolder` of a worker other than the chief: writes nothing."""
    path = None

    def __init__(self, devices: Devices):
        print(f'Worker 0 of {devices.workers} (the chief) writes the results; this is worker '
              f'{devices.index}.')

    def begin(self, cur_nimg: int, minibatch: int,
              options: Mapping[str, Any] = {}) -> tuple[float, float]:
        """Do nothing."""
        return 0.0, 0.0

    def tick(self, cur_tick: int, cur_nimg: int, minibatch: int, done: bool,
             graph_def: tf.compat.v1.GraphDef | None = None) -> bool:
        """Clear the tick's statistics."""
        summary.flush()  # The chief reports them; they are all-reduced over all workers.
        return False

    def flush(self) -> None:
        """Do nothing."""

    def finish(self, cur_nimg: int = 0, nearest_fakes: int = 0, mirror: bool = False) -> None:
        """Do nothing."""
