"""State of a running explorer: the run, its images and tasks.

The server's routes call it; it is independent of HTTP.
"""
import functools
import io
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import misc
from pgan.errors import ConfigError
from pgan.explorer import neighbours, videos
from pgan.explorer.cache import ByteCache
from pgan.explorer.directions import directions_of, kept_directions
from pgan.explorer.painter import Painter
from pgan.explorer.projections import Projections, read_picture
from pgan.explorer.recipes import Point, point_of, read_recipe
from pgan.explorer.run import Run
from pgan.explorer.tasks import Task, Tasks
from pgan.explorer.worker import View, Worker
from pgan.invocation import command, path_argument
from pgan.scripts.generator import label_size
from pgan.scripts.seeds import seed_latents

CACHE = 128 << 20  # bytes of encoded images
MOST_AT_ONCE = 256  # images per sheet or array of latents
LARGEST_SHEET = 1 << 26  # pixels
FIRST_ONES = 192  # number of images that fill a large screen
FAST = 1  # zlib level: encoding must not be slower than drawing


class Session:
    """A running explorer.

    Args:
        run: the run to explore.
    """

    def __init__(self, run: Run):
        self.run = run
        self.painter = Painter(run.Gs, run.snapshots, run.index, run.load_other)
        self.worker = Worker(self.painter.draw, self.painter.batch_size)
        self.cache = ByteCache(CACHE)
        self.tasks = Tasks()
        self.projections = Projections(run.projections_file, run.Gs, label_size(run.Gs))
        self.directions = kept_directions(run.Gs, run.path)
        self._last_video: Task | None = None
        self._about = self._describe()

    def warm_up(self) -> None:
        """Compile the network before the first request, by drawing the first images of the wall (a
        single one if the network is large).
        """
        view = View(self.run.index, is_preview=self.painter.has_preview)
        count = 1 if self.painter.has_preview else FIRST_ONES
        recipes = [str(seed) for seed in range(count)]
        step = self.painter.batch_size(view)
        for start in range(0, count, step):
            part = recipes[start:start + step]
            for recipe, image in zip(part, self.painter.draw(list(map(self.point, part)), view)):
                self.cache.put((recipe, view, False), png_bytes(image, fast=True))

    def end(self) -> None:
        """End the threads."""
        self.tasks.end()
        self.worker.end()

    # ------------------------------------------------------------ metadata

    def about(self) -> dict[str, Any]:
        """JSON-compatible metadata of the run, for the page."""
        self.run.look_for_snapshots()
        snapshots = [dict(name=os.path.basename(each.path), kimg=each.kimg)
                     for each in self.run.snapshots]
        return dict(self._about, snapshots=snapshots, directions=self._described_directions())

    def _describe(self):
        run, painter = self.run, self.painter
        return dict(
            title=run.title, session=secrets.token_hex(4), resolution=painter.resolution,
            channels=int(run.Gs.output_shape[1]), classes=run.classes, snapshot=run.index,
            lods=[dict(lod=lod, side=painter.resolution >> lod) for lod in painter.lods()],
            preview=painter.has_preview, dataset=run.has_data_set(),
            command=command('util_scripts.py', 'generate_interpolation_video', *run.command_words,
                            '--run_id',
                            path_argument(run.path if run.is_pickle else run.folder)))

    def _described_directions(self):
        if self.directions is None:
            return None
        return dict(layer=self.directions.layer, kept=self.directions.kept,
                    shares=[float(share) for share in self.directions.shares])

    # ------------------------------------------------------------ sources of recipes

    def of_seed(self, seed: int, label: int | None) -> Point:
        return Point(seed_latents(self.run.Gs, seed), self.run.label(seed, label))

    def of_projection(self, number: int, step: int | None) -> Point:
        return self.projections.point(number, step)

    def direction(self, number: int) -> np.ndarray:
        if self.directions is None or number >= len(self.directions.steps):
            raise ConfigError(f'There is no direction {number} yet. Compute directions first: open '
                              "an image and choose 'Find directions'.")
        return self.directions.steps[number:number + 1]

    def point(self, recipe: str) -> Point:
        """Compute the point of a recipe.

        Raises:
            ConfigError: the recipe is not valid for this run.
        """
        return point_of(read_recipe(recipe), self)

    # ------------------------------------------------------------ images

    def check_view(self, view: View) -> View:
        """Raise ConfigError if the snapshot, lod or size is invalid; return the view."""
        side = self.painter.resolution
        most = len(self.run.snapshots) - 1
        if not 0 <= view.snapshot <= most:
            raise ConfigError(f'snapshot: expected an index from 0 to {most}. Received: '
                              f'{view.snapshot}.')
        coarsest = int(np.log2(side)) - 2
        if view.lod is not None and not 0 <= view.lod <= coarsest:
            raise ConfigError(f'lod: expected an integer from 0 to {coarsest}. Received: '
                              f'{view.lod}.')
        if not 1 <= view.shrink <= side or view.shrink & (view.shrink - 1):
            raise ConfigError(f'shrink: expected a power of two up to {side}. Received: '
                              f'{view.shrink}.')
        return view

    def png(self, recipe: str, view: View, *, alone: bool = False, later: bool = False,
            wanted: Callable[[], bool] = lambda: True) -> bytes:
        """Image as PNG, from the cache or newly drawn; see `Worker.image`."""
        key = recipe, self.check_view(view), alone
        data = self.cache.get(key)
        if data is None:
            image = self.worker.image(self.point(recipe), view, recipe, alone=alone, later=later,
                                      wanted=wanted)
            data = png_bytes(image, fast=not alone)
            self.cache.put(key, data)
        return data

    def sheet(self, recipes: Sequence[str], view: View, wanted: Callable[[], bool]) -> bytes:
        """Image grid as one PNG. Images are drawn in separate batches, as in generate_fake_images.
        """
        self._check_count(recipes)
        side = self.painter.resolution // self.check_view(view).shrink >> (view.lod or 0)
        if side**2 * len(recipes) > LARGEST_SHEET:
            raise ConfigError(f'{len(recipes)} images of {side}x{side} pixels are too large for a '
                              f'sheet. Keep at most {LARGEST_SHEET // side**2} of them.')
        images = [self.worker.image(point, view, alone=True, wanted=wanted)
                  for point in map(self.point, recipes)]
        return png_bytes(misc.create_image_grid(np.stack(images)))

    def arrays(self, recipes: Sequence[str]) -> Point:
        """Latents [N, ...] and labels [N, label size] of recipes."""
        self._check_count(recipes)
        return Point(*(np.concatenate(parts) for parts in zip(*map(self.point, recipes))))

    def _check_count(self, recipes):
        if not 1 <= len(recipes) <= MOST_AT_ONCE:
            raise ConfigError(f'of: expected 1 to {MOST_AT_ONCE} recipes. Received: '
                              f'{len(recipes)}.')

    # ------------------------------------------------------------ tasks

    @functools.cached_property
    def spare(self) -> Any:
        """Second copy of the generator, for the tasks' thread."""
        return self.run.load_other(self.run.path)

    def start_directions(self) -> Task:
        """Start to load or compute directions."""
        def work(task):
            self.directions = directions_of(
                self.spare, self.run.path, lambda seed: self.run.label(seed, None), task.report)
            return self._described_directions()
        return self.tasks.start(work)

    def start_projection(self, picture: bytes, label: int | None) -> Task:
        """Start to project an uploaded picture.

        Raises:
            DataError: the picture cannot be decoded.
            ConfigError: there is no such class.
        """
        target = read_picture(picture, self.run.Gs)
        if label is not None:
            self.run.label(0, label)

        def work(task):
            return self.projections.run(task, self.spare, target, label)
        task = self.tasks.start(work)
        task.target = png_bytes(misc.adjust_dynamic_range(target[0], [-1, 1], [0, 255]))
        return task

    def start_nearest(self, recipe: str, snapshot: int) -> Task:
        """Start to search for the training images nearest to an image."""
        view, point = self.check_view(View(snapshot)), self.point(recipe)

        def work(task):
            image = self.worker.image(point, view, wanted=lambda: not task.is_cancelled)
            return neighbours.nearest_of(task, self.run, image)
        return self.tasks.start(work)

    def start_video(self, recipes: Sequence[str], snapshot: int, seconds: float,
                    is_loop: bool) -> Task:
        """Start to write an interpolation video as MP4."""
        if not 2 <= len(recipes) <= videos.MOST_STATIONS:
            raise ConfigError(f'of: expected 2 to {videos.MOST_STATIONS} recipes. Received: '
                              f'{len(recipes)}.')
        least = len(recipes) / videos.FPS
        if not least <= seconds <= videos.LONGEST:
            raise ConfigError(f'seconds: expected {least:.2g} to {videos.LONGEST:g}. Received: '
                              f'{seconds:g}.')
        view = self.check_view(View(snapshot))
        frames = videos.walk_frames([self.point(recipe) for recipe in recipes],
                                    round(seconds * videos.FPS), is_loop)

        def work(task):
            if self._last_video is not None:
                self._last_video.result = None  # Videos may be large; keep only the newest.
            self._last_video = task
            return videos.write_walk(task, frames, lambda point: self.worker.image(
                point, view, later=True, wanted=lambda: not task.is_cancelled))
        return self.tasks.start(work)


def png_bytes(image: np.ndarray, fast: bool = False) -> bytes:
    """Encode an image [C, H, W] with values from 0 to 255 as PNG.

    The bytes are identical to those of `misc.save_image`, unless `fast` selects less compression.
    """
    encoded = io.BytesIO()
    options = dict(compress_level=FAST) if fast else {}
    misc.convert_to_pil_image(image, [0, 255]).save(encoded, 'PNG', **options)
    return encoded.getvalue()
