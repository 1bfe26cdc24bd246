"""Detection of failed runs from the statistics of each tick: divergence, collapse of D."""
from collections.abc import Mapping, Sequence
from typing import Any

from pgan.errors import UserError
from tfutil import Optimizer, summary

# Thresholds for a discriminator whose scores hardly depend on the image. The gradient penalty has
# target norm 1, and normal training stays close to it.
COLLAPSED_NORM = 0.05
COLLAPSED_SCORES = 1e-3


class TrainingError(UserError):
    """Training has failed, so continuing is pointless."""


class HealthWatch:
    """Prints warnings at ticks, and stops a diverged run that would otherwise continue to the end.

    With loss scaling, skipped updates are normal, because they determine the scale. They are
    neither reported nor counted.

    Args:
        optimizers: the optimizers to watch.
        patience: number of ticks without any update of an optimizer after which the run is stopped.
    """

    def __init__(self, optimizers: Sequence[Optimizer], *, patience: int = 3):
        self.ids = [opt.id for opt in optimizers]
        self.scaled = {opt.id for opt in optimizers if opt.use_loss_scaling}
        self.patience = patience
        self.idle_ticks = dict.fromkeys(self.ids, 0)
        self.warned: list[str] = []  # kinds of warnings already printed; each appears once per run

    def tick(self, cur_tick: int) -> None:
        """Check the statistics since the last tick, before they are written.

        Raises:
            TrainingError: an optimizer has made no update for `patience` ticks.
        """
        sums = summary.state()
        for name in self.ids:
            self._look_at_losses(name, sums, cur_tick)
            if name not in self.scaled:
                self._look_at_updates(name, sums)
        self._look_at_scores(sums, cur_tick)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self.warned:
            self.warned.append(kind)
            print(f'Warning: {text}')

    def _look_at_losses(self, name, sums, cur_tick):
        mean = _mean(sums, summary.finite_losses_tag(name))
        if mean is not None and mean < 0.5:
            self._warn_once(f'losses of {name}', f'in tick {cur_tick}, {1 - mean:.0%} of the '
                                                 f'losses that {name} minimises were not finite. '
                                                 'The run has most likely diverged. (This warning '
                                                 'is shown once.)')

    def _look_at_updates(self, name, sums):
        skipped = _mean(sums, f'{name}/overflow_frequency')
        if not skipped:
            self.idle_ticks[name] = 0
            return
        print(f"Warning: {skipped:.0%} of {name}'s updates in this tick were skipped because "
              'their gradients were not finite.')
        self.idle_ticks[name] = self.idle_ticks[name] + 1 if skipped == 1 else 0
        if self.idle_ticks[name] >= self.patience:
            raise TrainingError(f'{name} has made no update for {self.patience} ticks, because its '
                                'gradients are not finite: the run diverged. Restart from an '
                                'earlier snapshot (train.resume_run_id, train.resume_snapshot, '
                                'train.resume_kimg) with lower learning rates '
                                '(sched.G_lrate_base, sched.D_lrate_base, and the corresponding '
                                'dicts).')

    def _look_at_scores(self, sums, cur_tick):
        """Warn if D no longer reacts to images; needs the statistics that the stock loss reports.
        """
        norm, reals, fakes = (_mean(sums, f'Loss/{tag}')
                              for tag in ('mixed_norms', 'real_scores', 'fake_scores'))
        if norm is None or reals is None or fakes is None:
            return
        if norm > COLLAPSED_NORM or abs(reals - fakes) > COLLAPSED_SCORES:
            return
        self._warn_once('collapse', f'in tick {cur_tick}, the discriminator gave reals and fakes '
                                    f'the same score ({reals:.4g}, {fakes:.4g}) and hardly '
                                    f'reacted to changes of an image (gradient norm {norm:.2g}): '
                                    'it has collapsed, and G learns nothing from it. Lower '
                                    'sched.D_lrate_base, or restart from an earlier snapshot. '
                                    '(This warning is shown once.)')

    def state(self) -> dict[str, Any]:
        """Counters and printed warnings, for a checkpoint."""
        return dict(idle_ticks=self.idle_ticks, warned=self.warned)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state`."""
        self.idle_ticks.update(state['idle_ticks'])
        self.warned = list(state['warned'])


def _mean(sums: Mapping[str, Sequence[float]], tag: str) -> float | None:
    total, count = sums.get(tag, (0.0, 0.0))
    return total / count if count else None
