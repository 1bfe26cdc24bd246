"""Checks of a configuration's names and values, before any work. Every mistake is a ConfigError
that says what was wrong, what would be right, and the nearest name to a misspelt one.

What an option may be stands in the signature of the function that takes it: see `pgan.options`.
"""
import contextlib
import glob
import os
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, Any

from pgan import options as option_words
from pgan.definitions import (
    option_annotation,
    option_annotations,
    option_names,
    parameter_names,
    passes_on,
    plain_defaults,
)
from pgan.errors import ConfigError, did_you_mean, expect, in_short
from pgan.files import LONGEST_DESC, expect_utf8
from pgan.options import (
    REQUIRED,
    Count,
    DottedName,
    Resolution,
    Seed,
    Such,
    check_kind,
    check_value,
    is_number,
    kind_of,
    options_of,
    rest_of,
    user_options,
    with_defaults,
)

# The program's own function for each name of config.py that holds options. What this function marks
# as `Supplied`, the program passes to any in its place.
OWN_FUNCTIONS = {
    'train': 'train.train_progressive_gan',
    'G': 'networks.G_paper',
    'D': 'networks.D_paper',
    'G_loss': 'loss.G_wgan_acgan',
    'D_loss': 'loss.D_wgangp_acgan',
    'G_opt': 'tfutil.optimizer.Optimizer',
    'D_opt': 'tfutil.optimizer.Optimizer',
    'sched': 'pgan.training.schedule.TrainingSchedule',
    'grid': 'pgan.reporting.snapshots.setup_snapshot_image_grid',
    'dataset': 'dataset.TFRecordDataset',
}
DATASET_LOADER = 'dataset.load_dataset'  # makes an instance of dataset.class_name
WITH_FUNC = ('train', 'G', 'D', 'G_loss', 'D_loss')

_Text = Annotated[str, Such('a non-empty string', bool)]
_TOP_LEVEL = {'data_dir': _Text, 'result_dir': _Text, 'desc': _Text, 'num_gpus': Count,
              'random_seed': Seed}
NAMES = frozenset({'EasyDict', 'env', 'tf_config', *_TOP_LEVEL, *OWN_FUNCTIONS})  # of config.py


def check_config(config: ModuleType) -> None:
    """Check names and values before any work. Imports the functions that the configuration names,
    so TensorFlow as well.

    Names and values are compared with the signatures of the functions they go to. What the program
    passes itself (such as G's resolution) is not the configuration's to set. A `**ignored` swallows
    names that a loader may send along, which here can only be misspelt ones; any other `**name`
    passes names on.

    Raises:
        ConfigError: with the option, what was expected, what was received, and the nearest name to
            a misspelt one.
    """
    from tfutil.runtime import check_tf_config  # brings TensorFlow, whose environment is set by now

    _check_top_level(config)
    functions = {name: _function(config, name) for name in OWN_FUNCTIONS}
    for name, function in functions.items():
        _check_function(config, name, function)
        _check_options(name, getattr(config, name), function)
    check_tf_config(config.tf_config)
    _check_metrics(config.train, functions['train'])
    _check_training(config, functions)
    _check_held_out(config, functions)
    _check_augmentation(config, functions)
    resolution = _data_resolution(config, functions['dataset'])
    if resolution is not None:  # Else the data set is not there; loading it will say so.
        check_minibatches(config, resolution)


def check_spelling(config: ModuleType) -> None:
    """The part of `check_config` that needs no TensorFlow: config.py's own names, misspelt
    options of the program's own functions, and values that these do not take.
    """
    _check_top_level(config)
    for name, own in OWN_FUNCTIONS.items():
        options = getattr(config, name)
        function = options.get(_choice(name), own)
        # of functions elsewhere nothing is known yet
        with contextlib.suppress(LookupError, OSError, SyntaxError, TypeError, StopIteration):
            taken, rest = parameter_names(function)
            for key in options:
                if not (key in taken or key == _choice(name) or passes_on(rest)):
                    raise _misspelt(name, key, option_names(function))
            _check_values(name, options, function)


def _check_values(name, options, function):
    """Values of options whose kind the source of their function tells."""
    annotations, defaults = option_annotations(function), plain_defaults(function)
    for key in annotations.keys() & options.keys():
        if key in defaults and repr(options[key]) == repr(defaults[key]):
            continue
        with contextlib.suppress(LookupError):
            check_kind(f'{name}.{key}', options[key],
                       kind_of(option_annotation(function, key, vars(option_words))))


