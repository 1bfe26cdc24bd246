"""Checks of a configuration's names and values, before any work. Every mistake is a ConfigError
that says what was wrong, what would be right, and the nearest name to a misspelt one. """
import glob
import inspect
import math
import numbers
import os
import re

from pgan.errors import ConfigError, did_you_mean

# What the program itself passes to the functions that the configuration names: not the user's to
# set.
_FROM_PROGRAM = {
    'train': {'config', 'resume', 'dry_run'}, 'G': {'num_channels', 'resolution', 'label_size'},
    'D': {'num_channels', 'resolution',
          'label_size'}, 'G_opt': {'name', 'learning_rate'}, 'D_opt': {'name', 'learning_rate'},
    'G_loss': {'G', 'D', 'opt', 'training_set', 'minibatch_size', 'latents', 'labels'}, 'D_loss': {
        'G', 'D', 'opt', 'training_set', 'minibatch_size', 'reals', 'labels', 'latents',
        'mixing_factors'
    }, 'sched': {'cur_nimg', 'training_set', 'num_gpus',
                 'total_kimg'}, 'dataset': {'data_dir', 'verbose', 'random_seed'},
}

# What of it a function cannot do without.
_NEEDED = {
    'G': _FROM_PROGRAM['G'],
    'D': _FROM_PROGRAM['D'],
    'G_loss': {'G', 'D', 'opt', 'training_set', 'minibatch_size'},
    'D_loss': {'G', 'D', 'opt', 'training_set', 'minibatch_size', 'reals', 'labels'},
}

# The program's own function for each, and the one that it is easily confused with.
_COUNTERPARTS = {
    'G': ('networks.G_paper', 'networks.D_paper'),
    'D': ('networks.D_paper', 'networks.G_paper'),
    'G_loss': ('loss.G_wgan_acgan', 'loss.D_wgangp_acgan'),
}

CHOICES = {
    'grid.size': ('1080p', '4k'),
    'grid.layout': ('random', 'row_per_class'),
    'G.dtype': ('float32', 'float16', 'bfloat16', 'float64'),
    'D.dtype': ('float32', 'float16', 'bfloat16', 'float64'),
    'D.mbstat_avg': ('all', None),
}

# Numbers: lowest, highest, and which of the two is itself not allowed.
_INTERVALS = (
    (1, math.inf, '', 'num_gpus train.D_repeats train.minibatch_repeats '
                      'train.image_snapshot_ticks train.network_snapshot_ticks '
                      'sched.minibatch_base G.fmap_base D.fmap_base G.fmap_max D.fmap_max '
                      'G.latent_size D.mbdisc_kernels train.num_pngs train.num_images '
                      'train.image_shrink train.image_zoom train.mp4_fps'),
    (0, math.inf, '', 'train.total_kimg train.resume_kimg train.resume_time train.resume_snapshot '
                      'sched.lod_training_kimg sched.lod_transition_kimg sched.tick_kimg_base '
                      'sched.rampup_kimg sched.rampdown_kimg G.pixelnorm_epsilon G.fmap_decay '
                      'D.fmap_decay D.mbstd_group_size train.checkpoint_minutes '
                      'D_loss.wgan_lambda D_loss.wgan_epsilon G_loss.cond_weight '
                      'D_loss.cond_weight train.duration_sec train.smoothing_sec'),
    (0, math.inf, 'lowest', 'sched.G_lrate_base sched.D_lrate_base G_opt.epsilon D_opt.epsilon '
                            'D_loss.wgan_target'),
    (0, 1, '', 'train.G_smoothing'),
    (0, 1, 'highest', 'G_opt.beta1 G_opt.beta2 D_opt.beta1 D_opt.beta2'),
    (0, 2 ** 32 - 1, '', 'random_seed'),
)
RANGES = {name: interval for *interval, names in _INTERVALS for name in names.split()}

# Their defaults are integers, but half a thousand images is a number of images, too.
_FRACTIONS_ALLOWED = {
    'train.total_kimg', 'sched.lod_training_kimg', 'sched.lod_transition_kimg',
    'sched.tick_kimg_base', 'sched.rampup_kimg', 'sched.rampdown_kimg'
}

# The default of these is None, which stands for no limit to their type.
_INTEGER_OR_NONE = {'G.latent_size', 'D.mbdisc_kernels', 'train.resume_snapshot'}


