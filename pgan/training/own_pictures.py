"""`train.py --images FOLDER`: a data set of the user's pictures, and options for a run on it that
takes a given time.

Surveys the folder (`pgan.importers.survey`), measures the machine (`trials`), chooses the networks
(`pgan.settings.few_images`), creates the data set, measures the chosen run, and sets its length.
"""
import functools
import glob
import os
import time
import types
from collections.abc import Sequence
from typing import Any, NamedTuple

from misc.startup import has_gpu
from pgan import settings
from pgan.errors import ConfigError, DataError
from pgan.importers.image_folder import load_images
from pgan.importers.survey import Survey, survey
from pgan.importers.writing import write_source
from pgan.invocation import command, path_argument
from pgan.reporting.timetable import Timetable, rough_time
from pgan.resolutions import log2_of
from pgan.settings import few_images
from pgan.settings.few_images import Choice, Speed
from pgan.training import trials
from pgan.training.phases import list_phases
from pgan.training.schedule import TrainingSchedule

LEAST_SECONDS = 60  # importing TensorFlow, measuring and compiling take this long
MARGIN = 0.97  # fraction of the time that is planned
REFERENCE = 32, 64  # resolution and width at which the machine is measured
REFERENCE_SECONDS = 1.0  # per stage
TRIAL = 0.02  # fraction of the time for measuring the chosen run
TRIAL_SECONDS = 0.5, 10.0  # per stage, minimum and maximum
SEC_PER_PICTURE = 0.005  # for creating a data set, in addition to decoding
ANEW = object()  # placeholder for options that config.py does not set
# Flags of CPUs that multiply bfloat16 natively; others convert it, which is slower.
BFLOAT16_FLAGS = {'amx_bf16', 'avx512_bf16', 'bf16'}
FLOAT16_CAPABILITY, BFLOAT16_CAPABILITY = (7, 0), (8, 0)  # of NVIDIA GPUs: Volta, Ampere


class Given(NamedTuple):
    """The user's settings: --config, --set and --use, as for `settings.load`."""
    config_files: Sequence[str] = ()
    assignments: Sequence[str] = ()
    uses: Sequence[str] = ()