def _choice(name):
    """The item of one of config.py's names that says what the others are passed to."""
    return 'class_name' if name == 'dataset' else 'func' if name in WITH_FUNC else None


def _misspelt(name, key, legal):
    return ConfigError(f'{name}.{key} is not an option.{did_you_mean(key, legal)} {name} takes: '
                       f'{", ".join(legal)}.')


def _check_top_level(config):
    """Types and ranges of config.py's own names."""
    for name, annotation in _TOP_LEVEL.items():
        check_kind(name, getattr(config, name), kind_of(annotation))
    expect(not re.search(r'[\0-\x1f\x7f]', config.desc), 'desc',
           'one line of text, as it becomes the name of a folder', config.desc)
    _check_names(config)
    expect(os.path.isdir(config.result_dir) or not os.path.exists(config.result_dir), 'result_dir',
           'a folder, existing or not; this is a file', config.result_dir)
    for name in ('tf_config', 'env', *OWN_FUNCTIONS):
        expect(isinstance(getattr(config, name), dict), name, 'an EasyDict', getattr(config, name))
    for name in WITH_FUNC:
        check_kind(f'{name}.func', getattr(config, name).get('func'),
                   kind_of(DottedName))


def _check_names(config):
    """File systems take the names of the result folder, and TensorFlow the letters in them."""
    for name in ('desc', 'result_dir'):
        expect_utf8(name, getattr(config, name))
    # a home folder that exists has been put in its place
    expect(config.result_dir[:1] != '~', 'result_dir', 'a folder, or ~ for your home folder; this '
           'is the home of a user who does not exist', config.result_dir)
    size = len(config.desc.encode())
    if size > LONGEST_DESC:
        raise ConfigError(f'desc is too long: {size} bytes; at most {LONGEST_DESC} fit into the '
                          f"result folder's name. Received: '{config.desc[:40]}...'. Shorten it.")
    parts = os.path.abspath(config.result_dir).split(os.sep)
    if max(len(os.fsencode(part)) for part in parts) > 255 or len(os.sep.join(parts)) > 3000:
        raise ConfigError('result_dir is too long. Expected names of at most 255 bytes, and at '
                          f'most 3000 in all. Received: {in_short(config.result_dir)!r}. Shorten '
                          'it.')


# --------------------------------------------------------------------------------------------------
# The functions that the configuration names.

def import_function(dotted_name: str) -> Any:
    from tfutil.objects import import_obj  # brings TensorFlow, which reading does without

    return import_obj(dotted_name)


def dataset_class_name(options: Mapping[str, Any]) -> str:
    """The class that `config.dataset` is of."""
    return with_defaults(import_function(DATASET_LOADER), options)['class_name']


def _function(config, name):
    """What the items of one of config.py's names are passed to."""
    options = getattr(config, name)
    if name == 'dataset':
        class_name = dataset_class_name(options)
        check_kind('dataset.class_name', class_name, kind_of(DottedName))
        return import_function(class_name)
    return import_function(options['func'] if name in WITH_FUNC else OWN_FUNCTIONS[name])


def _supplied(name):
    """Options that the program passes, by what its own function marks: {name: Option}."""
    functions = [OWN_FUNCTIONS[name], *([DATASET_LOADER] if name == 'dataset' else [])]
    return {
        key: option for function in functions
        for key, option in options_of(import_function(function)).items() if option.is_supplied
    }


def _check_function(config, name, function):
    """A function can be called as the program will call it, and is not another name's."""
    func = getattr(config, name).get('func')
    if name == 'dataset':
        expect(isinstance(function, type), 'dataset.class_name', 'the name of a class',
               dataset_class_name(config.dataset))
    if name in ('G', 'D'):
        from tfutil.objects import expect_tensorflow2  # brings TensorFlow
        expect_tensorflow2(f'{name}.func', function)
    try:
        taken, rest = options_of(function), rest_of(function)
    except (TypeError, ValueError):
        raise ConfigError(f'{name}.func: expected the name of a function with named arguments. '
                          f'Received: {func!r}.') from None
    missing = {key for key, option in _supplied(name).items() if option.is_needed} - set(taken)
    expect(rest or not missing, f'{name}.func', f'a function that takes '
           f'{", ".join(sorted(missing))} by name, which the program passes', func)
    others = [OWN_FUNCTIONS[other] for other in WITH_FUNC if other != name]
    expect(function not in map(import_function, others), f'{name}.func',
           f'a function like {OWN_FUNCTIONS[name]}', func)


