"""`python util_scripts.py SCRIPT --run_id N ...`: options and help of each script, read from its
function's signature and docstring, see `pgan.options`.

They are read from the source, without importing it: help comes at once, and config.py's environment
is in force before TensorFlow starts.
"""
import argparse
import ast
import importlib
import inspect
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pgan import options, settings
from pgan.definitions import declaration, plain_constants
from pgan.errors import ConfigError, did_you_mean
from pgan.files import short_name
from pgan.help_texts import example
from pgan.options import ANYTHING, REQUIRED, Kind, Option
from pgan.scripts import option_checks
from pgan.settings import launch

WITHOUT_TENSORFLOW = ('write_report', )  # scripts that need only files; TensorFlow takes seconds
_EXAMPLES = [
    'generate_fake_images --run_id 5 --num_pngs 10 --grid_size 15 8',
    'evaluate_metrics --run_id 5 --log metric-swd-16k.txt --metrics swd --num_images 16384 '
    '--real_passes 2',
    'generate_interpolation_video -h',
]
# Chosen by resolution on the command line, where the functions keep the original's default of 1.
AUTOMATIC = ('image_shrink', 'image_zoom')
VOCABULARY = {**vars(options), **vars(option_checks)}  # of the scripts' signatures


class Script(NamedTuple):
    """A script. Attributes: name, its docstring's text above 'Args:', and {name: Option} of what
    its user may set.
    """
    name: str
    description: str
    options: dict[str, Option]


def find_scripts() -> dict[str, Script]:
    """The scripts of util_scripts.py by name: {name: Script}."""
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
            _add(command, option)
        settings.add_arguments(command)
    return parser.parse_args(argv)


def _add(command, option):
    notes = [option.kind.words] if option.kind is not ANYTHING else []
    if option.name in AUTOMATIC:
        notes.append('default: None')
    elif option.default is not REQUIRED and option.default is not None:
        notes.append(f'default: {option.default!r}')
    text = option.meaning + (f' ({"; ".join(notes)})' if notes else '')
    takes: dict[str, Any] = dict(nargs='+' if option.kind.is_list else None, metavar='VALUE')
    if option.default is False:  # a flag
        takes = dict(action='store_true')
    command.add_argument(f'--{option.name}', required=option.default is REQUIRED,
                         default=argparse.SUPPRESS, help=text.replace('%', '%%'), **takes)


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point. Returns the exit code."""
    return launch.exit_code_of(lambda: _main(parse_args(argv)))


def _main(args):
    try:
        config = settings.load(args.config, [*assignments(args), *args.set])
        _check_options(args.script, config.train)  # before TensorFlow starts, which takes seconds
        if args.script in WITHOUT_TENSORFLOW:
            _run_alone(args.script, config)
        else:
            launch.start(config)
    except ConfigError as error:  # checks speak of config.py's names; here they are options
        raise ConfigError(re.sub(r'(?<![\w.])train\.(?=[a-z])', '--', str(error))) from error


def _check_options(script, train):
    """Names and values of a script's options."""
    known = find_scripts()[script].options
    for name, value in train.items():
        if name in known:
            options.check_value(f'train.{name}', value, known[name])
        elif name != 'func':
            raise ConfigError(f'train.{name} is not an option.{did_you_mean(name, known)} {script} '
                              f'takes: {", ".join(known)}.')


def _run_alone(script, config):
    """Run a script without importing TensorFlow, or util_scripts, which does."""
    function = getattr(importlib.import_module(f'pgan.scripts.{script}'), script)
    given = {name: value for name, value in config.train.items() if name != 'func'}
    launch.end(config, function(**given, config=config))


def assignments(args: argparse.Namespace) -> list[str]:
    """The lines that somebody would have put into config.py, as `--set` texts."""
    script = find_scripts()[args.script]
    given = vars(args)
    automatic = {name: None for name in AUTOMATIC if name in script.options}
    values = {
        name: value_of(given[name], option.kind)
        for name, option in script.options.items() if name in given
    }
    train = {'func': f'util_scripts.{script.name}', **automatic, **values}
    run = os.path.splitext(os.path.basename(os.path.normpath(str(values['run_id']))))[0]
    return [
        f'train={train!r}', 'num_gpus=1',
        f'desc={script.name.removeprefix("generate_").replace("_", "-")}-{short_name(run)}'
    ]


def value_of(text: Any, kind: Kind = ANYTHING) -> Any:
    """The value of an option: a Python literal, or the text as it stands where it is none or where
    only text will do. Lists may be given as '15 8' or as one word '[15,8]' or '15,8'.
    """
    if kind.is_list:
        values = [value_of(item) for item in text]
        if len(values) == 1 and isinstance(values[0], (list, tuple)):
            return list(values[0])
        return values
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return text if kind.holds(text) and not kind.holds(value) else value