class Plan:
    """A run for a folder of pictures; see `make_plan`.

    Args:
        found: survey of the folder.
        given: the user's settings.
        hours: total time.
    """

    def __init__(self, found: Survey, given: Given, hours: float):
        self.found = found
        self.given = given
        self.seconds = 3600 * hours
        self.start = time.monotonic()
        self.base = settings.load(given.config_files, given.assignments, given.uses)
        self.precision = 'fp32' if has_gpu() else _precision_of_cpu()
        largest = self.base.dataset.get('resolution') or few_images.resolution_of(found.sides)
        self.choice = self._at(largest, few_images.WIDTHS[0])
        self.higher = ''  # why the resolution is not higher
        self.expected = 0.0  # seconds of the run itself
        self.measured: dict[str, Any] = {}  # state of a timetable

    def _at(self, resolution: int, width: int) -> Choice:
        """A choice with a placeholder length. The name of its data set contains the folder, the
        resolution and a fingerprint of the files, so that other files get another data set.
        """
        name = f'{self.found.name}-{resolution}x{resolution}'
        return Choice(f'{name}-{self.found.fingerprint}', self.found.num_pictures, resolution,
                      width, few_images.LEAST_KIMG, self.precision, bool(self.found.classes), name)

    # ------------------------------------------------------------ the configuration

    def parts(self, choice: Choice) -> Given:
        """--config, --set and --use for the run of a choice: the user's settings, and the choice's
        for all other options.
        """
        files, assignments, uses = *self.given[:2], self._uses()
        chosen = settings.after_files(few_images.options(choice), files, assignments, uses)
        plain = {**few_images.DEFAULTS, **self._plain}
        own = [settings.assignment(name, value) for name, value in chosen.items()
               if files or plain.get(name, ANEW) != value]
        return Given(files, [*own, *assignments], uses)

    @functools.cached_property
    def _plain(self):
        """Options as config.py sets them."""
        return settings.plain_options(settings.load((), (), self.given.uses))

    def _uses(self):
        """Names for --use: the chosen precision, unless the user has chosen one."""
        return settings.with_default_line(self.given.uses, self.precision)

    def configuration(self, choice: Choice) -> types.ModuleType:
        """Configuration of the run of a choice."""
        config = settings.load(*self.parts(choice))
        settings.set_measured(config, self.measured)
        return config

    # ------------------------------------------------------------ measurements

    def left(self) -> float:
        """Seconds left of the time."""
        return MARGIN * self.seconds - (time.monotonic() - self.start)

    def measure_machine(self) -> None:
        """Choose precision, resolution and width by the speed of small networks."""
        resolution, width = min(REFERENCE[0], self.choice.resolution), REFERENCE[1]
        measured = self._measure(self._at(resolution, width), REFERENCE_SECONDS, [4, resolution])
        self.precision = _precision_of(measured, self.precision)
        speed = Speed.of(width, _seen(measured))
        seconds = self.left() - self._making_dataset() - 2 * measured.startup
        largest = self.choice.resolution
        is_set = 'resolution' in self.base.dataset
        networks = few_images.choose_networks(largest, self.choice.num_images,
                                              self._for_training(seconds, speed), speed)
        if networks is None:
            self.choice = self._at(*few_images.SMALLEST)
            raise self._too_short(self.seconds - seconds + 2 * few_images.seconds_for(
                few_images.LEAST_KIMG, *few_images.SMALLEST, speed))
        if is_set:
            networks = networks._replace(resolution=largest)
        self.choice = self._at(*networks)
        if networks.resolution < largest:
            next_one = 2 * networks.resolution
            needed = few_images.seconds_for(few_images.WANTED_KIMG[next_one], next_one,
                                            few_images.NARROWEST[next_one], speed)
            hours = few_images.rounded((needed + self.seconds - seconds) / 3600 * 1.1, 2)
            self.higher = f'{next_one}x{next_one} would take about --hours {hours:g}'

    def _making_dataset(self):
        """Approximate seconds for creating the data set; 0 if it exists."""
        if self._is_made():
            return 0.0
        each = self.found.sec_per_picture + SEC_PER_PICTURE
        return self.found.num_pictures * each / (os.cpu_count() or 1)

    def _for_training(self, seconds, speed):
        """Seconds left for training after measuring the chosen run, which compiles it once more."""
        return seconds - TRIAL * self.seconds - few_images.seconds_of_compiling(
            min(REFERENCE[0], self.choice.resolution), speed)

    def measure_run(self) -> None:
        """Set the length of the run from the speed of its stages."""
        stages = 2 * log2_of(self.choice.resolution) - 3
        least, most = TRIAL_SECONDS
        measured = self._measure(self.choice, min(max(TRIAL * self.seconds / stages, least), most))
        self.measured = measured.timetable
        total: float = self.configuration(self.choice).train.total_kimg
        seconds_of = functools.partial(self._seconds_of, measured)
        if total == self.choice.total_kimg:  # not set by the user
            left = self.left() - self._making_dataset()
            longest = few_images.longest_run(left, seconds_of)
            if longest is None:
                raise self._too_short(self.seconds - left + seconds_of(few_images.LEAST_KIMG))
            total = longest
        self.choice = self.choice._replace(total_kimg=total)
        self.expected = seconds_of(total)

    def _measure(self, choice, seconds, resolutions=None):
        """Measure the run of a choice on synthetic images, with stages of equal length."""
        files, assignments, uses = self.parts(choice)
        steps = log2_of(choice.resolution) - 2
        classes = len(self.found.classes) if choice.labels else 0
        data = dict(class_name='dataset.SyntheticDataset', resolution=choice.resolution,
                    num_channels=1 if self.found.is_gray else 3, label_size=classes)
        made_up = {'dataset': data, 'grid.layout': 'random', 'sched.lod_training_kimg': 1,
                   'sched.lod_transition_kimg': 1, 'train.total_kimg': 2 * steps + 1}
        return trials.measure(
            files, [*assignments, *(settings.assignment(*item) for item in made_up.items())], uses,
            seconds, resolutions)

    def _seconds_of(self, measured: trials.Measured, total_kimg: float) -> float:
        """Duration in seconds of a run of this length."""
        config = self.configuration(self.choice._replace(total_kimg=total_kimg))
        data = types.SimpleNamespace(resolution_log2=log2_of(self.choice.resolution))
        schedule = functools.partial(TrainingSchedule, training_set=data, num_gpus=config.num_gpus,
                                     total_kimg=config.train.total_kimg, **config.sched)
        run_phases = list_phases(schedule, config.sched, 0.0, config.train.total_kimg)
        ticks = (config.train.get(f'{name}_snapshot_ticks', 1) for name in ('image', 'network'))
        timetable = Timetable(run_phases, _cost, *ticks)
        timetable.restore(measured.timetable)
        stages = timetable.expected(0.0) or []
        return measured.startup + sum(stage.seconds for stage in stages)

    def _too_short(self, needed: float) -> ConfigError:
        hours, size = few_images.rounded(1.2 * needed / 3600, 2), self.choice.resolution
        return ConfigError(
            f'--hours {self.seconds / 3600:g}: {rough_time(self.seconds)} is not enough for '
            'measuring, compiling and a useful picture on this machine. Expected at '
            f'least --hours {hours:g}, for pictures of {size}x{size}.')

    # ------------------------------------------------------------ the data set

    @property
    def folder(self) -> str:
        """Path of the data set."""
        return os.path.join(self.base.data_dir, self.choice.tfrecord_dir)

    def make_dataset(self) -> None:
        """Create the data set, unless it exists for the same files."""
        if self._is_made():
            print(f'Using "{self.folder}", created from the same files')
            return
        found = self.found
        source, added = write_source(self.folder, lambda: load_images(
            found.image_dir, self.choice.resolution, 'folders' if found.classes else None,
            skip_bad=True))
        skipped = found.num_pictures - len(added)
        if skipped:
            print(f'{skipped} of {found.num_pictures} pictures could not be read and were skipped')

    def _is_made(self):
        return bool(glob.glob(os.path.join(glob.escape(self.folder), '*.tfrecords')))

    # ------------------------------------------------------------ output

    def commands(self) -> list[str]:
        """Command lines that create the data set and start the same run."""
        found, (files, assignments, uses) = self.found, self.parts(self.choice)
        labels = ['--labels', 'folders'] if found.classes else []
        create = command('dataset_tool.py', 'create_from_images', self.folder,
                         path_argument(found.image_dir), '--resolution', self.choice.resolution,
                         *labels, '--skip_bad')
        words = [word for name, values in
                 (('--use', uses), ('--config', files), ('--set', assignments))
                 for value in values for word in (name, value)]
        return [create, command('train.py', *words)]

    def print(self) -> None:
        """Print the choice with its reasons, and the equivalent commands."""
        config, found = self.configuration(self.choice), self.found
        total = config.train.total_kimg
        size, own = self.choice.resolution, few_images.resolution_of(found.sides)
        why = f'; {self.higher}' if self.higher else ''
        unreadable = f' ({found.unreadable} unreadable)' if found.unreadable else ''
        classes = f'{len(found.classes)} classes ({", ".join(found.classes)[:60]})'
        times = total * 1000 / found.num_pictures
        left = self.seconds - (time.monotonic() - self.start)
        rows = {
            'Pictures': f'{found.num_pictures}{unreadable}, most of at least {own}x{own}; '
                        + (classes if found.classes else found.note or 'no classes'),
            'Resolution': f'{size}x{size}{why}',
            'Networks': f'at most {config.G.get("fmap_max", 512)} feature maps, '
                        f'{config.G.get("dtype", "float32")}',
            'Length': f'{total:g} kimg: each picture {times:.0f} times, '
                      f'{_ticks(config)} pictures of progress',
            'Augmentation': config.train.get('augment') or 'off',
            'Mirroring': 'on' if config.train.get('mirror_augment') else
                         'off; if mirrored pictures look just as natural, add --set '
                         'train.mirror_augment=True',
            'Time': f'{rough_time(self.expected)} from now on; {rough_time(left)} are left of '
                    f'--hours {self.seconds / 3600:g}',
        }
        print('Chosen:')
        for name, text in rows.items():
            print(f'  {name:<14s}{text}')
        if self.expected > 1.05 * left:
            print('Note: the length that you have set takes longer than --hours.')
        print('The equivalent commands, to run or to edit:')
        for line in self.commands():
            print(f'  {line}')