def check_config(config):
    """Check names and values before any work. Imports the functions that the configuration names,
    so TensorFlow as well.

    Keyword names are compared with the signatures of the functions they go to. What a function
    takes as keyword-only arguments, and what the program passes itself (such as G's resolution), is
    not the configuration's to set. A `**ignored` swallows names that a loader may send along, which
    here can only be misspelt ones; any other `**name` passes names on.

    Raises:
        ConfigError: with the option, what was expected, what was received, and the nearest name to
    a misspelt one. """
    _check_top_level(config)
    targets = _targets(config)
    _check_functions(config, targets)
    for name, target in targets.items():
        _check_options(name, getattr(config, name), target)
    _check_tf_config(config.tf_config)
    _check_schedule(config.sched)
    _check_training(config, targets)
    resolution = _data_resolution(config, targets['dataset'])
    if resolution is not None:  # Else the data set is not there; loading it will say so.
        check_minibatches(config, resolution)


def _check_top_level(config):
    """Types and ranges of config.py's own names."""
    for name in ('data_dir', 'result_dir', 'desc'):
        expect(
            isinstance(getattr(config, name), str) and getattr(config, name), name, 'a text',
            getattr(config, name))
    expect(not re.search(r'[\0-\x1f\x7f]', config.desc), 'desc',
           'one line of text, as it becomes the name '
           'of a folder', config.desc)
    expect(
        os.path.isdir(config.result_dir) or not os.path.exists(config.result_dir), 'result_dir',
        'a folder, existing or not; this is '
        'a file', config.result_dir)
    _check_value('num_gpus', config.num_gpus, 1)
    _check_value('random_seed', config.random_seed, 1000)
    for name in ('tf_config', 'env', 'train', 'G', 'D', 'G_opt', 'D_opt', 'G_loss', 'D_loss',
                 'sched', 'grid', 'dataset'):
        expect(isinstance(getattr(config, name), dict), name, 'an EasyDict', getattr(config, name))
    for name in ('train', 'G', 'D', 'G_loss', 'D_loss'):
        func = getattr(config, name).get('func')
        expect(
            isinstance(func, str) and '.' in func, f'{name}.func',
            "the function's name as 'module.function'", func)
    class_name = config.dataset.get('class_name', 'dataset.TFRecordDataset')
    expect(
        isinstance(class_name, str) and '.' in class_name, 'dataset.class_name',
        "the class's name as 'module.class'", class_name)


def _targets(config):
    """Option name -> the callable or {name: default} that its items are for."""
    # May bring TensorFlow, whose environment must be set first.
    from tfutil.objects import import_obj

    targets = {
        name: import_obj(getattr(config, name).func)
        for name in ('train', 'G', 'D', 'G_loss', 'D_loss')
    }
    targets['G_opt'] = targets['D_opt'] = import_obj('tfutil.optimizer.Optimizer')
    targets['sched'] = import_obj('pgan.training.schedule.TrainingSchedule')
    targets['dataset'] = import_obj(config.dataset.get('class_name', 'dataset.TFRecordDataset'))
    targets['grid'] = _grid_options
    return targets


def _check_functions(config, targets):
    """Each function can be called as the program will call it, and is not its counterpart's."""
    from tfutil.objects import import_obj  # As in `_targets`.

    expect(inspect.isclass(targets['dataset']), 'dataset.class_name', 'the name of a class',
           config.dataset.get('class_name'))
    for name in ('train', 'G', 'D', 'G_loss', 'D_loss'):
        func = getattr(config, name).func
        try:
            parameters = inspect.signature(targets[name]).parameters.values()
        except (TypeError, ValueError):
            raise ConfigError(f'{name}.func: expected the name of a function with named '
                              f'arguments. Received: {func!r}.') from None
        keywords = {
            p.name
            for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }
        missing = set() if any(p.kind is p.VAR_KEYWORD
                               for p in parameters) else _NEEDED.get(name, set()) - keywords
        expect(not missing, f'{name}.func', f'a function that takes {", ".join(sorted(missing))} '
                                            'by name, which the program passes', func)
        own, other = _COUNTERPARTS.get(name, (None, None))
        expect(other is None or targets[name] is not import_obj(other), f'{name}.func',
               f'a function like {own}', func)


