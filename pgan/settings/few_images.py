"""Options of `train.py --images FOLDER` and configs/few_images.py, chosen by the number of
pictures, the speed of the machine and the available time.

Arithmetic only: nothing here reads files or needs TensorFlow. `pgan.training.own_pictures` surveys
the folder, measures the machine and calls these functions.
"""
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pgan.nn.architecture import discriminator_layers, generator_layers
from pgan.nn.specs import LayerSpec, Width, update_multiplications
from pgan.resolutions import LARGEST, log2_of, reached_by_most
from pgan.settings import catalogue

HOURS = 8.0  # default time for a run: overnight

RESOLUTIONS = (8, 16, 32, 64, 128, 256, 512, LARGEST)
WIDTHS = (32, 64, 128, 256, 512)  # fmap_max; fmap_base is 16x this, the paper's ratio
BASE_OF_WIDTH = 16
# Narrowest networks worth training, by resolution.
NARROWEST = {8: 32, 16: 32, 32: 32, 64: 64, 128: 64, 256: 128, 512: 256, 1024: 512}
# Minimum length of a run in kimg, by resolution. The digits of the quick start are legible after
# 40 kimg at 32x32; the paper's 1024x1024 took 12000.
WANTED_KIMG = {8: 10, 16: 25, 32: 80, 64: 240, 128: 600, 256: 1500, 512: 3500, 1024: 8000}
WIDER_FROM = 2  # wider networks than the narrowest must allow runs of 2x WANTED_KIMG
LEAST_KIMG = 10.0  # minimum of any run: fakes*.png are numbered by thousands of images
# With so few pictures, wider networks would only memorize them.
WIDEST = ((1000, 128), (10000, 256), (math.inf, 512))  # (fewer pictures than, fmap_max)

AUGMENTED_BELOW = 20000  # pictures; with more, D sees each one too rarely to memorize it
GROWING = 0.4  # fraction of the images shown before the full resolution has faded in
TICKS = 20  # fakes*.png per run
TICKS_A_SNAPSHOT = 5
MINIBATCH = 16
SMALLER_MINIBATCHES = {256: 8, 512: 4, 1024: 4}  # by resolution; multiples of D.mbstd_group_size
# Short runs need larger steps: (thousands of images up to, learning rate).
LEARNING_RATES = ((100, 0.004), (500, 0.002), (math.inf, 0.001))
SMOOTHED = 0.02  # Gs averages over this fraction of the run, so that it catches up with G

# Defaults of the options below, which command lines may omit.
DEFAULTS: dict[str, Any] = {
    'dataset.max_label_size': 0, 'train.augment': None, 'train.image_snapshot_ticks': 1,
    'train.mirror_augment': False,
    'sched.lod_initial_resolution': 4, 'sched.minibatch_base': 16, 'sched.minibatch_dict': {},
    'sched.G_lrate_base': 0.001, 'sched.D_lrate_base': 0.001, 'sched.G_lrate_dict': {},
    'sched.D_lrate_dict': {}}


class Choice(NamedTuple):
    """Choices for a run on a folder of pictures.

    Attributes:
        tfrecord_dir: name of the data set.
        num_images: number of pictures in it.
        resolution: its resolution.
        width: feature maps of the widest layers, fmap_max.
        total_kimg: length of the run in thousands of images.
        precision: line of config.py: 'fp32', 'fp16' or 'bf16'.
        labels: whether to train with the classes of the data set.
        desc: name of the result folder, after its number; '' = name of the data set.
    """
    tfrecord_dir: str
    num_images: int
    resolution: int
    width: int
    total_kimg: float
    precision: str = 'fp32'
    labels: bool = False
    desc: str = ''


