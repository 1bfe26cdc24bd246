"""Seeds in StyleGAN's notation, '1-20,42': one image per seed, or stations of a video."""
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import misc
from pgan.errors import ConfigError
from pgan.options import Option, is_integer

if TYPE_CHECKING:
    from tfutil import Network

MAX_SEED = 2**32 - 1  # limit of NumPy's RandomState
MAX_SEEDS = 1_000_000
WHERE = 'train.seeds'
# options that seeds replace
REPLACED = ('grid_size', 'num_pngs', 'num', 'random_seed', 'smoothing_sec')


def seed_list(seeds: str | int | Sequence[Any]) -> list[int]:
    """Return the seeds in the given order.

    Args:
        seeds: a string like '1-20,42', one integer, or a list of such strings and integers.

    Raises:
        ConfigError: a part is neither a seed nor a range from low to high, a seed appears twice, or
            there are no seeds or more than MAX_SEEDS.
    """
    found: dict[int, None] = {}  # a dict keeps the order
    for first, last, part in _ranges(seeds):
        if len(found) + last - first + 1 > MAX_SEEDS:
            raise ConfigError(f'{WHERE}: expected at most {MAX_SEEDS} seeds, {part!r} exceeds that.'
                              f' Received: {seeds!r}. Split them into several calls.')
        for seed in range(first, last + 1):
            if seed in found:
                raise ConfigError(f'{WHERE}: expected each seed once, but seed {seed} is repeated '
                                  f'in {part!r}. Received: {seeds!r}.')
            found[seed] = None
    if not found:
        raise ConfigError(f'{WHERE}: expected at least one seed. Received: {seeds!r}.')
    return list(found)


def _ranges(seeds: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield (first, last, the part as given) of each part."""
    if isinstance(seeds, str):
        seeds = seeds.split(',')
    for item in seeds if isinstance(seeds, (list, tuple)) else [seeds]:
        if isinstance(item, str) and ',' in item or isinstance(item, (list, tuple)):
            yield from _ranges(item)
            continue
        first, last = _range(item)
        if max(first, last) > MAX_SEED:
            raise ConfigError(f'{WHERE}: expected seeds from 0 to {MAX_SEED}. Received: {item!r}.')
        if first > last:
            raise ConfigError(f'{WHERE}: expected a range of seeds from low to high. Received: '
                              f"{item!r}. Write '{last}-{first}'.")
        yield first, last, item


def _range(item):
    """Return (first, last) of an integer, '42' or '1-20'."""
    match = re.fullmatch(r'\s*([0-9]{1,30})\s*(?:-\s*([0-9]{1,30})\s*)?', str(item))
    if not (match and (is_integer(item) or isinstance(item, str))):
        raise ConfigError(f"{WHERE}: expected seeds and ranges of seeds like '1-20,42'. Received: "
                          f'{item!r}.')
    return int(match[1]), int(match[2] or match[1])


def expect_alone(options: Mapping[str, Option], given: Mapping[str, Any]) -> None:
    """Raise ConfigError if an option that seeds replace differs from its default.

    Args:
        options: {name: Option} of the script.
        given: {option: value}; options that seeds do not replace are skipped.
    """
    for name in filter(given.__contains__, REPLACED):
        value, default = given[name], options[name].default
        if (list(value) if isinstance(default, list) else value) != default:
            raise ConfigError(f'train.{name}: cannot be combined with {WHERE}, which makes one '
                              f'image per seed. Received: {value!r}. Leave out one of the two.')


def seed_latents(Gs: 'Network', seed: int) -> np.ndarray:
    """Return the latents of one image: RandomState(seed).randn(1, *Gs.input_shape[1:]), float32."""
    return misc.random_latents(1, Gs, np.random.RandomState(seed))


# --------------------------------------------------------------------------------------------------
# Closed loops through stations.


def station_frames(num_stations: int, num_frames: int) -> list[int]:
    """Return the frame of each station, starting at 0 and evenly spaced.

    Raises:
        ConfigError: there are fewer than two stations, or more stations than frames.
    """
    if num_stations < 2:
        raise ConfigError(f'{WHERE}: expected at least two seeds, as the video moves from one to '
                          f'the next. Received: {num_stations}.')
    if num_stations > num_frames:
        raise ConfigError(f'train.duration_sec: expected at least one frame for each of the '
                          f'{num_stations} seeds. Received: {num_frames} frames.')
    return [index * num_frames // num_stations for index in range(num_stations)]


def closed_loop(stations: np.ndarray, num_frames: int,
                blend: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> np.ndarray:
    """Interpolate from each station to the next, and from the last to the first.

    The motion slows down at each station, so it has no kinks.

    Args:
        stations: [stations, ...]; each is reproduced exactly by one of the frames.
        num_frames: total number of frames.
        blend: `slerp` or `lerp`.

    Returns:
        [num_frames, ...] of the stations' dtype.
    """
    starts = station_frames(len(stations), num_frames)
    frames = np.empty([num_frames, *stations.shape[1:]], stations.dtype)
    for index, start in enumerate(starts):
        a, b = stations[index], stations[(index + 1) % len(stations)]
        end = [*starts, num_frames][index + 1]
        frames[start] = a
        for frame in range(start + 1, end):
            share = (frame - start) / (end - start)
            frames[frame] = blend(a, b, 0.5 - 0.5 * np.cos(np.pi * share))
    return frames


def lerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Linear interpolation: a at share 0, b at share 1."""
    return (1 - share) * a + share * b


def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Spherical interpolation of the directions of two latents.

    The length changes linearly from that of a to that of b. Networks that normalize latents depend
    on the directions only.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(np.sum(a * b) / max(lengths[0] * lengths[1], 1e-12), -1, 1))
    if np.sin(angle) < 1e-6:  # same or opposite directions: the great circle is not unique
        return lerp(a, b, share)
    direction = (np.sin((1 - share) * angle) * a / lengths[0] + np.sin(share * angle) * b /
                 lengths[1]) / np.sin(angle)
    return direction * ((1 - share) * lengths[0] + share * lengths[1])
