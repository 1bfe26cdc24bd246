"""Train what config.py describes: `python train.py [options]`; -h lists the options.

Also re-exports the names that users of the original import from here: TrainingSchedule,
process_reals, setup_snapshot_image_grid, train_progressive_gan.
"""
import argparse
import math
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from pgan import settings
from pgan.console import output_that_may_end
from pgan.errors import DataError
from pgan.files import expanded
from pgan.help_texts import example, filled
from pgan.options import is_number
from pgan.settings import few_images, launch

if TYPE_CHECKING:
    from misc.resuming import RunToResume

_PYTHON: str = 'Python 3.11 or newer is needed'  # Python 2 stops at this line, and shows it
_EXAMPLES = {
    '': 'Run what config.py describes.',
    ' --use cifar10,cond,bf16': 'The same with other lines of config.py turned on.',
    ' --config configs/quickstart.py': 'The same with a few lines changed.',
    ' --set train.total_kimg=1000': 'The same with single values changed.',
    ' --dry-run': 'Check everything, show the schedule and how long it will take.',
    ' --images ~/pictures --hours 8': 'Train on your own pictures, with settings chosen for them.',
    ' --resume': 'Continue the newest run that was stopped.',
    ' --list': 'List what config.py offers.',
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    examples = '\n'.join(
        example(f'python train.py{arguments}', '  ') + '\n' + filled(meaning, '      ')
        for arguments, meaning in _EXAMPLES.items())
    parser = settings.Parser(
        prog='train.py',
        description='Train a progressive GAN, or run another script, as set in config.py.',
        epilog=f'examples:\n{examples}\n\nconfig.py offers:\n{settings.option_names()}')
    settings.add_arguments(parser)
    settings.add_use_argument(parser)
    parser.add_argument('--list', action='store_true',
                        help='print the data sets, presets and switches that config.py offers, '
                             'and what they mean')
    add_images_arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument('--resume', metavar='RUN_ID', nargs='?', const='',
                     help='continue a stopped run in its own folder, with its original options '
                          '(--use, --config and --set are applied on top): number, name or folder '
                          'of the run; default: the newest unfinished one')
    how.add_argument('--dry-run', action='store_true',
                     help='check everything, run a step at each resolution, print the schedule '
                          'with an estimate of its time, and leave no files behind')
    args = parser.parse_args(argv)
    if args.hours is not None and args.images is None:
        parser.error('--hours needs --images FOLDER; set the length of other runs with '
                     'train.total_kimg')
    if args.images is not None and args.resume is not None:
        parser.error('--resume continues a run with its original options: leave out '
                     '--images')
    return args


def add_images_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --images and --hours."""
    parser.add_argument('--images', metavar='FOLDER', type=expanded,
                        help='train on a folder of pictures: make the data set, measure this '
                             'machine, and choose resolution, networks and length; options set '
                             'with --use, --config or --set take precedence')
    parser.add_argument('--hours', metavar='HOURS', type=_hours,
                        help=f'time for all of this, training included; default: '
                             f'{few_images.HOURS:g}')


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError('expected a number of hours above 0, such as 8 or 0.5. '
                                         f'Received: {text!r}')
    return hours


def main(argv: Sequence[str] | None = None) -> int:
    """Read the configuration, start TensorFlow, and run config.train.func.

    Returns:
        The exit code.
    """
    return launch.exit_code_of(lambda: _main(parse_args(argv)))


def _main(args: argparse.Namespace) -> None:
    if args.list:
        with output_that_may_end(needed=True):
            settings.print_catalogue(args.use)
        return
    if args.images is not None:
        _train_on_images(args)
        return
    config, resume = load(args)
    launch.start(config, resume, args.dry_run)


def _train_on_images(args):
    """Train on a folder of pictures; with --dry-run, only print the plan."""
    from pgan.training.own_pictures import Given, make_plan
    plan = make_plan(args.images, args.hours or few_images.HOURS,
                     Given(args.config, args.set, args.use), args.dry_run)
    if not args.dry_run:
        launch.start(plan.configuration(plan.choice))


def load(args: argparse.Namespace) -> 'tuple[ModuleType, RunToResume | None]':
    """Return the configuration and the run to resume, or None.

    A resumed run keeps its original options; those of the command line are applied after them.
    """
    config = settings.load(args.config, args.set, args.use)
    if args.resume is None:
        return config, None
    import misc
    from misc.own_code import check_config_files, check_record
    from misc.resuming import check_something_is_left
    from misc.run_files import run_json
    from misc.run_status import read_status
    try:
        resume = misc.find_run(args.resume, config.result_dir)
    except DataError:
        if not os.environ.get('TF_CONFIG'):
            raise
        # Only one of several machines has the results, and which one is not known yet.
        resume = misc.RunToResume(None, wanted=args.resume)
    named = {os.path.realpath(expanded(path)) for path in args.config}
    if resume.path is not None:
        check_config_files([path for path in resume.config_files
                            if os.path.realpath(path) not in named], resume.path)
    # a file that is given again counts once
    new_files = [path for path in args.config if os.path.abspath(path) not in resume.config_files]
    files = [*resume.config_files, *new_files]
    given = settings.plain_options(settings.load(files, args.set, resume.uses, args.use))
    config = settings.load(files, [*resume.assignments, *args.set], resume.uses, args.use)
    if resume.path is not None:
        check_record(settings.plain_options(config), given, run_json(resume.path))
        kimg, total_kimg = read_status(resume.path).kimg, config.train.get('total_kimg')
        if kimg is not None and is_number(total_kimg):
            check_something_is_left(resume, kimg, total_kimg)  # before TensorFlow starts
    return config, resume


if __name__ == '__main__':
    # before the imports below: config.env must be in force when TensorFlow is imported
    sys.exit(main())

from pgan.reporting.snapshots import setup_snapshot_image_grid  # noqa: E402
from pgan.training.loop import train_progressive_gan  # noqa: E402
from pgan.training.reals import process_reals  # noqa: E402
from pgan.training.schedule import TrainingSchedule  # noqa: E402

__all__ = [
    'TrainingSchedule', 'main', 'process_reals', 'setup_snapshot_image_grid',
    'train_progressive_gan'
]
