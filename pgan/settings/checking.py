"""Checks of a configuration's names and values before any work is done.

Every mistake raises a ConfigError that states what is wrong and what is expected, and suggests the
correct spelling of a misspelt name. The signature of the function that takes an option defines its
valid values; see `pgan.options`.
"""
import contextlib
import glob
import os
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, Any

import metrics
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

# The built-in function for each name in config.py that holds options. The program passes the
# parameters that it marks as `Supplied` to any replacement, too.
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
DATASET_LOADER = 'dataset.load_dataset'  # creates an instance of dataset.class_name
WITH_FUNC = ('train', 'G', 'D', 'G_loss', 'D_loss')

_Text = Annotated[str, Such('a non-empty string', bool)]
_TOP_LEVEL = {'data_dir': _Text, 'result_dir': _Text, 'desc': _Text, 'num_gpus': Count,
              'random_seed': Seed}
NAMES = frozenset({'EasyDict', 'env', 'tf_config', *_TOP_LEVEL, *OWN_FUNCTIONS})  # in config.py


def check_config(config: ModuleType) -> None:
    """Check all names and values before any work. Imports the configured functions, and with them
    TensorFlow.

    Names and values are checked against the signatures of the functions that receive them. A
    configuration may not set arguments that the program passes itself, such as G's resolution. If a
    function has `**ignored`, which discards the extra names that a loader may pass, unknown names
    are treated as misspelt. Any other `**name` is assumed to forward them.

    Raises:
        ConfigError: with the option, the expected and the received value, or the most similar name
            to a misspelt one.
    """
    from tfutil.runtime import check_tf_config  # imports TensorFlow; its environment is set by now

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
    if resolution is not None:  # otherwise the data set is missing, which loading it reports
        check_minibatches(config, resolution)


def check_spelling(config: ModuleType) -> None:
    """The part of `check_config` that does not need TensorFlow: top-level names of config.py,
    misspelt options of the program's own functions, their values, and names of metrics.
    """
    _check_top_level(config)
    for name, own in OWN_FUNCTIONS.items():
        options = getattr(config, name)
        function = options.get(_choice(name), own)
        # Functions defined outside this program are unknown until they are imported.
        with contextlib.suppress(LookupError, OSError, SyntaxError, TypeError, StopIteration):
            taken, rest = parameter_names(function)
            for key in options:
                if not (key in taken or key == _choice(name) or passes_on(rest)):
                    raise _misspelt(name, key, option_names(function))
            _check_values(name, options, function)
    if config.train.get('func') == OWN_FUNCTIONS['train']:
        with _naming('train.metrics'):
            metrics.check_short_names(config.train.get('metrics', []))


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
    """Key of the item that names the function or class receiving the others."""
    return 'class_name' if name == 'dataset' else 'func' if name in WITH_FUNC else None


def _misspelt(name, key, legal):
    return ConfigError(f'{name}.{key} is not an option.{did_you_mean(key, legal)} {name} takes: '
                       f'{", ".join(legal)}.')


def _check_top_level(config):
    """Check types and ranges of config.py's top-level names."""
    for name, annotation in _TOP_LEVEL.items():
        check_kind(name, getattr(config, name), kind_of(annotation))
    expect(not re.search(r'[\0-\x1f\x7f]', config.desc), 'desc',
           'one line of text, because it becomes the name of a folder', config.desc)
    _check_names(config)
    expect(os.path.isdir(config.result_dir) or not os.path.exists(config.result_dir), 'result_dir',
           'a folder, existing or not; this is a file', config.result_dir)
    for name in ('tf_config', 'env', *OWN_FUNCTIONS):
        expect(isinstance(getattr(config, name), dict), name, 'an EasyDict', getattr(config, name))
    for name in WITH_FUNC:
        check_kind(f'{name}.func', getattr(config, name).get('func'),
                   kind_of(DottedName))


def _check_names(config):
    """Check that the result folder's names are valid for file systems and for TensorFlow."""
    for name in ('desc', 'result_dir'):
        expect_utf8(name, getattr(config, name))
    # a home folder that exists has been put in its place
    expect(config.result_dir[:1] != '~', 'result_dir', 'a folder, or ~ for your home folder; this '
           'is the home of a user who does not exist', config.result_dir)
    size = len(config.desc.encode())
    if size > LONGEST_DESC:
        raise ConfigError(f'desc is too long: {size} bytes; the name of a result folder has room '
                          f"for {LONGEST_DESC}. Received: '{config.desc[:40]}...'. Shorten it.")
    parts = os.path.abspath(config.result_dir).split(os.sep)
    if max(len(os.fsencode(part)) for part in parts) > 255 or len(os.sep.join(parts)) > 3000:
        raise ConfigError('result_dir is too long. Expected names of at most 255 bytes, and at '
                          f'most 3000 in total. Received: {in_short(config.result_dir)!r}. Shorten '
                          'it.')


