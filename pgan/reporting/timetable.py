"""Estimate of a run's remaining time, from measured times per stage.

The time of stages not reached yet is extrapolated by their number of multiplications: as the
networks grow, the time per image increases, so the time so far says little about the time left.
"""
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pgan.reporting.protocols import Phase
    from tfutil import Network

import misc
from pgan.nn.specs import update_multiplications
from pgan.resolutions import log2_of

_Stage: TypeAlias = tuple[int, bool]  # (resolution, is_fading)

FORGETTING = 0.98  # decay of earlier rounds' weight per round: a machine's speed may change
# Kernel of 4x4 for layers that also scale by 2. On CPUs it is 3x3, which takes about as long, as
# convolutions of stride 2 run at half the speed there.
FUSED_TAPS = 16


def network_cost(net: 'Network', resolution: int) -> int:
    """Multiplications of one forward pass of one image at a stage.

    Variables that the network's model does not describe in `layer_specs` count with their sizes.

    Args:
        net: `tfutil.Network`.
        resolution: resolution of the stage.
    """
    specs = {f'{spec.name}/weight': spec for spec in getattr(net.model, 'layer_specs', list)()}
    r, total = log2_of(resolution), 0
    for name, var in net.vars.items():
        if name not in specs:
            total += math.prod(var.shape)
        elif specs[name].is_used(r):
            total += specs[name].multiplications(FUSED_TAPS)
    return total


def image_cost(G: 'Network', D: 'Network', D_repeats: int, resolution: int) -> float:
    """Multiplications per image shown, at a stage; see `specs.update_multiplications`.

    Args:
        G, D: `tfutil.Network`.
        D_repeats: D updates per G update.
        resolution: resolution of the stage.
    """
    g, d = (network_cost(net, resolution) for net in (G, D))
    return update_multiplications(g, d, D_repeats)


class Expected(NamedTuple):
    """Estimated time of a stage, or of the rest of it.

    Attributes:
        phase: the stage.
        sec_per_kimg: seconds of training per thousand images.
        training, compiling, saving: seconds.
    """
    phase: 'Phase'
    sec_per_kimg: float
    training: float
    compiling: float
    saving: float

    @property
    def seconds(self) -> float:
        """Total time."""
        return self.training + self.compiling + self.saving


class _Mean:
    """Running mean of durations in seconds; None while there are none."""

    def __init__(self, total: float = 0.0, count: int = 0):
        self.total, self.count = total, count

    def add(self, seconds: float) -> None:
        self.total, self.count = self.total + max(seconds, 0.0), self.count + 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def or_zero(self) -> float:
        return self.value or 0.0


