"""Seeds as StyleGAN's users write them, '1-20,42': one image each, or stations of a video."""
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import misc
from pgan.errors import ConfigError
from pgan.options import Option, is_integer

if TYPE_CHECKING:
    from tfutil import Network

MAX_SEED = 2**32 - 1  # of NumPy's RandomState
MAX_SEEDS = 1_000_000
WHERE = 'train.seeds'
REPLACED = ('grid_size', 'num_pngs', 'num', 'random_seed', 'smoothing_sec')  # by seeds


def seed_list(seeds: str | int | Sequence[Any]) -> list[int]:
    """Seeds in the given order.

    Args:
        seeds: a string like '1-20,42', one integer, or a list of such strings and integers.

    Raises:
        ConfigError: a part is neither a seed nor a range from low to high, a seed comes twice, or
            there are none or more than MAX_SEEDS.
    """
    found: dict[int, None] = {}  # a dict keeps the order
    for first, last, part in _ranges(seeds):
        if len(found) + last - first + 1 > MAX_SEEDS:
            raise ConfigError(f'{WHERE}: expected at most {MAX_SEEDS} seeds, {part!r} exceeds that.'
                              f' Received: {seeds!r}. Split them into several calls.')
        for seed in range(first, last + 1):
            if seed in found:
                raise ConfigError(f'{WHERE}: expected each seed once, but seed {seed} comes again '
                                  f'in {part!r}. Received: {seeds!r}.')
            found[seed] = None
    if not found:
        raise ConfigError(f'{WHERE}: expected at least one seed. Received: {seeds!r}.')
    return list(found)


def _ranges(seeds: Any) -> Iterator[tuple[int, int, Any]]:
    """(first, last, the part as it was given) of each part."""
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
    """(first, last) of an integer, '42' or '1-20'."""
    match = re.fullmatch(r'\s*([0-9]{1,30})\s*(?:-\s*([0-9]{1,30})\s*)?', str(item))
    if not (match and (is_integer(item) or isinstance(item, str))):
        raise ConfigError(f"{WHERE}: expected seeds and ranges of seeds like '1-20,42'. Received: "
                          f'{item!r}.')
    return int(match[1]), int(match[2] or match[1])


def expect_alone(options: Mapping[str, Option], given: Mapping[str, Any]) -> None:
    """Raise ConfigError if an option that seeds replace differs from its default.

    Args:
        options: of the script, {name: Option}.
        given: {option: value}; options that seeds do not replace are skipped.
    """
    for name in filter(given.__contains__, REPLACED):
        value, default = given[name], options[name].default
        if (list(value) if isinstance(default, list) else value) != default:
            raise ConfigError(f'train.{name}: cannot be combined with {WHERE}, which makes one '
                              f'image of each seed. Received: {value!r}. Leave out one of the two.')


def seed_latents(Gs: 'Network', seed: int) -> np.ndarray:
    """Latents of one image, float32 [1, ...]: RandomState(seed).randn(1, *Gs.input_shape[1:])."""
    return misc.random_latents(1, Gs, np.random.RandomState(seed))


# --------------------------------------------------------------------------------------------------
# A closed loop through stations.


def station_frames(num_stations: int, num_frames: int) -> list[int]:
    """The frame at which each station is reached, from 0 up, evenly spread.

    Raises:
        ConfigError: there are fewer than two stations, or more than frames.
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
    """Frames that lead from each station to the next, and from the last to the first. The way slows
    down at each station, so that it has no kinks.

    Args:
        stations: [stations, ...]; each is one of the frames, bit for bit.
        num_frames: how many frames in all.
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
    """Spherical interpolation of two latents' directions; the length changes linearly from that of
    a to that of b. Networks that normalize latents see the directions only.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(np.sum(a * b) / max(lengths[0] * lengths[1], 1e-12), -1, 1))
    if np.sin(angle) < 1e-6:  # the same or opposite directions: no circle is the shortest
        return lerp(a, b, share)
    direction = (np.sin((1 - share) * angle) * a / lengths[0] + np.sin(share * angle) * b /
                 lengths[1]) / np.sin(angle)
    return direction * ((1 - share) * lengths[0] + share * lengths[1])