# --------------------------------------------------------------------------------------------------
# The functions that the configuration names.

def import_function(dotted_name: str) -> Any:
    from tfutil.objects import import_obj  # imports TensorFlow, which `load` must not do

    return import_obj(dotted_name)


def dataset_class_name(options: Mapping[str, Any]) -> str:
    """Dotted name of the class that `config.dataset` selects."""
    return with_defaults(import_function(DATASET_LOADER), options)['class_name']


def _function(config, name):
    """Function or class that receives the items of one of config.py's names."""
    options = getattr(config, name)
    if name == 'dataset':
        class_name = dataset_class_name(options)
        check_kind('dataset.class_name', class_name, kind_of(DottedName))
        return import_function(class_name)
    return import_function(options['func'] if name in WITH_FUNC else OWN_FUNCTIONS[name])


def _supplied(name):
    """Options that the program passes, as marked by the built-in function: {name: Option}."""
    functions = [OWN_FUNCTIONS[name], *([DATASET_LOADER] if name == 'dataset' else [])]
    return {
        key: option for function in functions
        for key, option in options_of(import_function(function)).items() if option.is_supplied
    }


def _check_function(config, name, function):
    """Check that the program can call a function, and that it is not one for another name."""
    func = getattr(config, name).get('func')
    if name == 'dataset':
        expect(isinstance(function, type), 'dataset.class_name', 'the name of a class',
               dataset_class_name(config.dataset))
    if name in ('G', 'D'):
        from tfutil.objects import expect_tensorflow2  # imports TensorFlow
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
    """Check names and values of the items of one name against the function that receives them."""
    legal, supplied, rest = user_options(function), _supplied(name), rest_of(function)
    legal = {key: option for key, option in legal.items() if key not in supplied}
    for key, value in options.items():
        if key in supplied:
            raise ConfigError(f'{name}.{key} cannot be set: the program itself derives it from '
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
# Checks of options in combination.

def _check_metrics(options, function):
    """Check that all metrics named in `metrics` exist, for the program's own functions."""
    names = with_defaults(function, options).get('metrics')
    if names and function.__module__.startswith('pgan.'):
        with _naming('train.metrics'):
            metrics.check_names(names)


@contextlib.contextmanager
def _naming(option):
    """Begin the message of a ConfigError in the block with the name of an option."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f'{option}: {error}') from error


def _check_training(config, functions):
    """Check the values of `train` in combination and with those of the data set."""
    options = with_defaults(functions['train'], config.train)
    if options.get('resume_snapshot') is not None and options.get('resume_run_id') is None:
        raise ConfigError('train.resume_snapshot: expected train.resume_run_id along with it, to '
                          'name the run of the snapshot. Received only train.resume_snapshot = '
                          f'{options["resume_snapshot"]!r}.')
    _check_start(options)
    resumed, total = options.get('resume_kimg'), options.get('total_kimg')
    if is_number(resumed) and is_number(total) and 0 < resumed >= total:
        raise ConfigError(f'train.resume_kimg: expected less than train.total_kimg = {total}, the '
                          'length of the whole run; otherwise nothing is left to train. Received: '
                          f'{resumed!r}. Raise train.total_kimg.')
    if total is not None:
        data = with_defaults(functions['dataset'], config.dataset)
        expect(data.get('repeat') is not False, 'dataset.repeat',
               'True, because training shows a data set many times', data.get('repeat'))
        _check_rows(config.grid, data.get('max_label_size'))


def _check_held_out(config, functions):
    """Check that there are held-out images if an option uses them."""
    options = with_defaults(functions['train'], config.train)
    if with_defaults(functions['dataset'], config.dataset).get('validation'):
        return
    if options.get('metrics_against') == 'validation':
        raise ConfigError("train.metrics_against = 'validation' needs images to measure against, "
                          'but dataset.validation is 0. Hold some out, e.g. --set '
                          'dataset.validation=0.1')
    if options.get('augment') == 'ada':
        raise ConfigError("train.augment = 'ada' is controlled by images that training never sees, "
                          'but dataset.validation is 0. Hold some out, e.g. --set '
                          "dataset.validation=0.1; or choose train.augment='diffaugment', which "
                          'needs none.')


def _check_augmentation(config, functions):
    """Check that the losses support `train.augment`."""
    method = with_defaults(functions['train'], config.train).get('augment')
    if method is None:
        return
    for name in ('G_loss', 'D_loss'):
        if 'augment' not in options_of(functions[name]) and not rest_of(functions[name]):
            raise ConfigError(f'train.augment = {method!r} needs losses that augment what D sees, '
                              f'but {name}.func = {getattr(config, name)["func"]!r} takes no '
                              'argument `augment`. Add one, as in loss.D_wgangp_acgan, and call '
                              'augment(images) on the images passed to D; or remove '
                              'train.augment.')


def _check_start(options):
    """Check the options that decide which networks a run starts from."""
    init_from, frozen = options.get('init_from'), options.get('freeze_D')
    for name in ('resume_run_id', 'resume_kimg'):
        if init_from is not None and options.get(name) not in (None, 0.0, False):
            raise ConfigError(f'train.init_from and train.{name} contradict each other. '
                              'init_from starts a new run, at 0 kimg, with the layers of a '
                              'snapshot that fit; resume_run_id and resume_kimg continue an '
                              'earlier run on the same data. Received: init_from = '
                              f'{init_from!r}, {name} = {options[name]!r}. Remove one of them.')
    if frozen and init_from is None:
        raise ConfigError('train.freeze_D: expected train.init_from along with it, a snapshot '
                          'whose layers are kept; without one they would stay random. '
                          f'Received only train.freeze_D = {frozen!r}.')


def _check_rows(grid, label_size):
    """Check that image grids with one class per row have labels."""
    if grid.get('layout') == 'row_per_class' and label_size == 0:
        raise ConfigError("grid.layout = 'row_per_class' (the line '-grpc') needs a run that is "
                          "conditioned on labels, but dataset.max_label_size is 0. Choose the line "
                          "'-cond' as well (dataset.max_label_size = 'full', or --use cond), or "
                          "remove '-grpc' (grid.layout = 'random').")


def check_minibatches(config: Any, resolution: int) -> None:
    """Check that, at each resolution of the run, each GPU's share of the minibatch splits into D's
    minibatch stddev groups.

    Args:
        config: the configuration, or another object with its `sched`, `G`, `D` and `num_gpus`.
        resolution: full resolution of the data set.

    Raises:
        ConfigError: a minibatch does not split, or is too small for the number of GPUs; or the
            schedule grows networks that cannot grow.
    """
    sched = with_defaults(import_function(OWN_FUNCTIONS['sched']), config.sched)
    G, D = (with_defaults(import_function(options['func']), options)
            for options in (config.G, config.D))
    trained = min(sched['lod_initial_resolution'], resolution)
    for name, options in (('G', G), ('D', D)):
        if trained < resolution and options.get('progressive') is False:
            raise ConfigError(f'{name}.progressive: expected True, because training starts at '
                              f'sched.lod_initial_resolution = {trained}. Received: False. Set it '
                              'for both G and D, or set sched.lod_initial_resolution = '
                              f'{resolution}, the full resolution.')
    while trained <= resolution:
        _check_minibatch(sched, config.num_gpus, _stddev_group(D), trained)
        trained *= 2


def _stddev_group(D):
    """Group size of the minibatch stddev layer; 1 if D has none."""
    is_off = 'mbstat_avg' in D and D['mbstat_avg'] is None
    return 1 if is_off else D.get('mbstd_group_size') or 1


def _check_minibatch(sched, num_gpus, group, resolution):
    """Check the minibatch at one resolution, after the schedule has rounded it down to a multiple
    of num_gpus and capped it.
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
                          f'D.mbstd_group_size = {group}, or a smaller number. Change '
                          'sched.minibatch_dict, sched.max_minibatch_per_gpu, D.mbstd_group_size '
                          'or num_gpus.')


def _data_resolution(config, dataset_class):
    """Full resolution of the data set, from the configuration, its class or its file names; None if
    unknown.
    """
    resolution = with_defaults(dataset_class, config.dataset).get('resolution')
    if kind_of(Resolution).holds(resolution):
        return resolution
    folder = os.path.join(config.data_dir, str(config.dataset.get('tfrecord_dir', '')))
    files = glob.glob(os.path.join(glob.escape(folder), '*-r[0-9][0-9].tfrecords'))
    return 2 ** max(int(path[-len('02.tfrecords'):][:2]) for path in files) if files else None