class Timetable:
    """Measured and estimated times of a run's stages.

    A stage is a `training.phases.Phase`, i.e. one lod or one transition between two.

    Args:
        run_phases: list of `training.phases.Phase`.
        cost: function from resolution to the relative cost per image.
        image_snapshot_ticks, network_snapshot_ticks: ticks between two pictures, and between two
            snapshots of the networks.
    """

    def __init__(self, run_phases: 'Sequence[Phase]', cost: Callable[[int], float],
                 image_snapshot_ticks: int = 1, network_snapshot_ticks: int = 1):
        self.run_phases = run_phases
        self._cost = functools.cache(cost)
        self._ticks = dict(pictures=image_snapshot_ticks, networks=network_snapshot_ticks, other=1)
        # stage -> [seconds, kimg], with exponentially decaying weights
        self._seen: dict[_Stage, list[float]] = {}
        # The same for the stage's first round, in which the step is compiled.
        self._first: dict[_Stage, list[float]] = {}
        self._ready: set[_Stage] = set()  # compiled in advance, not started
        self._trained: set[_Stage] = set()
        self._last: _Stage | None = None
        self._saving = {name: _Mean() for name in (*self._ticks, 'new stage')}
        self._stage_of_picture: _Stage | None = None

    # ------------------------------------------------------------ measurements

    def add(self, resolution: int, is_fading: bool, seconds: float, kimg: float) -> None:
        """Record the time of a round.

        The first round of a stage includes compilation, unless a trial has compiled the step.
        """
        stage = (resolution, is_fading)
        is_first, self._last = stage != self._last, stage
        if is_first and stage not in self._ready:
            self._first[stage] = [seconds, kimg]
        elif not is_first and kimg > 0:
            before = self._seen.get(stage, (0.0, 0.0))
            self._seen[stage] = [before[0] * FORGETTING + seconds, before[1] * FORGETTING + kimg]
            self._trained.add(stage)
        self._ready.discard(stage)

    def add_trial(self, resolution: int, is_fading: bool, sec_per_kimg: float, compiling: float, *,
                  is_kept: bool = False) -> None:
        """Record a trial step of a stage, which counts until the stage is trained.

        Args:
            resolution, is_fading: the stage.
            sec_per_kimg: seconds per thousand images, without compilation.
            compiling: seconds of compilation.
            is_kept: whether training will use the compiled step.
        """
        stage = (resolution, is_fading)
        self._seen.setdefault(stage, [sec_per_kimg * 1e-6, 1e-6])
        # A trial with an already compiled step does not measure compilation.
        if stage not in self._ready:
            self._first.setdefault(stage, [compiling, 0.0])
        if is_kept:
            self._ready.add(stage)

    def pay_for_trials(self) -> None:
        """Count the compilation of trial steps as time left, for a run that has yet to compile."""
        self._ready.clear()

    def add_saving(self, **seconds: float) -> None:
        """Record the time of saving `pictures`, `networks` and `other` files.

        `new_stage` is the additional time of a stage's first picture.
        """
        for name, value in seconds.items():
            self._saving[name.replace('_', ' ')].add(value)

    def add_maintenance(self, tick: int, seconds: float) -> None:
        """Record the total time of a tick's snapshots and statistics."""
        mean = self._saving
        pictures, networks = (tick % self._ticks[name] == 0 for name in ('pictures', 'networks'))
        first = pictures and self._stage_of_picture != self._last
        if pictures:
            self._stage_of_picture = self._last
        if networks:
            mean['networks'].add(seconds - mean['pictures'].or_zero * pictures -
                                 mean['new stage'].or_zero * first)
        elif first and mean['pictures'].count:
            mean['new stage'].add(seconds - mean['pictures'].or_zero)
        else:
            mean['pictures' if pictures else 'other'].add(seconds)

    # ------------------------------------------------------------ estimates

    def speed(self, resolution: int, is_fading: bool) -> float | None:
        """Measured seconds per thousand images of a stage, without compilation; None before the
        stage has been trained.
        """
        stage = (resolution, is_fading)
        return self._rate(stage) if stage in self._trained else None

    def _rate(self, stage: '_Stage') -> float:
        seconds, kimg = self._seen[stage]
        return seconds / kimg

    def sec_per_kimg(self, resolution: int, is_fading: bool) -> float | None:
        """Seconds per thousand images of a stage: measured, or else extrapolated from the measured
        stage with the most similar cost, in proportion to the costs.

        None before there is any measurement.
        """
        if not self._seen:
            return None
        cost = self._cost(resolution)
        ratio = lambda stage: self._cost(stage[0]) / cost
        nearest = min(
            self._seen, key=lambda stage:
            (max(ratio(stage), 1 / ratio(stage)), stage[1] != is_fading))
        return self._rate(nearest) / ratio(nearest)

    def compiling(self, resolution: int, is_fading: bool) -> float:
        """Seconds of compilation at the start of a stage: measured, or else extrapolated from all
        measured stages in proportion to their number of blocks. 0 before there is any measurement.
        """
        def seen(stage: _Stage) -> float:
            seconds, kimg = self._first[stage]
            return max(seconds - kimg * (self.sec_per_kimg(*stage) or 0.0), 0.0)
        stage = (resolution, is_fading)
        if stage in self._ready or not self._first:
            return 0.0
        for own in (stage, (resolution, not is_fading)):
            if own in self._first:
                return seen(own)
        per_block = sum(map(seen, self._first)) / sum(_blocks(size) for size, _ in self._first)
        return per_block * _blocks(resolution)

    def expected(self, kimg: float) -> list[Expected] | None:
        """Estimated times of the stages that end after `kimg` thousand images; None before there is
        any measurement.
        """
        found = []
        for phase in self.run_phases:
            if phase.end_kimg <= kimg:
                continue
            stage = (phase.last.resolution, phase.is_fading)
            rate = self.sec_per_kimg(*stage)
            if rate is None:
                return None
            kimg_left = phase.end_kimg - max(kimg, phase.start_kimg)
            is_new = stage != self._last or phase.start_kimg > kimg
            ticks = kimg_left / phase.last.tick_kimg if phase.last.tick_kimg else 0.0
            saving = sum(self._saving[name].or_zero * ticks / every
                         for name, every in self._ticks.items())
            saving += self._saving['new stage'].or_zero * is_new
            if phase is self.run_phases[-1]:  # Everything is saved once more at the end.
                saving += sum(self._saving[name].or_zero * (1 - 1 / self._ticks[name])
                              for name in ('pictures', 'networks'))
            found.append(Expected(phase, rate, rate * kimg_left,
                                  self.compiling(*stage) if is_new else 0.0, saving))
        return found

    def left(self, kimg: float) -> tuple[float | None, float | None]:
        """(seconds left of the current stage, seconds left of the run) after `kimg` thousand
        images; (None, None) before there is any measurement.
        """
        expected = self.expected(kimg)
        if expected is None:
            return None, None
        seconds = [stage.seconds for stage in expected] or [0.0]
        return seconds[0], sum(seconds)

    # ------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """Measurements as plain values, for a checkpoint."""
        return dict(seen=_rows(self._seen), first=_rows(self._first),
                    trained=[list(stage) for stage in self._trained],
                    saving={name: [mean.total, mean.count] for name, mean in self._saving.items()})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the measurements of a checkpoint; see `state`."""
        self._seen.update(_by_stage(state['seen']))
        # Checkpoints of earlier versions lack these.
        self._first.update(_by_stage(state.get('first', [])))
        self._trained.update((int(size), bool(fading)) for size, fading in state.get('trained', []))
        self._saving.update({name: _Mean(*values)
                             for name, values in state.get('saving', {}).items()})


def _rows(by_stage: Mapping[_Stage, Sequence[float]]) -> list[list[Any]]:
    return [[*stage, *values] for stage, values in by_stage.items()]


def _by_stage(rows: Sequence[Sequence[Any]]) -> dict[_Stage, list[float]]:
    return {(int(resolution), bool(is_fading)): [seconds, kimg]
            for resolution, is_fading, seconds, kimg in rows}


def _blocks(resolution: int) -> int:
    """Number of blocks in use at a resolution; compilation time is proportional to it."""
    return log2_of(resolution) - 1


def rough_time(seconds: float) -> str:
    """Format a duration with its two largest units: '5s', '1m 05s', '2h 02m', '11d 13h'."""
    units = misc.format_time(seconds).split(' ')
    return ' '.join(units[:2])
