"""Overview of the run, printed before its first step."""
import math
import textwrap
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import tensorflow as tf

from dataset import Dataset, has_labels, load_dataset
from pgan.data.class_names import names_of
from pgan.options import with_defaults
from pgan.reporting import schedule_table
from pgan.reporting.protocols import Phase, Run
from pgan.reporting.schedule_table import WIDTH
from pgan.reporting.timetable import Expected
from tfutil import Network
from tfutil.devices import Devices
from tfutil.runtime import tf32_allowed

FULL_AT = 2 / 3  # fraction of a run after which the full resolution should be reached


def print_overview(run: Run, run_phases: Sequence[Phase], expected: Sequence[Expected] | None,
                   full_kimg: float | None = None, notes: Sequence[str] = ()) -> None:
    """Print data set, networks, devices, precision, schedule and result folder.

    Args:
        run: the run.
        run_phases: the remaining phases of the schedule.
        expected: estimated time of each phase; None = a table without times.
        full_kimg: thousands of images after which the full resolution is reached; None = never.
        notes: paragraphs to print at the end.
    """
    print('This run:')
    for name, text in overview_entries(run).items():
        print(_wrapped(f'  {name:<14s}{text}', 16))
    if run_phases:
        on_top = 'Metrics come' if run.options.metrics else ''
        schedule_table.print_schedule(run_phases, expected, on_top)
        is_new = not run.cur_nimg and run_phases[0].first.lod % 1 == 0
        warning = schedule_warning(run_phases[-1], run.training_set.shape[1], full_kimg,
                                   int(run_phases[0].first.lod) if is_new else None)
        for note in ([warning] if warning else []) + list(notes):
            print(_wrapped(note))


def _wrapped(text: str, indent: int = 0) -> str:
    """Wrap text to the width of a terminal without breaking paths and options."""
    text = text.replace('--set ', '--set\N{NO-BREAK SPACE}')
    filled = textwrap.fill(text, WIDTH, subsequent_indent=' ' * indent, break_long_words=False,
                           break_on_hyphens=False, replace_whitespace=False)
    return filled.replace('--set\N{NO-BREAK SPACE}', '--set ')


def schedule_warning(last_phase: Phase, resolution: int, full_kimg: float | None,
                     doublings: int | None = None) -> str | None:
    """Warning if the schedule ends before the data set's resolution has faded in; else None.

    Args:
        last_phase: the run's last phase.
        resolution: resolution of the data set.
        full_kimg: see `print_overview`.
        doublings: number of times that the schedule doubles the resolution, to suggest shorter
            phases; None = no suggestion.
    """
    end = last_phase.last
    needed = math.inf if full_kimg is None else round(full_kimg, 6)
    if last_phase.end_kimg >= needed or end.lod <= 0:
        return None
    full, reached = f'{resolution}x{resolution}', f'{end.resolution}x{end.resolution}'
    if end.resolution == resolution:
        what = f'ends at {last_phase.end_kimg:g} kimg while {full} is still fading in'
    else:
        what = (f'ends at {reached}, at {last_phase.end_kimg:g} kimg: below the {full} of the data '
                'set')
    if full_kimg is None:
        how = ('never grows to it. Set sched.lod_training_kimg or sched.lod_transition_kimg above '
               f'0, or start at it: --set sched.lod_initial_resolution={resolution}')
        return f'Warning: the schedule {what}, and {how}'
    return (f'Warning: the schedule {what}. {full} is reached at {needed:.10g} kimg. To train up '
            f'to there, add --set train.total_kimg={needed:.10g} (or more, to train at {full} as '
            f'well).{_or_grow_faster(last_phase.end_kimg, doublings)}')


def _or_grow_faster(kimg, doublings):
    """Suggestion of shorter phases, which reach the full resolution after `FULL_AT` of the run."""
    if not doublings:
        return ''
    each = FULL_AT * kimg / doublings / 2
    digits = 10 ** (1 - math.floor(math.log10(each)))  # two significant digits, rounded down
    each = math.floor(each * digits) / digits
    return (f' Or grow faster: --set sched.lod_training_kimg={each:g} --set '
            f'sched.lod_transition_kimg={each:g}')