def _check_options(name, options, function):
    """Names and values of one name's items against the function they go to."""
    legal, supplied, rest = user_options(function), _supplied(name), rest_of(function)
    legal = {key: option for key, option in legal.items() if key not in supplied}
    for key, value in options.items():
        if key in supplied:
            raise ConfigError(f'{name}.{key} cannot be set: the program itself passes it, from '
                              f'the data set and the rest of the configuration. {name} takes: '
                              f'{", ".join(legal)}.')
        if key in legal:
            check_value(f'{name}.{key}', value, legal[key])
        elif key != _choice(name) and not passes_on(rest):
            raise _misspelt(name, key, list(legal))
    missing = [
        key for key, option in legal.items() if option.default is REQUIRED and key not in options
    ]
    if missing:
        raise ConfigError(f'{name}.{missing[0]} must be set: '
                          f'{getattr(function, "__name__", function)} needs it. Choose a line of '
                          'config.py that sets it, or add one.')


# --------------------------------------------------------------------------------------------------
# What options must be together.

def _check_metrics(options, function):
    """The program's own functions take `metrics` by name; all of them must exist."""
    names = with_defaults(function, options).get('metrics')
    if names and function.__module__.startswith('pgan.'):
        import metrics  # brings TensorFlow
        try:
            metrics.check_names(names)
        except ConfigError as error:
            raise ConfigError(f'train.metrics: {error}') from error


def _check_training(config, functions):
    """What `train`'s values must be together, and training must have of its data set."""
    options = with_defaults(functions['train'], config.train)
    if options.get('resume_snapshot') is not None and options.get('resume_run_id') is None:
        raise ConfigError('train.resume_snapshot: expected train.resume_run_id along with it, the '
                          f'run that the snapshot is of. Received: {options["resume_snapshot"]!r} '
                          'alone.')
    _check_start(options)
    resumed, total = options.get('resume_kimg'), options.get('total_kimg')
    if is_number(resumed) and is_number(total) and 0 < resumed >= total:
        raise ConfigError(f'train.resume_kimg: expected less than train.total_kimg = {total}, the '
                          'length of the whole run, or nothing is left to train. Received: '
                          f'{resumed!r}. Raise train.total_kimg.')
    if total is not None:
        data = with_defaults(functions['dataset'], config.dataset)
        expect(data.get('repeat') is not False, 'dataset.repeat',
               'True: training shows a data set many times', data.get('repeat'))
        _check_rows(config.grid, data.get('max_label_size'))


def _check_held_out(config, functions):
    """There are held-out images where an option looks at them."""
    options = with_defaults(functions['train'], config.train)
    if with_defaults(functions['dataset'], config.dataset).get('validation'):
        return
    if options.get('metrics_against') == 'validation':
        raise ConfigError("train.metrics_against = 'validation' needs images to measure against, "
                          'but dataset.validation is 0. Hold some out, e.g. --set '
                          'dataset.validation=0.1')
    if options.get('augment') == 'ada':
        raise ConfigError("train.augment = 'ada' steers by images that training never sees, but "
                          'dataset.validation is 0. Hold some out, e.g. --set '
                          "dataset.validation=0.1; or choose train.augment='diffaugment', which "
                          'needs none.')


def _check_augmentation(config, functions):
    """The losses let `train.augment` change what D sees."""
    method = with_defaults(functions['train'], config.train).get('augment')
    if method is None:
        return
    for name in ('G_loss', 'D_loss'):
        if 'augment' not in options_of(functions[name]) and not rest_of(functions[name]):
            raise ConfigError(f'train.augment = {method!r} needs losses that augment what D sees, '
                              f'but {name}.func = {getattr(config, name)["func"]!r} takes no '
                              'argument `augment`. Let it take one, as loss.D_wgangp_acgan does, '
                              'and call augment(images) on what is passed to D; or leave '
                              'train.augment out.')