def options(choice: Choice) -> dict[str, Any]:
    """Options of a choice, except for its precision: {'train.total_kimg': 100, ...}."""
    total, base = choice.total_kimg, BASE_OF_WIDTH * choice.width
    steps = max(log2_of(choice.resolution) - 2, 1)
    phase_kimg = rounded(GROWING * total / steps / 2)
    rate = next(rate for most, rate in LEARNING_RATES if total <= most)
    smaller = {size: count for size, count in SMALLER_MINIBATCHES.items()
               if size <= choice.resolution}
    found = {
        'desc': choice.desc or choice.tfrecord_dir,
        'dataset.tfrecord_dir': choice.tfrecord_dir,
        'dataset.max_label_size': 'full' if choice.labels else 0,
        'grid.layout': 'row_per_class' if choice.labels else 'random',
        'train.total_kimg': total,
        'train.mirror_augment': False,
        'train.G_smoothing': smoothing(total),
        'train.image_snapshot_ticks': 1,
        'train.network_snapshot_ticks': TICKS_A_SNAPSHOT,
        'sched.lod_initial_resolution': 4,
        'sched.lod_training_kimg': phase_kimg,
        'sched.lod_transition_kimg': phase_kimg,
        'sched.minibatch_base': MINIBATCH,
        'sched.minibatch_dict': smaller,
        'sched.tick_kimg_base': max(rounded(total / TICKS), 1),
        'sched.tick_kimg_dict': {},
    }
    for net in 'GD':
        found |= {f'{net}.fmap_base': base, f'{net}.fmap_max': choice.width,
                  f'sched.{net}_lrate_base': rate, f'sched.{net}_lrate_dict': {}}
    return found | augmentation_for(choice.num_images)


def augmentation_for(num_images: int) -> dict[str, Any]:
    """Options that keep D from memorizing the pictures, and show whether Gs has memorized them."""
    augment = 'diffaugment' if num_images < AUGMENTED_BELOW else None
    return {'train.augment': augment, 'train.nearest_fakes': 8}


def smoothing(total_kimg: float) -> float:
    """train.G_smoothing for averaging over the fraction SMOOTHED of a run; at most 0.999, as in the
    paper.
    """
    updates = SMOOTHED * total_kimg * 1000 / MINIBATCH
    return rounded(min(max(1 - 1 / max(updates, 1), 0.9), 0.999))


def apply(namespace: dict[str, Any], choice: Choice) -> None:
    """Set the options of a choice in config.py's namespace; for configs/few_images.py."""
    for section in catalogue.read():
        for option in section.options:
            if option.name == choice.precision:
                exec(option.code, namespace)  # noqa: S102 -- a line of config.py
    for dotted, value in options(choice).items():
        name, _, key = dotted.partition('.')
        if key:
            namespace[name][key] = value
        else:
            namespace[name] = value


def rounded(value: float, digits: int = 3) -> float:
    """Round to a few digits, for short command lines; whole numbers become integers."""
    found = float(f'{value:.{digits}g}')
    return int(found) if found == int(found) else found


# ---------------------------------------------------------------- resolution and width

class Speed(NamedTuple):
    """Speed of a machine.

    Attributes:
        block: seconds per thousand images and block of layers, independent of width.
        multiplication: seconds per thousand images and multiplication per image.
        compiling: seconds of compilation per block of a stage.
    """
    block: float
    multiplication: float
    compiling: float

    @classmethod
    def of(cls, width: int, seen: Mapping[int, tuple[float, float]]) -> 'Speed':
        """Fit the speed to measurements at one width.

        Args:
            width: fmap_max of the measured networks.
            seen: {resolution: (seconds per kimg, seconds of compiling)}.
        """
        low, high = min(seen), max(seen)
        blocks = {size: log2_of(size) - 1 for size in seen}
        cost = {size: image_multiplications(size, width) for size in seen}
        # Solve sec = block * blocks + multiplication * cost for the smallest and the largest stage.
        det = blocks[low] * cost[high] - blocks[high] * cost[low]
        each = 0.0
        if det:
            each = (blocks[low] * seen[high][0] - blocks[high] * seen[low][0]) / det
        each = min(max(each, 0.1 * seen[high][0] / cost[high]), seen[high][0] / cost[high])
        compiling = sum(one for _, one in seen.values()) / sum(blocks.values())
        return cls(max(seen[low][0] - each * cost[low], 0.0) / blocks[low], each, compiling)

    def sec_per_kimg(self, resolution: int, width: int) -> float:
        """Seconds per thousand images of a stage."""
        return (self.block * (log2_of(resolution) - 1)
                + self.multiplication * image_multiplications(resolution, width))