def make_plan(image_dir: str, hours: float, given: Given, dry_run: bool = False) -> Plan:
    """Create a data set from a folder of pictures, choose a run for it and print the choice.

    Args:
        image_dir: the folder.
        hours: total time, from now on.
        given: the user's settings, which take precedence.
        dry_run: do not create the data set.

    Raises:
        ConfigError: the time is too short, or options contradict each other.
        DataError: the folder has no pictures.
    """
    if os.environ.get('TF_CONFIG'):
        raise ConfigError('--images measures one machine, but TF_CONFIG names several. Run it with '
                          '--dry-run and without TF_CONFIG, then run the commands that it prints '
                          'on each machine.')
    if 3600 * hours < LEAST_SECONDS:
        raise ConfigError(f'--hours {hours:g}: {3600 * hours:.3g} seconds are not enough to start '
                          'TensorFlow and measure this machine. Expected at least --hours '
                          f'{few_images.rounded(2 * LEAST_SECONDS / 3600, 2):g}.')
    base = settings.load(given.config_files, given.assignments, given.uses)
    _check_given(base)
    _check_places(image_dir, base)
    plan = Plan(survey(image_dir), given, hours)
    print('Measuring this machine...', flush=True)
    plan.measure_machine()
    if not dry_run:
        plan.make_dataset()
    print('Measuring the run...', flush=True)
    plan.measure_run()
    plan.print()
    return plan


