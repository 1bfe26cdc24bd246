"""Run config.py with other lines uncommented: the tests read the options a user would choose, not
copies of them.

    ns = namespace('preset-v2-4gpus', 'fp16', 'BENCHMARK', dataset='cifar10')
    ns['sched'].minibatch_base
"""
import re

from tests.support.golden import ROOT

_OPTION = re.compile(r"^(#?)desc \+= '-([^']+)';")
_UTILITY = re.compile(r'^#train = EasyDict\(')
PRESETS = ('preset-v1-1gpu', 'preset-v2-1gpu', 'preset-v2-2gpus', 'preset-v2-4gpus',
           'preset-v2-8gpus')
PRECISIONS = ('fp32', 'fp16', 'bf16')


def source_lines():
    """config.py's lines."""
    return (ROOT / 'config.py').read_text().split('\n')


def option_names():
    """The names of all option lines, active or not, in order."""
    return [match[2] for match in map(_OPTION.match, source_lines()) if match]


def data_set_names():
    """The names of all data set lines, in order: everything before the conditioning options."""
    names = option_names()
    return names[:names.index('cond')]


def utility_lines():
    """Uncomment the commented lines that replace `train`."""
    return [line[1:] for line in source_lines() if _UTILITY.match(line)]


def namespace(*options, dataset='celebahq', extra=''):
    """config.py's names after uncommenting lines.

    Args:
        options: names of option lines, without the leading '-'; a preset or precision replaces the
            default one.
        dataset: name of the data set line.
        extra: source run at the end, e.g. a utility line.

    Returns:
        dict of config.py's global names.
    """
    unknown = {dataset, *options} - set(option_names())
    if unknown:
        raise KeyError(f'config.py has no line for {sorted(unknown)}')
    wanted = {dataset, *options}
    wanted |= set() if wanted & set(PRESETS) else {'preset-v2-1gpu'}
    wanted |= set() if wanted & set(PRECISIONS) else {'fp32'}
    lines = [_set_active(line, wanted) for line in source_lines()]
    result = {'__name__': 'config'}
    exec(compile('\n'.join(lines + [extra]), 'config.py', 'exec'),
         result)  # noqa: S102 -- the file under test
    return result


def _set_active(line, wanted):
    """Comment or uncomment an option line."""
    match = _OPTION.match(line)
    if not match:
        return line
    return line.lstrip('#') if match[2] in wanted else '#' + line.lstrip('#')


LSUN = [
    'airplane', 'bedroom', 'bicycle', 'bird', 'boat', 'bottle', 'bridge', 'bus', 'car', 'cat',
    'chair', 'churchoutdoor', 'classroom', 'conferenceroom', 'cow', 'diningroom', 'diningtable',
    'dog', 'horse', 'kitchen', 'livingroom', 'motorbike', 'person', 'pottedplant', 'restaurant',
    'sheep', 'sofa', 'tower', 'train', 'tvmonitor'
]


def public(ns):
    return {name: value for name, value in ns.items() if not name.startswith('_')}


def flat(ns):
    result = {}
    for name, value in public(ns).items():
        result.update(
            {f'{name}.{key}': item
             for key, item in value.items()} if isinstance(value, dict) else {name: value})
    return {name: value for name, value in result.items() if name != 'EasyDict'}
