"""Advice before the first step of a run: options without effect, and runs that will disappoint."""
import math
from collections.abc import Sequence
from typing import Any

from pgan import settings
from pgan.invocation import command
from pgan.options import with_defaults
from pgan.reporting.protocols import Run
from pgan.reporting.timetable import Expected, rough_time
from pgan.settings import few_images
from pgan.training.phases import Phase
from pgan.training.schedule import TrainingSchedule

LONG = 30 * 24 * 3600  # seconds; a longer run is hardly intended
FEW_IMAGES = 2000  # with fewer, D memorizes its images before Gs is good
TICKS = 10  # suggested for a run shorter than one tick

# Options of the schedule with overrides by resolution: {base: overrides}.
BASES = {f'{name}_base': f'{name}_dict' for name in ('minibatch', 'G_lrate', 'D_lrate',
                                                     'tick_kimg')}


def advice(run: Run, run_phases: Sequence[Phase],
           expected: Sequence[Expected] | None) -> list[str]:
    """Notes for the user before the first step, one paragraph each.

    Args:
        run: the run.
        run_phases: its remaining phases; at least one.
        expected: the time that each will take; None = unknown.
    """
    sched_options = with_defaults(TrainingSchedule, run.config.sched)
    without_effect = outvoted(run.config.sched, sched_options, settings.set_outside(run.config),
                              {phase.last.resolution for phase in run_phases})
    notes = [
        too_long(sum(stage.seconds for stage in expected or ()), run.config),
        *without_effect.values(),
        no_tick(run_phases) if 'tick_kimg_base' not in without_effect else '',
        pictures_of_one_name(run_phases, run.options.image_snapshot_ticks),
        few_pictures(run),
    ]
    return [f'Note: {note}' for note in notes if note]


def too_long(seconds: float, config: Any) -> str:
    """Note on a run of more than a month; '' for other runs.

    Args:
        seconds: expected duration of the run; 0 = unknown.
        config: the configuration.
    """
    if seconds <= LONG:
        return ''
    fmap_max = min(config.G.get('fmap_max', 512), config.D.get('fmap_max', 512))
    narrower = ''
    if fmap_max > few_images.WIDTHS[1]:
        width = few_images.WIDTHS[1]
        base = few_images.BASE_OF_WIDTH * width
        narrower = ('; narrower networks are faster: '
                    + ' '.join(f'--set {net}.fmap_base={base} --set {net}.fmap_max={width}'
                               for net in 'GD'))
    return (f'this run takes about {rough_time(seconds)} on this machine. A smaller '
            f'train.total_kimg ends sooner{narrower}. For a folder of pictures, '
            f'{command("train.py", "--images", "FOLDER", "--hours", "8")} chooses all options.')


def outvoted(sched: dict[str, Any], options: dict[str, Any], set_outside: set[str],
             resolutions: set[int]) -> dict[str, str]:
    """Notes by name on each `*_base` that was set but has no effect at any resolution of the run.

    Lines of config.py that set both, such as the presets, do so on purpose.

    Args:
        sched: config.sched, the options that are set.
        options: the same including defaults.
        set_outside: names of options set by --config and --set.
        resolutions: resolutions of the run.
    """
    notes = {}
    for base, by_resolution in BASES.items():
        is_set = f'sched.{base}' in set_outside or base in sched and by_resolution not in sched
        if (is_set and f'sched.{by_resolution}' not in set_outside
                and resolutions <= set(options[by_resolution])):
            notes[base] = (
                f'sched.{base}={options[base]!r} has no effect: sched.{by_resolution} has a value '
                f'for each resolution of this run. To use {base} everywhere, add --set '
                f'sched.{by_resolution}={{}}')
    return notes


def no_tick(run_phases: Sequence[Phase]) -> str:
    """Note on a run that ends before its first tick; '' for other runs."""
    kimg = run_phases[-1].end_kimg - run_phases[0].start_kimg
    tick_kimg = run_phases[0].last.tick_kimg
    if kimg >= tick_kimg or kimg <= 0:
        return ''
    shorter = few_images.rounded(kimg / TICKS, 1)
    return (f'the run ends after {kimg:g} kimg, before its first tick of {tick_kimg:g} kimg: '
            'no line in the log, no picture and no snapshot before its end. For '
            f'{TICKS} ticks, add --set sched.tick_kimg_base={shorter} --set '
            'sched.tick_kimg_dict={}')


def pictures_of_one_name(run_phases: Sequence[Phase], image_snapshot_ticks: int) -> str:
    """Note on fakes*.png that overwrite each other; '' if they do not.

    Their names contain whole kimg, as in the original.
    """
    apart = min(phase.last.tick_kimg for phase in run_phases) * image_snapshot_ticks
    total = run_phases[-1].end_kimg - run_phases[0].start_kimg
    if apart >= 1 or total <= apart:
        return ''
    return (f'a picture is saved every {apart:g} kimg, but fakes*.png are named by whole kimg, so '
            f'later ones overwrite earlier ones. To keep all, add --set '
            f'train.image_snapshot_ticks={math.ceil(image_snapshot_ticks / apart)}')


def few_pictures(run: Run) -> str:
    """Note on a data set that is too small to train on without augmentation; '' for others."""
    count, options = run.training_set.num_images, run.options
    helped = options.augment is not None or getattr(options, 'init_from', None) is not None
    if not count or count >= FEW_IMAGES or helped:
        return ''
    return (f'{count} images are few: D memorizes them, and the fakes get worse again. '
            'Augmentation helps: add --set train.augment=diffaugment. So does starting from a '
            'trained network: train.init_from. See docs/few-images.md.')
