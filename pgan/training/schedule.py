"""The growth schedule: a function of the images shown so far (paper, section 2, Appendix A)."""
import math
from typing import Any

from pgan.errors import ConfigError
from pgan.options import (
    ByResolution,
    Count,
    NonNegative,
    Positive,
    Resolution,
    Supplied,
    SuppliedIfTaken,
)

TICK_KIMG_DICT: dict[int, float] = {4: 160, 8: 140, 16: 120, 32: 100, 64: 80, 128: 60, 256: 40,
                                    512: 20, 1024: 10}


class TrainingSchedule:
    """Values of the schedule at one point of a training run.

    A phase is `lod_training_kimg` at one lod, followed by `lod_transition_kimg` of linear fading to
    the next lower one; lod ends at 0.

    Args:
        cur_nimg: images shown so far.
        training_set: provides `resolution_log2`.
        num_gpus: the minibatch is rounded down to a multiple of it.
        lod_initial_resolution: resolution in pixels at the start.
        lod_training_kimg: thousands of images shown at each full resolution.
        lod_transition_kimg: thousands of images shown while the next resolution fades in.
        minibatch_base, minibatch_dict: images per minibatch: default, and overrides by resolution.
        max_minibatch_per_gpu: upper bounds by resolution.
        G_lrate_base, G_lrate_dict, D_lrate_base, D_lrate_dict: learning rates, likewise.
        tick_kimg_base, tick_kimg_dict: thousands of images between two progress reports, likewise.
        rampup_kimg: length of the initial learning rate ramp in thousands of images; 0 = no ramp.
        rampdown_kimg: length of the final, linear learning rate ramp to zero in thousands of
            images; 0 = no ramp.
        total_kimg: length of the run, for rampdown_kimg.
        start_lod: lod of the networks that the run started from; None = new networks. If it is
            lower than that of lod_initial_resolution, the schedule starts there instead.

    Attributes:
        kimg: thousands of images shown so far.
        kimg_ahead: thousands of images by which growth is ahead, because the networks that the run
            started from were fading.
        lod: level of detail, a float.
        resolution: resolution of floor(lod) in pixels.
        minibatch, G_lrate, D_lrate, tick_kimg: values at this resolution.
    """

    def __init__(
        self,
        cur_nimg: Supplied[int],
        training_set: Supplied[Any],
        num_gpus: Supplied[Count] = 1,
        lod_initial_resolution: Resolution = 4,
        lod_training_kimg: NonNegative = 600,
        lod_transition_kimg: NonNegative = 600,
        minibatch_base: Count = 16,
        minibatch_dict: ByResolution[Count] = {},
        max_minibatch_per_gpu: ByResolution[Count] = {},
        G_lrate_base: Positive = 0.001,
        G_lrate_dict: ByResolution[Positive] = {},
        D_lrate_base: Positive = 0.001,
        D_lrate_dict: ByResolution[Positive] = {},
        tick_kimg_base: NonNegative = 160,
        tick_kimg_dict: ByResolution[Positive] = TICK_KIMG_DICT,
        rampup_kimg: NonNegative = 0,
        rampdown_kimg: NonNegative = 0,
        total_kimg: SuppliedIfTaken[NonNegative | None] = None,
        start_lod: SuppliedIfTaken[NonNegative | None] = None,
    ):
        self.kimg = cur_nimg / 1000.0
        initial_lod, self.kimg_ahead = growth_start(
            training_set.resolution_log2, lod_initial_resolution, lod_training_kimg,
            lod_transition_kimg, start_lod)
        self.lod = lod_at(self.kimg + self.kimg_ahead, initial_lod, lod_training_kimg,
                          lod_transition_kimg)
        self.resolution = 2 ** (training_set.resolution_log2 - int(math.floor(self.lod)))

        minibatch = minibatch_dict.get(self.resolution, minibatch_base)
        minibatch -= minibatch % num_gpus
        if self.resolution in max_minibatch_per_gpu:
            minibatch = min(minibatch, max_minibatch_per_gpu[self.resolution] * num_gpus)
        if minibatch < 1:
            raise ConfigError(f'the minibatch at {self.resolution}x{self.resolution} is smaller '
                              f'than the number of GPUs ({num_gpus}): raise '
                              f'sched.minibatch_dict[{self.resolution}] or sched.minibatch_base, '
                              'or lower num_gpus.')
        self.minibatch = minibatch
        ramps = rampup(self.kimg, rampup_kimg) * rampdown(self.kimg, rampdown_kimg, total_kimg)
        self.G_lrate = G_lrate_dict.get(self.resolution, G_lrate_base) * ramps
        self.D_lrate = D_lrate_dict.get(self.resolution, D_lrate_base) * ramps
        self.tick_kimg = tick_kimg_dict.get(self.resolution, tick_kimg_base)


def rampup(kimg: float, rampup_kimg: float) -> float:
    """Initial ramp of the learning rates, as a factor.

    exp(-5 (1 - p)^2) with p = kimg / rampup_kimg, until p reaches 1.
    """
    p = kimg / rampup_kimg if rampup_kimg > 0 else 1.0
    return math.exp(-5.0 * (1.0 - p) ** 2) if p < 1.0 else 1.0


def rampdown(kimg: float, rampdown_kimg: float, total_kimg: float | None) -> float:
    """Final ramp of the learning rates, as a factor.

    It falls linearly from 1, at rampdown_kimg before total_kimg, to 0.
    """
    if not rampdown_kimg or total_kimg is None:
        return 1.0
    return min(max((total_kimg - kimg) / rampdown_kimg, 0.0), 1.0)


def growth_start(resolution_log2: int, lod_initial_resolution: int, lod_training_kimg: float,
                 lod_transition_kimg: float, start_lod: float | None = None) -> tuple[int, float]:
    """Compute where growth starts.

    Args:
        resolution_log2: of the data set.
        lod_initial_resolution, lod_training_kimg, lod_transition_kimg, start_lod: see
            `TrainingSchedule`.

    Returns:
        (lod of the first phase, thousands of images of that phase to skip). Networks that were
        fading continue to fade; in a run without transitions they count as faded in.
    """
    initial: int = resolution_log2 - math.floor(math.log2(lod_initial_resolution))
    if start_lod is None or initial <= start_lod:
        return initial, 0.0
    if start_lod % 1 == 0 or not lod_transition_kimg:
        return math.floor(start_lod), 0.0
    whole = math.ceil(start_lod)
    return whole, lod_training_kimg + (whole - start_lod) * lod_transition_kimg


def lod_at(kimg: float, initial_lod: int, lod_training_kimg: float,
           lod_transition_kimg: float) -> float:
    """Level of detail after `kimg` thousand images.

    0 is the full resolution; fractions are between two resolutions.

    Args:
        kimg: thousands of images since the start of the first phase.
        initial_lod: lod of that phase.
        lod_training_kimg, lod_transition_kimg: see `TrainingSchedule`.
    """
    phase_kimg = lod_training_kimg + lod_transition_kimg
    phase = int(math.floor(kimg / phase_kimg)) if phase_kimg > 0 else 0
    into_phase = kimg - phase * phase_kimg
    lod: float = initial_lod - phase
    if lod_transition_kimg > 0:
        lod -= max(into_phase - lod_training_kimg, 0.0) / lod_transition_kimg
    return max(lod, 0.0)
