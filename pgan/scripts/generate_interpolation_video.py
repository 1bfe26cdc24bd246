"""A video of images that turn into one another."""
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage

import misc
from pgan.options import Count, NonNegative, Positive, Seed, Snapshot, options_of
from pgan.pixels import repeat_pixels
from pgan.scripts import generator
from pgan.scripts.label_choice import label_source, labels_of_seeds, report_rows
from pgan.scripts.option_checks import (
    Bitrate,
    Codec,
    GridSize,
    Labels,
    RunId,
    Seeds,
    VideoName,
    chosen_shrink,
    chosen_zoom,
    frame_count,
    name_of_label,
)
from pgan.scripts.script import script
from pgan.scripts.seeds import (
    closed_loop,
    expect_alone,
    lerp,
    seed_latents,
    seed_list,
    slerp,
    station_frames,
)
from pgan.scripts.video import write_video

if TYPE_CHECKING:
    from tfutil import Network


@script
def generate_interpolation_video(
    run_id: RunId,
    snapshot: Snapshot = None,
    grid_size: GridSize = [1, 1],
    image_shrink: Count | None = 1,
    image_zoom: Count | None = 1,
    duration_sec: Positive = 60.0,
    smoothing_sec: NonNegative = 1.0,
    mp4: VideoName | None = None,
    mp4_fps: Count = 30,
    mp4_codec: Codec = 'libx264',
    mp4_bitrate: Bitrate = '16M',
    random_seed: Seed = 1000,
    minibatch_size: Count = 8,
    labels: Labels = None,
    seeds: Seeds | None = None,
    *,
    config: Any = None,
) -> str:
    """Write a video, without a seam between its end and its start, of what a trained generator
    makes of wandering latents.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: which network, by its kimg; 'best' = by the run's metric; None for the last.
        grid_size: images across and down.
        image_shrink: average squares of this many pixels a side; None = chosen so that a frame is
            at most 3840x2160.
        image_zoom: then repeat each pixel this many times across and down; None = chosen so that a
            frame is at least 256x256.
        duration_sec: length of the video in seconds.
        smoothing_sec: how slowly the latents wander: the standard deviation of the filter along
            time, in seconds.
        mp4: file name; None for the names of the run, the network and the class that labels
            chooses, with '-lerp.mp4'.
        mp4_fps, mp4_codec, mp4_bitrate: of the video.
        random_seed: of the latents.
        minibatch_size: images per evaluation.
        labels: of a network with labels: None = those of the data set at random, 3 or temple = a
            class by number or name for all, 'rows' = a class per grid row. Each cell keeps its own
            throughout.
        seeds: two or more, in place of grid_size, random_seed and smoothing_sec: the video leads
            from the image of each to that of the next, and back to the first, along the sphere of
            latents. Where labels are drawn at random, each seed has its own.
        config: as config.py; None = the module `config`. Gives result_dir, data_dir, desc and
            num_gpus.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run or snapshot, or the disk is in the way.
    """
    num_frames = frame_count(duration_sec, mp4_fps)
    stations = [] if seeds is None else seed_list(seeds)
    if seeds is not None:
        expect_alone(
            options_of(generate_interpolation_video),
            dict(grid_size=grid_size, random_seed=random_seed, smoothing_sec=smoothing_sec))
        station_frames(len(stations), num_frames)
    Gs, network_pkl = generator.load_generator(run_id, snapshot, config)
    image_shrink = chosen_shrink(Gs, image_shrink, grid_size)
    size = Gs.output_shape[-1] // image_shrink
    image_zoom = chosen_zoom(image_zoom, [size * count for count in grid_size])
    cell_labels = labels_of_seeds(labels, Gs, network_pkl, config, stations) if stations else (
        label_source(labels, Gs, network_pkl, config, random_seed)(grid_size))
    mp4 = mp4 or '-'.join(filter(None, (generator.name_of_network(network_pkl),
                                        name_of_label(labels), 'lerp.mp4')))

    print('Generating latent vectors...')
    if stations:
        latents = closed_loop(np.stack([seed_latents(Gs, seed) for seed in stations]), num_frames,
                              slerp)
        cell_labels = closed_loop(cell_labels[:, np.newaxis], num_frames, lerp)
    else:
        latents = wandering_latents(Gs, num_frames, grid_size[0] * grid_size[1],
                                    smoothing_sec * mp4_fps, random_seed)
        cell_labels = np.broadcast_to(cell_labels, [num_frames, *cell_labels.shape])
    result_subdir = generator.new_result_folder(config)
    report_rows(result_subdir, labels, grid_size[1], Gs, network_pkl, config)
    draw = lambda latents, labels: generator.draw(Gs, latents, labels, minibatch_size, config.
                                                  num_gpus, image_shrink)
    frames = InterpolationFrames(draw, latents, cell_labels, grid_size, image_zoom, minibatch_size)
    write_video(os.path.join(result_subdir, mp4), frames, num_frames, mp4_fps, mp4_codec,
                mp4_bitrate)
    generator.mark_done(result_subdir)
    return result_subdir


