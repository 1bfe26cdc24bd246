"""Video of images that morph into one another."""
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
    """Write a seamlessly looping video of a trained generator's images, with smoothly varying
    latents.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: kimg of the network; 'best' = the best by the run's metric; None = the last.
        grid_size: images across and down.
        image_shrink: average boxes of this many pixels across and down; None = chosen so that a
            frame is at most 3840x2160.
        image_zoom: then repeat each pixel this many times across and down; None = chosen so that a
            frame is at least 256x256.
        duration_sec: length of the video in seconds.
        smoothing_sec: standard deviation of the temporal filter of the latents, in seconds; larger
            = slower changes.
        mp4: file name; None = names of the run, the network and the class that labels chooses, with
            '-lerp.mp4'.
        mp4_fps: frames per second.
        mp4_codec: video encoder.
        mp4_bitrate: bitrate of the video.
        random_seed: seed of the latents.
        minibatch_size: images per evaluation.
        labels: for a network with labels: None = random labels of the data set, 3 or temple = one
            class by number or name for all images, 'rows' = a class per grid row. Each cell keeps
            its label.
        seeds: two or more; replaces grid_size, random_seed and smoothing_sec. The video passes
            through the images of these seeds and back to the first, by spherical interpolation of
            the latents. Random labels are drawn per seed.
        config: configuration like config.py; None = the module `config`. Uses result_dir, data_dir,
            desc and num_gpus.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run or snapshot, or a file cannot be written.
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
    """Return latents that change slowly from frame to frame, and from the last to the first.

    Args:
        Gs: the network; its input_shape gives the shape of a latent.
        num_frames, num_images: number of frames, and of images in each.
        smoothing: standard deviation of the Gaussian filter, in frames.
        random_seed: seed of the normal noise that is filtered.

    Returns:
        float32 [num_frames, num_images, ...], of mean square 1.
    """
    random_state = np.random.RandomState(random_seed)
    latents = np.empty([num_frames, num_images, *Gs.input_shape[1:]], np.float32)
    for frame in latents:  # one at a time: random_latents works in double precision
        frame[:] = misc.random_latents(num_images, Gs, random_state)
    latents = scipy.ndimage.gaussian_filter(latents, [smoothing] + [0] * (latents.ndim - 1),
                                            mode='wrap')
    latents /= np.sqrt(np.mean(np.square(latents)))
    return latents


class InterpolationFrames:
    """Frames by number, generated a minibatch at a time.

    If the images of one frame do not fill a minibatch, those of the following frames are generated
    with them.

    Args:
        draw: function of latents [N, ...] and labels [N, label size] to uint8 images [N, C, H, W].
        latents: [frames, images, ...].
        labels: [frames, images, label size].
        grid_size: (columns, rows).
        image_zoom: how many times to repeat each pixel.
        minibatch_size: number of images per evaluation.
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
        self.images: np.ndarray  # images of the frames from `start` on

    def __call__(self, index: int) -> np.ndarray:
        """Return frame `index` as uint8 [height, width, 3]."""
        start = index - index % self.ahead
        if start != self.start:
            latents = self.latents[start:start + self.ahead]
            labels = self.labels[start:start + self.ahead]
            images = self.draw(np.concatenate(latents), np.concatenate(labels))
            self.start, self.images = start, images.reshape(*latents.shape[:2], *images.shape[1:])
        grid = misc.create_image_grid(self.images[index - start], self.grid_size)
        grid = repeat_pixels(grid, self.image_zoom)
        return np.broadcast_to(grid, [3, *grid.shape[1:]]).transpose(1, 2, 0)
