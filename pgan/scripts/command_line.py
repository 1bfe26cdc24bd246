"""Command line of util_scripts.py: `python util_scripts.py SCRIPT --run_id N ...`.

Options and help of each script come from its function's signature and docstring, see
`pgan.options`. They are parsed from the source without importing it, so help is instant and
config.py's environment is set before TensorFlow starts.
"""
import argparse
import ast
import importlib
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pgan import options, settings
from pgan.definitions import declaration, plain_constants
from pgan.errors import ConfigError, UserError, did_you_mean
from pgan.files import short_name
from pgan.help_texts import example
from pgan.options import ANYTHING, REQUIRED, Kind, Option
from pgan.scripts import option_checks
from pgan.scripts.option_checks import name_of_label
from pgan.settings import launch

WITHOUT_TENSORFLOW = ('write_report', )  # TensorFlow takes seconds to start
_EXAMPLES = [
    'generate_fake_images --run_id 5 --num_pngs 10 --grid_size 15 8',
    'evaluate_metrics --run_id 5 --log metric-swd-16k.txt --metrics swd --num_images 16384 '
    '--real_passes 2',
    'generate_interpolation_video -h',
]
# Chosen by resolution on the command line. In Python, the original's default of 1 holds.
AUTOMATIC = ('image_shrink', 'image_zoom')
VOCABULARY = {**vars(options), **vars(option_checks)}  # names in the scripts' signatures
_ALIASES = {('explore', 'run_id'): ['--pkl']}  # (script, option): other names of the option


class Script(NamedTuple):
    """A script.

    Attributes:
        name: name of the function.
        description: its docstring above 'Args:'.
        options: {name: Option} of the options that the user may set.
    """
    name: str
    description: str
    options: dict[str, Option]


def find_scripts() -> dict[str, Script]:
    """Return the scripts of util_scripts.py: {name: Script}."""
    return {name: _script(declaration(f'util_scripts.{name}', VOCABULARY))
            for name in plain_constants('util_scripts')['__all__']}


def _script(function):
    description = re.split(r'\n+(?:Args|Returns|Raises):\n', inspect.getdoc(function))[0]
    return Script(function.__name__, description, options.user_options(function))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    examples = '\n'.join(example(f'python util_scripts.py {words}', '  ') for words in _EXAMPLES)
    parser = settings.Parser(
        prog='util_scripts.py',
        description='Images, videos, metrics and more from a run that is finished or still '
                    'training.',
        epilog=f'examples (the last one lists the options of one script):\n{examples}')
    commands = parser.add_subparsers(dest='script', metavar='SCRIPT', required=True)
    for script in find_scripts().values():
        first = script.description.split('\n\n')[0].replace('\n', ' ')
        command = commands.add_parser(script.name, help=first, description=script.description)
        for option in script.options.values():
            _add(command, option, _ALIASES.get((script.name, option.name), []))
        settings.add_arguments(command)
    return parser.parse_args(argv)


def _add(command, option, aliases):
    notes = [option.kind.words] if option.kind is not ANYTHING else []
    if option.name in AUTOMATIC:
        notes.append('default: None')
    elif option.default is not REQUIRED and option.default is not None:
        notes.append(f'default: {option.default!r}')
    text = option.meaning + (f' ({"; ".join(notes)})' if notes else '')
    takes: dict[str, Any] = dict(nargs='+' if option.kind.is_list else None, metavar='VALUE')
    if option.default is False:  # a flag
        takes = dict(action='store_true')
    command.add_argument(f'--{option.name}', *aliases, required=option.default is REQUIRED,
                         default=argparse.SUPPRESS, help=text.replace('%', '%%'), **takes)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script named on the command line; return the exit code."""
    return launch.exit_code_of(lambda: _main(parse_args(argv)))


def _main(args):
    known = find_scripts()[args.script].options
    set_so = {text.partition('=')[0].strip() for text in args.set}
    try:
        config = settings.load(args.config, [*assignments(args), *args.set])
        _check_options(args.script, config.train, known)
        from pgan.scripts.early_checks import check_early  # imports NumPy, which help does not need
        # fails before TensorFlow starts, which takes seconds
        check_early(known, _without_func(config.train), config)
        if args.script in WITHOUT_TENSORFLOW:
            _run_alone(args.script, config)
        else:
            launch.start(config)
    except UserError as error:
        names = [name for name in known if f'train.{name}' not in set_so]
        error.args = (as_options(str(error), names), *error.args[1:])
        raise


def as_options(message: str, names: Sequence[str]) -> str:
    """Rewrite a message for the command line: `train.name=value` becomes `--name value`.

    Args:
        message: message of a check, with config.py's names.
        names: names of the script's options.
    """
    def option(match):
        return f'--{match[1]} ' if match[2] else f'--{match[1]}'

    pattern = rf'(?<![\w.])(?<!--set )train\.({"|".join(map(re.escape, names))})\b( ?= ?)?'
    return re.sub(pattern, option, message) if names else message


def _check_options(script, train, known):
    """Check names and values of a script's options."""
    for name, value in train.items():
        if name in known:
            if isinstance(value, str) and known[name].kind.read is not None:  # a value of --set
                train[name] = value = known[name].kind.read(value) or value
            options.check_value(f'train.{name}', value, known[name])
        elif name != 'func':
            raise ConfigError(f'train.{name} is not an option.{did_you_mean(name, known)} {script} '
                              f'takes: {", ".join(known)}.')