def wandering_latents(Gs: 'Network', num_frames: int, num_images: int, smoothing: float,
                      random_seed: int) -> np.ndarray:
    """Latents that change slowly from frame to frame, and from the last to the first.

    Args:
        Gs: the network; its input_shape gives the shape of a latent.
        num_frames, num_images: how many frames, of how many images each.
        smoothing: standard deviation of the Gaussian filter, in frames.
        random_seed: of the normal noise that is filtered.

    Returns:
        float32 [num_frames, num_images, ...], of mean square 1.
    """
    random_state = np.random.RandomState(random_seed)
    latents = np.empty([num_frames, num_images, *Gs.input_shape[1:]], np.float32)
    for frame in latents:  # not all at once: in double precision they take twice the memory
        frame[:] = misc.random_latents(num_images, Gs, random_state)
    latents = scipy.ndimage.gaussian_filter(latents, [smoothing] + [0] * (latents.ndim - 1),
                                            mode='wrap')
    latents /= np.sqrt(np.mean(np.square(latents)))
    return latents


class InterpolationFrames:
    """Frames by number. While images of a whole frame do not fill a minibatch, those of the
    following frames are drawn along with them.

    Args:
        draw: function: latents [N, ...], labels [N, label size] -> images uint8 [N, C, H, W].
        latents: [frames, images, ...].
        labels: [frames, images, label size].
        grid_size: (columns, rows).
        image_zoom: how many times to repeat each pixel.
        minibatch_size: how many images to draw at a time.
    """

    def __init__(self, draw: Callable[[np.ndarray, np.ndarray], np.ndarray], latents: np.ndarray,
                 labels: np.ndarray, grid_size: Sequence[int], image_zoom: int,
                 minibatch_size: int):
        self.draw = draw
        self.latents = latents
        self.labels = labels
        self.grid_size = grid_size
        self.image_zoom = image_zoom
        self.ahead = max(minibatch_size // latents.shape[1], 1)
        self.start: int | None = None
        self.images: np.ndarray  # of the frames from `start` on

    def __call__(self, index: int) -> np.ndarray:
        """Frame `index` as uint8 [height, width, 3]."""
        start = index - index % self.ahead
        if start != self.start:
            latents = self.latents[start:start + self.ahead]
            labels = self.labels[start:start + self.ahead]
            images = self.draw(np.concatenate(latents), np.concatenate(labels))
            self.start, self.images = start, images.reshape(*latents.shape[:2], *images.shape[1:])
        grid = misc.create_image_grid(self.images[index - start], self.grid_size)
        grid = repeat_pixels(grid, self.image_zoom)
        return np.broadcast_to(grid, [3, *grid.shape[1:]]).transpose(1, 2, 0)