def _grid_options(size='1080p', layout='random'):
    """The names and defaults of `grid`, in the form of a signature."""


def legal_options(name, target):
    """The keywords that option `name` may hold: parameters of `target` that the configuration, not
    the program, supplies.

    Returns:
        ({parameter name: its default, or inspect.Parameter.empty}, whether further names are passed
    on). """
    parameters = list(inspect.signature(target).parameters.values())
    named = [
        p for p in parameters
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in _FROM_PROGRAM.get(name, ())
    ]
    passed_on = any(p.kind is p.VAR_KEYWORD and p.name != 'ignored' and not p.name.startswith('_')
                    for p in parameters)
    return {p.name: p.default for p in named}, passed_on


def _check_options(name, options, target):
    """Names and values of one option's items against the callable they go to."""
    legal, passed_on = legal_options(name, target)
    for key, value in options.items():
        if key == 'func' or (name == 'dataset' and key == 'class_name'):
            continue
        if key in _FROM_PROGRAM.get(name, ()):
            raise ConfigError(f'{name}.{key} cannot be set: the program itself passes it, from '
                              f'the data set and the rest of the configuration. {name} takes: '
                              f'{", ".join(legal)}.')
        if key not in legal and not passed_on:
            raise ConfigError(f'{name}.{key} is not an option.{did_you_mean(key, legal)} {name} '
                              f'takes: {", ".join(legal)}.')
        _check_value(f'{name}.{key}', value, legal.get(key))
    missing = [
        key for key, default in legal.items()
        if default is inspect.Parameter.empty and key not in options
    ]
    if missing:
        raise ConfigError(f'{name}.{missing[0]} must be set: '
                          f'{getattr(target, "__name__", target)} needs it. Choose a line of '
                          'config.py that sets it, or add one.')


def _check_value(where, value, default):
    """Type and range of one value, judged by the default of the parameter it is for."""
    key = where.rpartition('.')[2]
    if where in CHOICES:
        expect(value in CHOICES[where], where, f'one of {", ".join(map(repr, CHOICES[where]))}',
               value)
    if key == 'max_label_size':
        expect(value == 'full' or _is_integer(value), where, "'full' or an integer", value)
    elif isinstance(default, bool):
        expect(isinstance(value, bool), where, 'True or False', value)
    elif where in _INTEGER_OR_NONE:
        expect(value is None or _is_integer(value), where, 'an integer or None', value)
    elif isinstance(default, int) and where not in _FRACTIONS_ALLOWED:
        expect(_is_integer(value), where, 'an integer', value)
    elif isinstance(default, numbers.Real):
        expect(is_number(value), where, 'a number', value)
    elif isinstance(default, str):
        expect(value is None or isinstance(value, str), where, 'a text', value)
    elif isinstance(default, dict) or key.endswith('_dict') or key == 'max_minibatch_per_gpu':
        expect(isinstance(value, dict), where, 'a dict {resolution: value}', value)
    elif isinstance(default, (list, tuple)):
        expect(isinstance(value, (list, tuple)), where, f'a list like {default!r}', value)
    if where in RANGES and is_number(value):
        _check_range(where, value, *RANGES[where])


def _check_range(where, value, low, high, excluded):
    """A number within its interval of `_INTERVALS`."""
    if high == math.inf:
        expected = f'above {low}' if excluded == 'lowest' else f'at least {low}'
    else:
        expected = f'{low} to {high}' + (f', but not {high} itself'
                                         if excluded == 'highest' else '')
    expect(
        low <= value <= high and not (excluded == 'lowest' and value == low)
        and not (excluded == 'highest' and value == high), where, expected, value)


def _check_tf_config(tf_config):
    """The runtime knows its options; it would complain, too, but only when it starts."""
    from tfutil.runtime import check_tf_config  # Brings TensorFlow.

    check_tf_config(tf_config)


