"""`python util_scripts.py SCRIPT --run_id N ...`: options and help of each script, read from its
function's signature and docstring.

They are read from the source, without importing it: help comes at once, and config.py's environment
is in force before TensorFlow starts. """
import argparse
import ast
import inspect
import os
import pathlib
import re
import textwrap
from typing import NamedTuple

from pgan import settings
from pgan.errors import ConfigError
from pgan.settings import launch

UTIL_SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / 'util_scripts.py'
REQUIRED = object()


class Option(NamedTuple):
    """A parameter of a script. Attributes: name, default (or REQUIRED), whether it is a list, and
    what its docstring says.
    """
    name: str
    default: object
    is_list: bool
    help: str


class Script(NamedTuple):
    """A script. Attributes: name, its docstring's text above 'Args:', and its options."""
    name: str
    description: str
    options: list


def find_scripts(path=UTIL_SCRIPTS):
    """The scripts that util_scripts.py imports from its room, in the order of their names: {name:
    Script}.
    """
    found = {}
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith(
                'pgan.scripts.') and node.module != __name__:
            source = (path.parent /
                      pathlib.Path(*node.module.split('.'))).with_suffix('.py').read_text(
                          encoding='utf-8')
            functions = {
                f.name: f
                for f in ast.parse(source).body if isinstance(f, ast.FunctionDef)
            }
            found.update({alias.name: _script(functions[alias.name]) for alias in node.names})
    return dict(sorted(found.items()))


def _script(function):
    doc = inspect.cleandoc(ast.get_docstring(function))
    helps = argument_helps(doc)
    arguments, defaults = function.args.args, function.args.defaults
    values = [REQUIRED] * (len(arguments) - len(defaults)) + [
        ast.literal_eval(default) for default in defaults
    ]
    options = [
        Option(arg.arg, value,
               isinstance(value, list) or getattr(arg.annotation, 'id', '') == 'list',
               helps.get(arg.arg, '')) for arg, value in zip(arguments, values)
    ]
    return Script(function.name, re.split(r'\n+(?:Args|Returns|Raises):\n', doc)[0], options)


def argument_helps(doc):
    """{name: text} of a docstring's 'Args:' section; 'a, b: text' is for both."""
    match = re.search(r'^Args:\n((?:    .*\n|\n)*)', doc + '\n', re.MULTILINE)
    helps = {}
    for entry in re.split(r'\n(?=\S)', textwrap.dedent(match[1]).strip()) if match else []:
        names, _, text = entry.partition(': ')
        helps.update({name.strip(): ' '.join(text.split()) for name in names.split(',')})
    return helps


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        prog='util_scripts.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Images, videos, metrics and more from a run that is finished or still '
                    'training.',
        epilog='examples:\n  python util_scripts.py generate_fake_images --run_id 5 --num_pngs 10 '
               '--grid_size 15 8\n  python util_scripts.py evaluate_metrics --run_id 5 --log '
               'metric-swd-16k.txt --metrics swd --num_images 16384 --real_passes 2\n  python '
               'util_scripts.py generate_interpolation_video -h    the options of one script\n')
    commands = parser.add_subparsers(dest='script', metavar='SCRIPT', required=True)
    for script in find_scripts().values():
        first = script.description.split('\n\n')[0].replace('\n', ' ')
        command = commands.add_parser(script.name, help=first, description=script.description,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        for option in script.options:
            _add(command, option)
        settings.add_arguments(command)
    return parser.parse_args(argv)


def _add(command, option):
    text = option.help.replace('%', '%%')
    if option.default is not REQUIRED and option.default is not None:
        text += f' (default: {option.default!r})'.replace('%', '%%')
    command.add_argument(f'--{option.name}', required=option.default is REQUIRED,
                         default=argparse.SUPPRESS, help=text,
                         nargs='+' if option.is_list else None, metavar='VALUE')


def main(argv=None):
    """The entry point. Returns the exit code."""
    return launch.exit_code_of(lambda: _main(parse_args(argv)))


def _main(args):
    config = settings.load(args.config, [*assignments(args), *args.set])
    try:
        launch.start(config)
    except ConfigError as error:  # checks speak of config.py's names; here they are options
        raise ConfigError(re.sub(r'(?<![\w.])train\.(?=[a-z])', '--', str(error))) from error


def assignments(args):
    """The lines that somebody would have put into config.py, as `--set` texts."""
    script = find_scripts()[args.script]
    given = vars(args)
    values = {
        option.name: value_of(given[option.name], option.is_list)
        for option in script.options if option.name in given
    }
    train = {'func': f'util_scripts.{script.name}', **values}
    run = os.path.splitext(os.path.basename(os.path.normpath(str(values['run_id']))))[0]
    return [
        f'train={train!r}', 'num_gpus=1',
        f'desc={script.name.removeprefix("generate_").replace("_", "-")}-{run}'
    ]


def value_of(text, is_list):
    """The value of an option: a Python literal, or text as it stands. Lists may be given as '15 8'
    or as one word '[15,8]'.
    """
    if is_list:
        values = [value_of(item, False) for item in text]
        return values[0] if len(values) == 1 and isinstance(values[0], list) else values
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