def _check_given(config):
    """Raise ConfigError if the user's settings choose a data set or do not train."""
    plain = settings.load()
    for key in ('tfrecord_dir', 'class_name'):
        value = config.dataset.get(key)
        if value != plain.dataset.get(key):
            raise ConfigError(f'--images creates a data set, but dataset.{key} is set to {value!r} '
                              'with --set, --use or --config. Remove one of the two.')
    if config.train.func != plain.train.func or 'train_progressive_gan' not in config.train.func:
        raise ConfigError(f'--images trains, but config.train.func is {config.train.func!r}. '
                          'Expected train.train_progressive_gan.')


def _check_places(image_dir, config):
    """Raise DataError if the next run would take the output for input pictures."""
    for name in ('data_dir', 'result_dir'):
        place = getattr(config, name)
        inside = os.path.join(os.path.realpath(place), '')
        if inside.startswith(os.path.join(os.path.realpath(image_dir), '')):
            raise DataError(f'{name} = {place!r} is inside the folder of pictures, '
                            f'{image_dir!r}, so the next run would take its files for input '
                            f'pictures. Start from another folder, or add --set {name}=FOLDER.')


def _precision_of_cpu(cpuinfo='/proc/cpuinfo'):
    """The CPU's fastest precision: bf16 if it multiplies bfloat16 natively."""
    try:
        with open(cpuinfo, encoding='utf-8', errors='replace') as file:
            words = set(file.read().split())
    except OSError:  # not Linux
        return 'fp32'
    return 'bf16' if words & BFLOAT16_FLAGS else 'fp32'


def _precision_of(measured, of_cpu):
    """Fastest precision of the devices that TensorFlow has found."""
    if not measured.num_gpus:
        return _precision_of_cpu()
    capability = measured.capability or (0, 0)
    if capability >= BFLOAT16_CAPABILITY:
        return 'bf16'
    return 'fp16' if capability >= FLOAT16_CAPABILITY else of_cpu


def _cost(resolution):
    """Substitute for an image's cost, for when every resolution has been measured; it only has to
    differ between resolutions.
    """
    return resolution ** 2


def _seen(measured):
    """{resolution: (seconds per kimg, seconds of compiling)} of the measured stages."""
    timetable = Timetable([], _cost)
    timetable.restore(measured.timetable)
    return {size: (timetable.sec_per_kimg(size, False) or 0.0, timetable.compiling(size, False))
            for size, _, *_ in measured.timetable['seen']}


def _ticks(config):
    return round(config.train.total_kimg / config.sched.tick_kimg_base)