def _without_func(train):
    return {name: value for name, value in train.items() if name != 'func'}


def _run_alone(script, config):
    """Run a script without importing TensorFlow, nor util_scripts, which imports it."""
    function = getattr(importlib.import_module(f'pgan.scripts.{script}'), script)
    launch.end(config, function(**_without_func(config.train), config=config))


def assignments(args: argparse.Namespace) -> list[str]:
    """Return the equivalent lines of config.py, as `--set` arguments."""
    script = find_scripts()[args.script]
    given = vars(args)
    automatic = {name: None for name in AUTOMATIC if name in script.options}
    values = {
        name: value_of(given[name], option.kind)
        for name, option in script.options.items() if name in given
    }
    train = {'func': f'util_scripts.{script.name}', **automatic, **values}
    chosen = {name: value for name, value in values.items()
              if value != script.options[name].default}
    return [f'train={train!r}', 'num_gpus=1', f'desc={result_name(script.name, chosen)}']


def result_name(script: str, chosen: Mapping[str, Any]) -> str:
    """Name of a script's result folder: the script, the run, and the main options.

    Args:
        script: e.g. 'generate_fake_images'.
        chosen: {name: value} of the options that differ from their defaults.

    Returns:
        e.g. 'fake-images-12-4000kimg-temple'.
    """
    parts = [script.removeprefix('generate_').replace('_', '-'), _run_in_words(chosen['run_id'])]
    words = {
        'snapshot': lambda value: value if value == 'best' else f'{value}kimg',
        'labels': name_of_label, 'label': name_of_label,
        'seeds': lambda value: f'seeds-{_flat(value)}',
        'random_seed': lambda value: f'seed-{value}',
        'image': lambda value: os.path.splitext(os.path.basename(os.path.normpath(value)))[0],
    }
    parts += [short_name(words[name](chosen[name]), 60) for name in words if name in chosen]
    return short_name(re.sub(r'[\0-\x1f\x7f/\\]+', '-', '-'.join(parts)), 200)


def _run_in_words(run_id):
    """Return a short name of a run.

    That is '12' for 12, '012-cats' and 'results/012-cats'; 'cats-network-final' for a pickle in
    cats; otherwise the name of the folder.
    """
    folder, name = os.path.split(os.path.normpath(str(run_id)))
    if name.endswith('.pkl'):
        name = '-'.join(filter(None, (os.path.basename(folder), name.removesuffix('.pkl'))))
    elif folder in ('', plain_constants('config').get('result_dir')):
        number = re.match(r'\d+(?=-)', name)
        name = str(int(number[0])) if number else name
    return short_name(name, 110)


def _flat(seeds):
    """Return seeds as one word: '1-20,42'."""
    return ','.join(map(str, seeds)) if isinstance(seeds, (list, tuple)) else str(seeds)


def value_of(text: Any, kind: Kind = ANYTHING) -> Any:
    """Parse the value of an option.

    It is a Python literal, or the string itself if it is no literal or the option takes only
    strings. Lists may be given as '15 8', '[15,8]' or '15,8'. For further forms of single options
    see `pgan.options.Such`.
    """
    if kind.is_list:
        own = kind.read(' '.join(text)) if kind.read is not None else None
        if own is not None:
            return own
        values = [value_of(item) for item in text]
        if len(values) == 1 and isinstance(values[0], (list, tuple)):
            return list(values[0])
        return values
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return text if kind.holds(text) and not kind.holds(value) else value
