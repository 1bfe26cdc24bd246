"""How long a run has still to go: what each stage has been seen to take, and for stages not seen
yet, what their arithmetic says.

While the networks grow, an image costs the more the later it comes, so the time so far says little
about the time left.
"""
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgan.reporting.protocols import Phase
    from tfutil import Network

from pgan.resolutions import log2_of

FORGETTING = 0.98  # of what earlier rounds took, per round: a machine may get slower or faster
# A kernel of 4x4 for layers that also scale by 2. On CPUs it is 3x3, which takes about as long, as
# convolutions of stride 2 run at half the speed there.
FUSED_TAPS = 16


def network_cost(net: 'Network', resolution: int) -> int:
    """Multiplications of one image going through a network at a stage.

    Variables that the network's model does not describe in `layer_specs` count with their sizes.

    Args:
        net: `tfutil.Network`.
        resolution: the stage's.
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
    """Multiplications per image shown, at a stage: its share of the updates of G and D.

    A D update evaluates G once, and D on reals, fakes and mixed images, whose penalty is
    differentiated twice: some 12 evaluations. A G update takes three of G (a backward pass counts
    two) and two of D (no gradients of its weights).

    Args:
        G, D: `tfutil.Network`.
        D_repeats: D updates per G update.
        resolution: the stage's.
    """
    g, d = (network_cost(net, resolution) for net in (G, D))
    return g + 12 * d + (3 * g + 2 * d) / D_repeats


class Timetable:
    """Time left of a run's stages; a stage is a `training.phases.Phase`, so one lod, or one fade.

    Args:
        run_phases: list of `training.phases.Phase`.
        cost: function: resolution -> relative cost of an image there.
    """

    def __init__(self, run_phases: 'Sequence[Phase]', cost: Callable[[int], float]):
        self.run_phases = run_phases
        self._cost = cost
        # (resolution, fading?) -> [seconds, kimg], older rounds counting less
        self._seen: dict[tuple[int, bool], list[float]] = {}
        self._last: tuple[int, bool] | None = None
        # seconds and how often
        self._first_rounds = [0.0, 0]
        self._maintenance = [0.0, 0]

    def add(self, resolution: int, is_fading: bool, seconds: float, kimg: float) -> None:
        """Take note of how long a round took. The step is compiled in the first one of a stage,
        which counts for the start of a stage.
        """
        stage, is_first = (resolution, is_fading), (resolution, is_fading) != self._last
        self._last = stage
        if is_first:
            self._first_rounds = [self._first_rounds[0] + seconds, self._first_rounds[1] + 1]
        elif kimg > 0:
            before = self._seen.get(stage, (0.0, 0.0))
            self._seen[stage] = [before[0] * FORGETTING + seconds, before[1] * FORGETTING + kimg]

    def add_maintenance(self, seconds: float) -> None:
        """Take note of how long a tick's snapshots and statistics took."""
        self._maintenance = [self._maintenance[0] + seconds, self._maintenance[1] + 1]

    def set_measured(self, sec_per_kimg: Mapping[int, float]) -> None:
        """Take {resolution: sec/kimg} of trial steps for what stages take, until they have been
        seen.
        """
        for resolution, seconds in sec_per_kimg.items():
            self._seen.setdefault((resolution, False), [seconds * 1e-6, 1e-6])

    def sec_per_kimg(self, resolution: int, is_fading: bool) -> float | None:
        """Seconds per thousand images of a stage: as seen, or else those of the stage seen whose
        cost is nearest, times the ratio of costs.

        None before anything has been seen.
        """
        if not self._seen:
            return None
        cost = self._cost(resolution)
        ratio = lambda stage: self._cost(stage[0]) / cost
        nearest = min(
            self._seen, key=lambda stage:
            (max(ratio(stage), 1 / ratio(stage)), stage[1] != is_fading))
        seconds, kimg = self._seen[nearest]
        return seconds / kimg / ratio(nearest)

    def left(self, kimg: float) -> tuple[float | None, float | None]:
        """(seconds left of the current stage, seconds left of the run) after `kimg` thousand
        images; (None, None) before it is known.
        """
        of_stages = []
        per_tick, per_start = (total / max(count, 1)
                               for total, count in (self._maintenance, self._first_rounds))
        for phase in self.run_phases:
            if phase.end_kimg > kimg:
                seconds = self.sec_per_kimg(phase.last.resolution, phase.is_fading)
                if seconds is None:
                    return None, None
                kimg_left = phase.end_kimg - max(kimg, phase.start_kimg)
                of_stages.append(seconds * kimg_left + per_tick * kimg_left / phase.last.tick_kimg +
                                 per_start * (phase.start_kimg > kimg))
        return (of_stages[0], sum(of_stages)) if of_stages else (0.0, 0.0)

    def by_resolution(self) -> dict[int, float] | None:
        """{resolution: sec/kimg} for every resolution of the run; None before anything has been
        seen.
        """
        found = {
            phase.last.resolution: self.sec_per_kimg(phase.last.resolution, phase.is_fading)
            for phase in self.run_phases
        }
        known = {size: seconds for size, seconds in found.items() if seconds is not None}
        return known if len(known) == len(found) else None

    def state(self) -> dict[str, Any]:
        """What has been seen, in plain values, for a checkpoint."""
        return dict(seen=[[*stage, *values] for stage, values in self._seen.items()],
                    first_rounds=self._first_rounds, maintenance=self._maintenance)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know again what `state` gave."""
        self._seen.update({(int(resolution), bool(is_fading)): [seconds, kimg]
                           for resolution, is_fading, seconds, kimg in state['seen']})
        self._first_rounds, self._maintenance = list(state['first_rounds']), list(
            state['maintenance'])