def _check_start(options):
    """What a run begins with."""
    init_from, frozen = options.get('init_from'), options.get('freeze_D')
    for name in ('resume_run_id', 'resume_kimg'):
        if init_from is not None and options.get(name) not in (None, 0.0, False):
            raise ConfigError(f'train.init_from and train.{name} contradict each other. '
                              'init_from begins a new run, at 0 kimg, with what fits of a '
                              "snapshot's layers; resume_run_id and resume_kimg go on with an "
                              'earlier run on the same data. Received: init_from = '
                              f'{init_from!r}, {name} = {options[name]!r}. Leave one of them out.')
    if frozen and init_from is None:
        raise ConfigError('train.freeze_D: expected train.init_from along with it, a snapshot '
                          'whose layers are to be kept; without it they would stay random. '
                          f'Received: {frozen!r} alone.')


def _check_rows(grid, label_size):
    """Image grids with one class a row need labels."""
    if grid.get('layout') == 'row_per_class' and label_size == 0:
        raise ConfigError("grid.layout = 'row_per_class' (the line '-grpc') needs a run that is "
                          "conditioned on labels, but dataset.max_label_size is 0. Choose the line "
                          "'-cond' as well (dataset.max_label_size = 'full', or --use cond), or "
                          "leave out '-grpc' (grid.layout = 'random').")


def check_minibatches(config: Any, resolution: int) -> None:
    """At each resolution of the run, each GPU's share of the minibatch must split into D's
    minibatch-stddev groups.

    Args:
        config: the configuration, or another object with its `sched`, `G`, `D` and `num_gpus`.
        resolution: of the data set's full images.

    Raises:
        ConfigError: one does not, or is too small for the number of GPUs; or networks that cannot
            grow are to grow.
    """
    sched = with_defaults(import_function(OWN_FUNCTIONS['sched']), config.sched)
    G, D = (with_defaults(import_function(options['func']), options)
            for options in (config.G, config.D))
    trained = min(sched['lod_initial_resolution'], resolution)
    for name, options in (('G', G), ('D', D)):
        if trained < resolution and options.get('progressive') is False:
            raise ConfigError(f'{name}.progressive: expected True, as training starts at '
                              f'sched.lod_initial_resolution = {trained}. Received: False. Set it '
                              'for both G and D, or set sched.lod_initial_resolution = '
                              f'{resolution}, the full resolution.')
    while trained <= resolution:
        _check_minibatch(sched, config.num_gpus, _stddev_group(D), trained)
        trained *= 2


def _stddev_group(D):
    """The group of the minibatch stddev layer; 1 of a D without one."""
    is_off = 'mbstat_avg' in D and D['mbstat_avg'] is None
    return 1 if is_off else D.get('mbstd_group_size') or 1


def _check_minibatch(sched, num_gpus, group, resolution):
    """One resolution's minibatch, after the schedule has rounded it down to a multiple of num_gpus
    and capped it.
    """
    asked = sched['minibatch_dict'].get(resolution, sched['minibatch_base'])
    per_gpu = min(asked // num_gpus, sched['max_minibatch_per_gpu'].get(resolution, asked))
    where = f'The minibatch of {asked} at {resolution}x{resolution} on num_gpus = {num_gpus}'
    if per_gpu < 1:
        raise ConfigError(f'{where} leaves nothing for each GPU. Expected at least {num_gpus}: '
                          'raise sched.minibatch_base and sched.minibatch_dict, or choose the '
                          'preset for this number of GPUs.')
    if group > 1 and per_gpu % min(group, per_gpu):
        raise ConfigError(f'{where} gives {per_gpu} to each GPU. Expected a multiple of '
                          f'D.mbstd_group_size = {group}, or less than it. Change '
                          'sched.minibatch_dict, sched.max_minibatch_per_gpu, D.mbstd_group_size '
                          'or num_gpus.')


def _data_resolution(config, dataset_class):
    """The data set's full resolution, from the configuration, its class or its files' names; None
    where none tells.
    """
    resolution = with_defaults(dataset_class, config.dataset).get('resolution')
    if kind_of(Resolution).holds(resolution):
        return resolution
    folder = os.path.join(config.data_dir, str(config.dataset.get('tfrecord_dir', '')))
    files = glob.glob(os.path.join(glob.escape(folder), '*-r[0-9][0-9].tfrecords'))
    return 2 ** max(int(path[-len('02.tfrecords'):][:2]) for path in files) if files else None
