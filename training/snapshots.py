"""What a run saves now and then: image grids, networks, statistics."""
import os

import numpy as np

import misc
from errors import ConfigError
from tfutil import SummaryWriter, save_summaries

GRID_SIZES = {'1080p': (1920, 1080, 3, 2), '4k': (3840, 2160, 7, 4)}  # pixels across and down; at least so many images
GRID_LAYOUTS = ('random', 'row_per_class')


def snapshot_grid_size(image_width, image_height, size):
    """Images across and down that fill a picture of the size: at most 32 each way."""
    if size not in GRID_SIZES:
        raise ConfigError(f'grid.size must be one of {", ".join(GRID_SIZES)}. Received: {size!r}')
    width, height, min_across, min_down = GRID_SIZES[size]
    return int(np.clip(width // image_width, min_across, 32)), int(np.clip(height // image_height, min_down, 32))


def setup_snapshot_image_grid(G, training_set, size='1080p', layout='random'):
    """Choose the real images, labels and latents of a run's image grids.

    Args:
        G: the generator; gives the size of images and latents.
        training_set: the data set; grids are made of its full-resolution images.
        size: '1080p' or '4k': the picture to fill.
        layout: 'random', or 'row_per_class': row y shows only class y mod label_size.

    Returns:
        ((images across, down), reals uint8 [n, C, R, R], labels [n, label size], latents [n, latent size]).

    Raises:
        ConfigError: another size or layout, or rows per class asked of a run without labels.
    """
    gw, gh = snapshot_grid_size(G.output_shape[3], G.output_shape[2], size)
    latents = misc.random_latents(gw * gh, G)
    if layout == 'random':
        reals, labels = training_set.get_minibatch_np(gw * gh)
    elif layout == 'row_per_class':
        reals, labels = reals_by_row(training_set, gw, gh)
    else:
        raise ConfigError(f'grid.layout must be one of {", ".join(GRID_LAYOUTS)}. Received: {layout!r}')
    return (gw, gh), reals, labels, latents


def reals_by_row(training_set, gw, gh, max_images=100000):
    """Draw images until each row y is full of class y mod label_size; rows whose class is too rare stay black with its label."""
    classes = training_set.label_size
    if classes == 0:
        raise ConfigError("grid.layout 'row_per_class' needs labels: condition the run with dataset.max_label_size = 'full' "
                          "(the line '-cond'), or choose grid.layout = 'random'.")
    rows = [[] for _ in range(gh)]
    labels = np.zeros([gw * gh, classes], training_set.label_dtype)
    labels[np.arange(gw * gh), np.arange(gw * gh) // gw % classes] = 1
    for _ in range(max_images):
        if all(len(row) == gw for row in rows):
            break
        image, label = (x[0] for x in training_set.get_minibatch_np(1))
        open_rows = [row for y, row in enumerate(rows) if len(row) < gw and label.argmax() == y % classes and label.max() > 0]
        if open_rows:
            open_rows[0].append(image)
    black = np.zeros(training_set.shape, training_set.dtype)
    return np.stack([image for row in rows for image in row + [black] * (gw - len(row))]), labels


class ImageSnapshots:
    """reals.png once, and fakes%06d.png (kimg) of the same latents and labels throughout."""

    def __init__(self, Gs, training_set, drange_net, size, layout):
        self.Gs, self.training_set, self.drange_net = Gs, training_set, drange_net
        self.grid_size, self.reals, self.labels, self.latents = setup_snapshot_image_grid(Gs, training_set, size, layout)

    def save_reals(self, folder):
        misc.save_image_grid(self.reals, os.path.join(folder, 'reals.png'), drange=self.training_set.dynamic_range,
                             grid_size=self.grid_size)
        self.reals = None  # a 4k grid of 1024x1024 images takes as much memory as a network

    def save_fakes(self, folder, cur_nimg, minibatch):
        fakes = self.Gs.run(self.latents, self.labels, minibatch_size=minibatch)
        misc.save_image_grid(fakes, os.path.join(folder, f'fakes{cur_nimg // 1000:06d}.png'), drange=self.drange_net,
                             grid_size=self.grid_size)


class RunFolder:
    """A result folder and what a run writes into it.

    Args:
        path: the folder, already made.
        networks: (G, D, Gs).
        grid: `ImageSnapshots`.
        image_snapshot_ticks, network_snapshot_ticks: ticks between two fakes*.png, and between two network-snapshot-*.pkl.
        save_weight_histograms: write them to the event file at each tick.
    """

    def __init__(self, path, networks, grid, image_snapshot_ticks, network_snapshot_ticks, save_weight_histograms):
        self.path, self.networks, self.grid = path, networks, grid
        self.image_snapshot_ticks, self.network_snapshot_ticks = image_snapshot_ticks, network_snapshot_ticks
        self.save_weight_histograms = save_weight_histograms
        self.writer = SummaryWriter(path)

    def begin(self, cur_nimg, minibatch):
        """Save the grids of a run that has not trained yet."""
        self.grid.save_reals(self.path)
        self.grid.save_fakes(self.path, cur_nimg, minibatch)

    def tick(self, cur_tick, cur_nimg, minibatch, done, graph_def=None):
        """Write the tick's statistics, and the snapshots that are due (all of them when the run is done)."""
        if graph_def is not None:
            self.writer.graph(graph_def)
        if self.save_weight_histograms:
            for net in self.networks[:2]:
                for tag, values in net.setup_weight_histograms():
                    self.writer.histogram(tag, values, cur_nimg)
        save_summaries(self.writer, cur_nimg)
        if cur_tick % self.image_snapshot_ticks == 0 or done:
            self.grid.save_fakes(self.path, cur_nimg, minibatch)
        if cur_tick % self.network_snapshot_ticks == 0 or done:
            self._save_networks(f'network-snapshot-{cur_nimg // 1000:06d}.pkl')

    def finish(self):
        """Save the final networks and, last of all, the sign that the run came to its end."""
        self._save_networks('network-final.pkl')
        self.writer.close()
        with misc.atomic_write(os.path.join(self.path, '_training-done.txt')):
            pass

    def _save_networks(self, name):
        misc.save_pkl(self.networks, os.path.join(self.path, name))
