"""Checks of a script's options before TensorFlow starts, which takes seconds: runs, files and
metrics exist, and no options exclude each other.
"""
import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import metrics as metrics_room
import misc
from pgan.errors import ConfigError, DataError
from pgan.files import nearest_path
from pgan.options import REQUIRED, Option
from pgan.scripts.option_checks import frame_count
from pgan.scripts.seeds import expect_alone, seed_list, station_frames


def check_early(options: Mapping[str, Option], given: Mapping[str, Any],
                config: ModuleType) -> None:
    """Check the options of a script. The type of each value has been checked before.

    Args:
        options: {name: Option} of the script.
        given: {name: value} of the options that are set.
        config: the configuration; result_dir is used.

    Raises:
        ConfigError, DataError: with the message that the script itself would give.
    """
    values = {name: option.default for name, option in options.items()
              if option.default is not REQUIRED} | dict(given)
    _check_frames(values, options)
    if values.get('metrics') is not None:
        try:
            metrics_room.check_short_names(values['metrics'])
        except ConfigError as error:
            raise ConfigError(f'train.metrics: {error}') from error
    if values.get('image') is not None:
        expect_picture(values['image'])
    if 'run_id' in values:
        _check_run(values, config.result_dir)


def _check_frames(values, options):
    """Check the seeds and the length of a video."""
    seeds = [] if values.get('seeds') is None else seed_list(values['seeds'])
    if seeds:
        expect_alone(options, values)
    if 'duration_sec' in values:
        num_frames = frame_count(values['duration_sec'], values['mp4_fps'])
        if seeds:
            station_frames(len(seeds), num_frames)


def _check_run(values, result_dir):
    if 'against' in values:
        folder = misc.locate_result_subdir(values['run_id'], result_dir)
        snapshots_to_measure(folder, result_dir)
        check_part(folder, values['against'])
    elif 'snapshot' in values:
        misc.locate_network_pkl(values['run_id'], values['snapshot'], result_dir)
    else:
        misc.locate_result_subdir(values['run_id'], result_dir)


def expect_picture(path: str) -> None:
    """Raise DataError unless `path`, the option `image` of project_image, is a file."""
    if not os.path.isfile(path):
        what = f'{path!r} is a folder' if os.path.isdir(path) else f'there is no file {path!r}'
        raise DataError(f'train.image: {what}. Expected a picture.{nearest_path(path)}')


def snapshots_to_measure(folder: str, result_dir: str | os.PathLike) -> list[str]:
    """Return the snapshots of a run that evaluate_metrics measures, oldest first.

    Raises:
        DataError: the run has no snapshots.
    """
    pkls = misc.list_network_pkls(folder, include_final=False, result_dir=result_dir)
    if not pkls:
        raise DataError(f'the run {folder!r} has no network-snapshot-*.pkl to evaluate. '
                        f'{misc.results.why_no_networks(folder)}')
    return pkls


def check_part(folder: str, against: str) -> None:
    """Raise ConfigError if `against` asks for validation images but the run held none out."""
    if against != 'training' and not misc.results.read_dataset_options(folder)[0].get(
            'validation'):
        raise ConfigError(f'the run {folder!r} held no images out to measure against '
                          '(dataset.validation was 0). Measure against the training images, or '
                          'hold some out in the next run: --set dataset.validation=0.1')