def image_multiplications(resolution: int, width: int) -> float:
    """Multiplications per image shown at a stage, for colour images without labels."""
    r = log2_of(resolution)
    described: Any = types.SimpleNamespace(
        nf=Width(BASE_OF_WIDTH * width, 1.0, width), top=r, norm=None, latents=width,
        label_size=0, num_channels=3, fused_scale=True, normalize_latents=True,
        has_statistic=True, mbdisc_kernels=None)

    def cost(layers: Callable[..., Any]) -> int:
        specs: Sequence[LayerSpec] = list(layers(described))
        return sum(spec.multiplications() for spec in specs if spec.is_used(r))
    return update_multiplications(cost(generator_layers), cost(discriminator_layers), 1)


def resolution_of(sides: Sequence[int]) -> int:
    """Largest resolution that the shorter sides of most pictures reach."""
    return reached_by_most(sides, RESOLUTIONS[0])


def kimg_in(seconds: float, resolution: int, width: int, speed: Speed) -> float:
    """Length in kimg of a growing run that fits into a time; may be negative."""
    sizes = [size for size in (4, *RESOLUTIONS) if size <= resolution]
    phase = GROWING / (len(sizes) - 1) / 2
    shares = {size: 2 * phase for size in sizes}
    shares[4] = phase
    shares[resolution] = 1 - GROWING + phase
    each = sum(share * speed.sec_per_kimg(size, width) for size, share in shares.items())
    return (seconds - seconds_of_compiling(resolution, speed)) / each


def seconds_of_compiling(resolution: int, speed: Speed) -> float:
    """Compilation time of a growing run: each resolution compiles twice, fading in and after it."""
    blocks = sum(r - 1 for r in range(2, log2_of(resolution) + 1))
    return speed.compiling * (2 * blocks - 1)


def seconds_for(kimg: float, resolution: int, width: int, speed: Speed) -> float:
    """Duration in seconds of a growing run: the inverse of `kimg_in`."""
    none, one = (kimg_in(value, resolution, width, speed) for value in (0.0, 1.0))
    return (kimg - none) / (one - none)


class Networks(NamedTuple):
    """Resolution and width (fmap_max)."""
    resolution: int
    width: int


SMALLEST = Networks(RESOLUTIONS[0], WIDTHS[0])


def choose_networks(largest: int, num_images: int, seconds: float, speed: Speed) -> Networks | None:
    """Largest resolution that can be trained well in a time, and the widest networks for it.

    Args:
        largest: resolution that most pictures reach.
        num_images: total number of pictures.
        seconds: training time, including compilation.
        speed: speed of the machine.

    Returns:
        None if the time is too short even for the smallest networks.
    """
    widest = next(width for count, width in WIDEST if num_images < count)
    for resolution in sorted((size for size in RESOLUTIONS if size <= largest), reverse=True):
        narrowest = min(NARROWEST[resolution], widest)
        for width in sorted(WIDTHS, reverse=True):
            if narrowest <= width <= widest:
                kimg = kimg_in(seconds, resolution, width, speed)
                factor = 1 if width == narrowest else WIDER_FROM
                if kimg >= factor * WANTED_KIMG[resolution]:
                    return Networks(resolution, width)
    return SMALLEST if kimg_in(seconds, *SMALLEST, speed) >= LEAST_KIMG else None


def longest_run(seconds: float, seconds_of: Callable[[float], float],
                least: float = LEAST_KIMG) -> float | None:
    """Length in kimg of the longest run that fits into a time; None if even `least` does not fit.

    Args:
        seconds: the available time.
        seconds_of: increasing function: kimg -> seconds.
        least: minimum length in kimg.
    """
    if seconds_of(least) > seconds:
        return None
    low, high = least, 2 * least
    while seconds_of(high) <= seconds and high < 1e6:
        low, high = high, 2 * high
    while high - low > 0.002 * low:
        middle = (low + high) / 2
        low, high = (middle, high) if seconds_of(middle) <= seconds else (low, middle)
    return rounded(low)