def overview_entries(run: Run) -> dict[str, Any]:
    """Entries of the overview: {'Data set': 'cifar10, 50000 images of 3x32x32', ...}"""
    config, data = run.config, run.training_set
    G, D, _ = run.networks
    mirrored = 'mirrored at random' if run.options.mirror_augment else 'not mirrored'
    done = f', of which {run.cur_nimg / 1000:.1f} are done' if run.cur_nimg else ''
    return {
        'Data set': f'{dataset_name(config.dataset)}: {_describe_images(data)}, {mirrored}',
        **_small_data_entries(run),
        'Labels': describe_labels(data),
        'Generator': f'{count_parameters(G):,} parameters, {G.input_shape[1]} latents',
        'Discriminator': f'{count_parameters(D):,} parameters',
        **_beginning(run),
        'Precision': describe_precision(G, D),
        'Devices': describe_devices(run.devices),
        'Length': f'{run.options.total_kimg:g} kimg{done}',
        'Random seed': config.random_seed,
        'Result folder': run.path or _where_results_are(run),
    }


def _small_data_entries(run):
    """Entries about measures against overfitting of D; {} if there are none."""
    options, entries = run.options, {}
    if run.held_out is not None:
        entries['Held out'] = f'{run.held_out.num_images} images'
    if options.augment == 'ada':
        entries['Augmentation'] = f'ada, overfitting signal kept at {options.augment_target:g}'
    elif options.augment is not None:
        entries['Augmentation'] = options.augment
    return entries


def _beginning(run: Run) -> dict[str, str]:
    """Entry of a run that starts from another run's networks; else {}."""
    init_from = getattr(run.options, 'init_from', None)
    if init_from is None:
        return {}
    freeze_D = run.options.freeze_D
    frozen = f"; {freeze_D} of D's resolutions not trained" if freeze_D else ''
    return {'Begun with': f'{init_from}{frozen}'}


def _where_results_are(run: Run) -> str:
    if run.devices.is_chief:
        return f'none yet; a new one in {run.config.result_dir!r}'
    return 'on worker 0 (the chief)'


def dataset_name(options: Mapping[str, Any]) -> str:
    """Name of a data set: its folder, or its class if it has none.

    Args:
        options: config.dataset.
    """
    return options.get('tfrecord_dir') or with_defaults(load_dataset, options)['class_name']


def _describe_images(data: Dataset) -> str:
    shape = 'x'.join(str(int(size)) for size in data.shape)
    if not data.num_images:
        return f'endless images of {shape}'
    return f'{data.num_images} images of {shape}'


def describe_labels(data: Dataset) -> str:
    """Description of the labels, e.g. '3 components (ant, bee, cat)'.

    If the run uses no labels, tells whether the data set has some.
    """
    if data.label_size:
        names = ', '.join(names_of(data))
        return f'{data.label_size} components' + (f' ({shorten(names, 50)})' if names else '')
    folder = getattr(data, 'tfrecord_dir', None)
    if folder is not None and has_labels(folder):
        return "unused; to use those of the data set: dataset.max_label_size='full'"
    return 'none'


def count_parameters(net: Network) -> int:
    """Number of a network's trainable parameters."""
    return sum(var.shape.num_elements() for var in net.trainables.values())


def describe_precision(G: Network, D: Network) -> str:
    """Data types of the activations, e.g. 'float32 / bfloat16' or 'float32 (TensorFloat-32 on)'."""
    dtypes = ' / '.join(dict.fromkeys(net.activation_dtype for net in (G, D)))
    if tf32_allowed():
        return f'{dtypes} (TensorFloat-32 on)'
    return f'{dtypes} (TensorFloat-32 off)' if _uses_gpus() else dtypes


def _uses_gpus() -> bool:
    return bool(tf.config.get_visible_devices('GPU'))


def describe_devices(devices: Devices) -> str:
    """Number and kind of devices, e.g. '2 x GPU' or '4 x GPU on 2 machines'."""
    kind = 'GPU' if _uses_gpus() else 'CPU'
    machines = f' on {devices.workers} machines' if devices.workers > 1 else ''
    return f'{devices.num_replicas} x {kind}{machines}'