def _check_schedule(sched):
    """Resolutions in the schedule are powers of two, and what they map to is above zero."""
    for key in ('minibatch_dict', 'max_minibatch_per_gpu', 'G_lrate_dict', 'D_lrate_dict',
                'tick_kimg_dict'):
        integers = key in {'minibatch_dict', 'max_minibatch_per_gpu'}
        for resolution, value in (sched.get(key) or {}).items():
            where = f'sched.{key}[{resolution!r}]'
            expect(_is_resolution(resolution), where, 'a resolution, a power of two from 4 up, as '
                                                      'the key', resolution)
            expect((_is_integer if integers else is_number)(value) and value > 0, where,
                    'an integer above 0' if integers else 'a number above 0', value)
    if 'lod_initial_resolution' in sched:
        expect(_is_resolution(sched.lod_initial_resolution), 'sched.lod_initial_resolution',
               'a power of two from 4 up', sched.lod_initial_resolution)


def _check_training(config, targets):
    """What `train`'s values must be together, and training must have of its data set."""
    legal, _ = legal_options('train', targets['train'])
    options = {**legal, **config.train}
    if 'drange_net' in config.train:
        drange = config.train.drange_net
        expect(
            len(drange) == 2 and all(map(is_number, drange)) and drange[0] < drange[1],
            'train.drange_net', 'two numbers, black and white, the lower one first, e.g. [-1, 1]',
            drange)
    if options.get('resume_snapshot') is not None and options.get('resume_run_id') is None:
        raise ConfigError('train.resume_snapshot: expected train.resume_run_id along with it, the '
                          f'run that the snapshot is of. Received: {options["resume_snapshot"]!r} '
                          'alone.')
    resumed, total = options.get('resume_kimg'), options.get('total_kimg')
    if is_number(resumed) and is_number(total) and 0 < resumed >= total:
        raise ConfigError(f'train.resume_kimg: expected less than train.total_kimg = {total}, the '
                          'length of the whole run, or nothing is left to train. Received: '
                          f'{resumed!r}. Raise train.total_kimg.')
    if 'total_kimg' in legal:
        expect(config.dataset.get('repeat', True), 'dataset.repeat',
               'True: training shows a data set many times', False)


def check_minibatches(config, resolution):
    """At each resolution of the run, each GPU's share of the minibatch must split into D's
    minibatch-stddev groups.

    Args:
        config: the configuration, or another object with its `sched`, `G`, `D` and `num_gpus`.
        resolution: of the data set's full images.

    Raises:
        ConfigError: one does not, or is too small for the number of GPUs; or networks that cannot
    grow are to grow. """
    # Brings TensorFlow, which most of this module does without.
    from tfutil.objects import import_obj

    sched_defaults, _ = legal_options('sched',
                                      import_obj('pgan.training.schedule.TrainingSchedule'))
    D_defaults, _ = legal_options('D', import_obj(config.D['func']))
    D_options = {**D_defaults, **config.D}
    group = D_options.get('mbstd_group_size') or 1
    if D_options.get('mbstat_avg', 'all') is None:
        group = 1
    sched = {**sched_defaults, **config.sched}
    trained = min(sched['lod_initial_resolution'], resolution)
    for name in ('G', 'D'):
        legal, _ = legal_options(name, import_obj(getattr(config, name)['func']))
        if trained < resolution and getattr(config, name).get('progressive',
                                                              legal.get('progressive')) is False:
            raise ConfigError(f'{name}.progressive: expected True, as training starts at '
                              f'sched.lod_initial_resolution = {trained}. Received: False. Set it '
                              'for both G and D, or set sched.lod_initial_resolution = '
                              f'{resolution}, the full resolution.')
    while trained <= resolution:
        _check_minibatch(sched, config.num_gpus, group, trained)
        trained *= 2


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
    legal, _ = legal_options('dataset', dataset_class)
    resolution = config.dataset.get('resolution', legal.get('resolution'))
    if _is_resolution(resolution):
        return resolution
    folder = os.path.join(config.data_dir, str(config.dataset.get('tfrecord_dir', '')))
    files = glob.glob(os.path.join(glob.escape(folder), '*-r[0-9][0-9].tfrecords'))
    return 2 ** max(int(path[-len('02.tfrecords'):][:2]) for path in files) if files else None


def expect(condition, where, expected, received):
    if not condition:
        raise ConfigError(f'{where}: expected {expected}. Received: {received!r}.')


def is_number(value):
    # neither NaN nor infinite
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and abs(value) < math.inf


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_resolution(value):
    return isinstance(value, int) and value >= 4 and value & (value - 1) == 0
