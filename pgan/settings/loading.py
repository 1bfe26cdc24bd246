"""Reading config.py, then override files, then `--set NAME=VALUE`."""
import argparse
import ast
import codecs
import difflib
import importlib.util
import os
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Iterable
from typing import Any

from pgan.definitions import option_names
from pgan.errors import ConfigError, did_you_mean, expect, in_short
from pgan.files import expanded
from pgan.options import is_number
from pgan.settings.checking import OWN_FUNCTIONS

CONFIG_PY = pathlib.Path(__file__).resolve().parents[2] / 'config.py'

# These are texts, whatever they look like and whether or not they are set.
_TEXTS = {'dataset.tfrecord_dir', 'dataset.label_file'}

# A command line value that is not a Python literal is taken as text when it looks like a name, a
# path or a date.
_BARE_WORD = re.compile(r'[\w./\\:~@%-]+')
_ALMOST_LITERAL = {'true': 'True', 'false': 'False', 'none': 'None', 'null': 'None'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two options that every entry point shares to an argparse parser: --config and
    --set.
    """
    parser.add_argument('--config', metavar='FILE', action='append', default=[], type=expanded,
                        help='Python file with a few lines in the manner of config.py, run after '
                             'it; may be given several times')
    parser.add_argument('--set', metavar='NAME=VALUE', action='append', default=[],
                        help='set one option, e.g. train.total_kimg=100 or '
                             '"sched.minibatch_dict={4: 128}"; may be given several times')


def load(config_files: Iterable[str | os.PathLike] = (),
         assignments: Iterable[str] = ()) -> types.ModuleType:
    """Read config.py afresh, then the override files, then the assignments.

    Args:
        config_files: paths of Python files, each run in config.py's namespace, in order.
        assignments: texts 'NAME=VALUE' or 'NAME.KEY=VALUE', in order.

    Returns:
        The module `config`, also in `sys.modules`, so `import config` elsewhere gives the same.

    Raises:
        ConfigError: a file is missing or fails, a name does not exist, or a value cannot be read.
    """
    config = _import_config()
    names = values(config)
    config_files = [expanded(path) for path in config_files]
    for path in config_files:
        _run_override(config, path)
        _check_known(config, names, path)
        _restore_easy_dicts(config, names)
    for assignment in assignments:
        _assign(config, assignment)
    _expand_paths(config)
    config._command_line = config_files, list(assignments)
    return config


def command_line(config: types.ModuleType) -> tuple[list[str], list[str]]:
    """What was read on top of config.py: (override files, assignments), each a list of texts in
    order.
    """
    return getattr(config, '_command_line', ([], []))


def values(config: types.ModuleType) -> dict[str, Any]:
    """The configuration's public names and their values, sorted by name: what config.txt
    records.
    """
    return {name: value for name, value in sorted(vars(config).items())
            if not name.startswith('_') and not isinstance(value, types.ModuleType)}


def plain_options(config: types.ModuleType) -> dict[str, Any]:
    """The configuration as {'train.total_kimg': 12000, 'desc': 'pgan', ...}, for pages that show a
    value a line.
    """
    found = {}
    for name, value in values(config).items():
        if isinstance(value, dict):
            found.update({f'{name}.{key}': item for key, item in sorted(value.items())})
        elif not isinstance(value, type):
            found[name] = value
    return found


def apply_env(config: types.ModuleType) -> None:
    """Set the environment variables of `config.env`. TensorFlow reads most of them once, when it is
    imported.

    A log level that the environment brings along stays: it is how a caller asks for more or less
    than config.py. Keras's backend stays TensorFlow.

    Raises:
        ConfigError: a name or value that no environment variable can have.
    """
    expect(isinstance(config.env, dict), 'env', 'an EasyDict', config.env)
    for name, value in config.env.items():
        expect(
            isinstance(name, str) and name and not set('=\0') & set(name), 'env',
            "names of variables, without '='", name)
        expect((isinstance(value, str) and '\0' not in value) or is_number(value), f'env.{name}',
               'a string or a number', value)
    kept = {'TF_CPP_MIN_LOG_LEVEL', 'KERAS_BACKEND'} & set(os.environ)
    os.environ.update({name: str(value) for name, value in config.env.items() if name not in kept})


def _import_config():
    """Execute config.py as the module `config`, replacing one that was loaded before."""
    spec = importlib.util.spec_from_file_location('config', CONFIG_PY)
    config = importlib.util.module_from_spec(spec)
    sys.modules['config'] = config
    _run(CONFIG_PY, vars(config))
    return config


def _run_override(config, path):
    """Execute an override file in the configuration's namespace."""
    if os.path.isdir(path):
        raise ConfigError(f'--config {path}: that is a folder. Expected a Python file with lines '
                          'in the manner of config.py.')
    if not os.path.isfile(path):
        there = {p.name: os.path.relpath(p) for p in sorted(CONFIG_PY.parent.glob('configs/*.py'))}
        close = difflib.get_close_matches(os.path.basename(path), there, n=1)
        hint = f' Did you mean {there[close[0]]!r}?' if close else ''
        raise ConfigError(f'--config {path}: there is no such file, seen from the current folder '
                          f'{os.getcwd()!r}.{hint} Expected a Python file with lines in the '
                          'manner of config.py. Ready-made ones: '
                          f'{", ".join(there.values()) or "none"}.')
    _run(path, vars(config))


def _run(path, namespace):
    """Execute a Python file of the user's; whatever goes wrong in it is reported with its line."""
    try:
        exec(compile(read_source(path), str(path), 'exec'),
             namespace)  # noqa: S102 -- a configuration is a program, like config.py itself
    except ConfigError:
        raise
    except SystemExit as error:
        if type(error) is not SystemExit:  # Not the file's own: a signal.
            raise
        raise ConfigError(f'{path} ends the program by itself, with sys.exit({error.code!r}). '
                          'Expected lines that set values, and no more.'
                          ) from error
    except SyntaxError as error:
        raise ConfigError(f'{path}, line {error.lineno}: {error.msg}: '
                          f'{(error.text or "").strip()!r}.') from error
    except Exception as error:
        where = [
            frame for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        line = f', line {where[-1].lineno}: {where[-1].line!r}' if where else ''
        hint = did_you_mean(error.name, _public(namespace)) if isinstance(error, NameError) else ''
        raise ConfigError(
            f'{path}{line} failed with {type(error).__name__}: {error}.{hint}') from error


def read_source(path: str | os.PathLike) -> str:
    """Text of a Python file as Python decodes it: UTF-8, with or without a byte order mark, or what
    a `coding` comment in its first two lines names.

    Raises:
        ConfigError: the file cannot be read or decoded.
    """
    try:
        source = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f'{path} cannot be read: {error}.') from error
    try:
        if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError('it is UTF-16')
        if b'\0' in source:
            raise ValueError('it contains NUL bytes, as UTF-16 and binary files do')
        return importlib.util.decode_source(source)
    except (SyntaxError, ValueError, LookupError) as error:  # ValueError: UnicodeDecodeError, too
        raise ConfigError(f'{path} is not a Python file in UTF-8: {in_short(error)}. In an editor, '
                          "save it as UTF-8 ('Encoding' or 'Save as').") from error


def _public(namespace):
    return [name for name in namespace if not name.startswith('_')]


def _expand_paths(config):
    """Expand `~` in every string that starts with it. Only paths do: names of folders, files and
    runs.
    """
    for name, value in values(config).items():
        if isinstance(value, dict) and name != 'env':
            value.update({key: expanded(item) for key, item in value.items() if _is_tilde(item)})
        elif name != 'desc' and _is_tilde(value):
            setattr(config, name, expanded(value))


def _is_tilde(value):
    return isinstance(value, (str, os.PathLike)) and os.fspath(value).startswith('~')


def _restore_easy_dicts(config, names):
    """Let an override file write `sched = {...}` or `sched = dict(...)`, too."""
    for name, before in names.items():
        value = getattr(config, name, None)
        if isinstance(before, dict) and isinstance(value,
                                                   dict) and not isinstance(value, config.EasyDict):
            setattr(config, name, config.EasyDict(value))


def _check_known(config, names, path):
    """A public name that config.py does not have is a misspelt one, and all that it has are
    needed.
    """
    for name in values(config):
        if name not in names:
            raise ConfigError(f'{path} sets {name!r}, which is not a name of '
                              f'config.py.{_nearest_option(config, name)} Its names are: '
                              f'{", ".join(names)}. A name that the file needs for itself starts '
                              f'with an underscore: del {name} at the end, or call it _{name}.')
    for name in names:
        if not hasattr(config, name):
            raise ConfigError(f'{path} deletes {name!r}, which the program needs. Expected a new '
                              'value, e.g. an empty EasyDict().')


def _nearest_option(config, name):
    """' Did you mean ...?' among config.py's names and the options below them, which a user may
    have forgotten to put there.
    """
    dotted = {
        key: f'{section}.{key}'
        for section, function in OWN_FUNCTIONS.items() for key in option_names(function)
    }
    dotted.update({top: top for top in values(config) if top != name})
    close = difflib.get_close_matches(name, dotted, n=1)
    return f' Did you mean {dotted[close[0]]!r}?' if close else ''


# --------------------------------------------------------------------------------------------------
# Assignments from the command line.

def _assign(config, assignment):
    """Carry out one 'NAME=VALUE' or 'NAME.KEY=VALUE'."""
    dotted, equals, text = assignment.partition('=')
    dotted = dotted.strip()
    name, dot, key = dotted.partition('.')
    if not equals or not name or (dot and not key):
        raise ConfigError(f'--set {assignment}: expected NAME=VALUE, e.g. --set '
                          'train.total_kimg=100.')
    names = [n for n in values(config) if n != 'EasyDict']
    if name not in names:
        raise ConfigError(f'--set {assignment}: config.py has no name '
                          f'{name!r}.{_nearest_option(config, name)} Its names are: '
                          f'{", ".join(names)}.')
    options = getattr(config, name)
    if not dot:
        value = _parse(assignment, text.strip(), options)
        setattr(config, name, config.EasyDict(value) if isinstance(value, dict) else value)
    elif isinstance(options, dict):
        options[key] = _parse(assignment, text.strip(),
                              '' if name == 'env' or dotted in _TEXTS else options.get(key))
    else:
        raise ConfigError(f'--set {assignment}: {name!r} has no parts; it is {options!r}. Write '
                          f'--set {name}=VALUE.')


def _parse(assignment, text, before):
    """The value of an assignment's text: a Python literal or a bare word.

    Args:
        assignment: the whole assignment, for messages.
        text: what stands after the '='.
        before: the value that is replaced, or None; where it is a text, `005`, `1e3` and `my run`
            are texts as well.
    """
    any_text = isinstance(before, str) and text and text[0] not in '\'"'
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if any_text:
            return text
        if text.lower() in _ALMOST_LITERAL:
            raise ConfigError(f'--set {assignment}: write {_ALMOST_LITERAL[text.lower()]}, with a '
                              'capital letter.') from None
        if not _BARE_WORD.fullmatch(text):
            raise ConfigError(f'--set {assignment}: expected a Python literal (3, 1e-4, True, '
                              f"None, [1, 2], {{4: 128}}, 'text') or a bare word like "
                              f'row_per_class. Received: {text!r}. Mind that the shell takes '
                              'quotes, spaces and braces for itself: put the whole assignment in '
                              'double quotes.') from None
        value = text
    return text if isinstance(before, str) and not isinstance(value, (str, type(None))) else value
