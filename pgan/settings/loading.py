"""Reading config.py, then override files, then `--set NAME=VALUE`."""
import ast
import contextlib
import difflib
import functools
import importlib.util
import itertools
import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgan import options as option_vocabulary
from pgan.definitions import option_annotation, option_annotations
from pgan.errors import ConfigError, did_you_mean, expect
from pgan.files import expanded, nearest_path
from pgan.options import is_number, kind_of
from pgan.settings import catalogue, switches
from pgan.settings.checking import NAMES, OWN_FUNCTIONS
from pgan.settings.source_files import read_source

# These are strings even if they look like something else, whether or not they are set.
_TEXTS = {'dataset.tfrecord_dir', 'dataset.label_file'}

# A command line value that is not a Python literal is a string if it looks like a name, a path or a
# date.
_BARE_WORD = re.compile(r'[\w./\\:~@%-]+')
_ALMOST_LITERAL = {'true': 'True', 'false': 'False', 'none': 'None', 'null': 'None'}


def load(config_files: Iterable[str | os.PathLike] = (),
         assignments: Iterable[str] = (), *uses: Iterable[str],
         defaults: Iterable[str] = ()) -> types.ModuleType:
    """Reload config.py, then apply the override files and the assignments.

    Args:
        config_files: paths of Python files, run in order in config.py's namespace.
        assignments: strings 'NAME=VALUE' or 'NAME.KEY=VALUE', in order.
        uses: names of config.py's lines to switch on, see `switches.choose`. Later arguments
            override the choices of earlier ones.
        defaults: assignments applied before the override files.

    Returns:
        The module `config`. It is also in `sys.modules`, so that `import config` elsewhere returns
        the same module.

    Raises:
        ConfigError: a file is missing or fails, a name does not exist, a value cannot be read, or
            active lines of config.py contradict each other.
    """
    uses = tuple(map(list, uses))
    config = _import_config(uses)
    names, before = values(config), plain_options(config)
    for assignment in defaults:
        _assign(config, assignment)
    config_files = [expanded(path) for path in config_files]
    for path in config_files:
        _run_override(config, path)
        _check_known(config, path)
        _restore_easy_dicts(config, names)
    for assignment in assignments:
        _assign(config, assignment)
    _expand_paths(config)
    config._command_line = config_files, list(assignments)
    config._set_outside = {name for name, value in plain_options(config).items()
                           if name not in before or repr(before[name]) != repr(value)}
    config._set_outside |= {text.partition('=')[0].strip() for text in assignments}
    return config


def command_line(config: types.ModuleType) -> tuple[list[str], list[str]]:
    """(override files, assignments) applied to config.py, each a list of strings in order."""
    return getattr(config, '_command_line', ([], []))


def set_outside(config: types.ModuleType) -> set[str]:
    """Names such as 'train.total_kimg' of the options that --config or --set changed."""
    return getattr(config, '_set_outside', set())


def after_files(chosen: Mapping[str, Any], config_files: Iterable[str | os.PathLike] = (),
                assignments: Iterable[str] = (), uses: Iterable[str] = ()) -> dict[str, Any]:
    """Apply a user's override files to default options and return the resulting values.

    Options set by the user's assignments and lines of config.py are omitted, and so are options
    that a file removes. Passing the result to `--set`, before the user's own assignments, therefore
    gives what the user expects.

    Args:
        chosen: the default options, {'train.total_kimg': 100, ...}.
        config_files, assignments, uses: the user's settings, as for `load`.
    """
    taken = switches.choices_of(uses) | {text.partition('=')[0].strip() for text in assignments}
    free = {name: value for name, value in chosen.items()
            if not {name, name.partition('.')[0]} & taken}
    config_files = list(config_files)
    if not config_files:
        return free
    config = load(config_files, (), list(uses),
                  defaults=[assignment(*item) for item in free.items()])
    found = plain_options(config)
    return {name: found[name] for name in free if name in found}


def assignment(name: str, value: object) -> str:
    """Format 'NAME=VALUE' for `--set`, with a bare word if possible, else a literal."""
    is_bare = isinstance(value, str) and _BARE_WORD.fullmatch(value) and not _is_literal(value)
    return f'{name}={value if is_bare else repr(value)}'


def _is_literal(text):
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text.lower() in _ALMOST_LITERAL
    return True


def set_measured(config: types.ModuleType, timetable: Mapping[str, Any]) -> None:
    """Store the measured times of the stages, the state of a `Timetable`, in a configuration."""
    config._measured = dict(timetable)  # type: ignore[attr-defined]


def measured(config: types.ModuleType) -> dict[str, Any]:
    """Times stored by `set_measured`; {} if nothing has been measured."""
    return getattr(config, '_measured', {})


def used_lines(config: types.ModuleType) -> list[str]:
    """Names of config.py's lines that were switched on by `uses` and are active."""
    return getattr(config, '_used_lines', [])


def values(config: types.ModuleType) -> dict[str, Any]:
    """The configuration's names and values, sorted by name, as recorded in config.txt.

    Other names of the user, such as functions and imports, are excluded.
    """
    return {name: value for name, value in sorted(vars(config).items()) if name in NAMES}


def plain_options(config: types.ModuleType) -> dict[str, Any]:
    """The configuration as a flat dict {'train.total_kimg': 12000, 'desc': 'pgan', ...}, for pages
    that show one value per line.
    """
    found = {}
    for name, value in values(config).items():
        if isinstance(value, dict):
            found.update({f'{name}.{key}': item for key, item in sorted(value.items(), key=str)})
        elif not isinstance(value, type):
            found[name] = value
    return found


def apply_env(config: types.ModuleType) -> None:
    """Set the environment variables of `config.env`. TensorFlow reads most of them once, when it is
    imported.

    A log level already set in the environment takes precedence: it is how a caller overrides
    config.py. Keras's backend stays TensorFlow.

    Raises:
        ConfigError: a name or value is not valid for an environment variable.
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


def _import_config(uses):
    """Execute config.py, with these lines switched on, as the module `config`, replacing a
    previously loaded one.
    """
    spec = importlib.util.spec_from_file_location('config', catalogue.CONFIG_PY)
    config = importlib.util.module_from_spec(spec)
    sys.modules['config'] = config

    def switched(text):
        text = switched_text(text, *uses)
        switches.check_contradictions(text)
        config._used_lines = switches.active_among(text, itertools.chain(*uses))
        return text

    _run(catalogue.CONFIG_PY, vars(config), switched)
    _check_known(config, catalogue.CONFIG_PY.name)
    return config


def switched_text(text: str, *uses: Iterable[str]) -> str:
    """config.py's text with lines switched on, see `load`."""
    return functools.reduce(switches.choose, uses, text)


def _run_override(config, path):
    """Execute an override file in the configuration's namespace."""
    if os.path.isdir(path):
        raise ConfigError(f'--config {path}: that is a folder. Expected a Python file with lines '
                          'like those of config.py.')
    if not os.path.isfile(path):
        folder = catalogue.CONFIG_PY.parent / 'configs'
        there = {p.name: os.path.relpath(p) for p in sorted(folder.glob('*.py'))}
        close = difflib.get_close_matches(os.path.basename(path), there, n=1)
        hint = f' Did you mean {there[close[0]]!r}?' if close else nearest_path(path)
        raise ConfigError(f'--config {path}: there is no such file; the current folder is '
                          f'{os.getcwd()!r}.{hint} Expected a Python file with lines like those '
                          'of config.py. Ready-made ones: '
                          f'{", ".join(there.values()) or "none"}.')
    _run(path, vars(config))


def _run(path: str | os.PathLike, namespace: dict[str, Any],
         edit: Callable[[str], str] = str) -> None:
    """Execute a user's Python file after `edit` has changed its text (keeping its line numbers).

    Errors in it are reported with their line.
    """
    try:
        source = edit(read_source(path))
        exec(compile(source, str(path), 'exec'),
             namespace)  # noqa: S102 -- a configuration is a program, like config.py itself
        namespace.setdefault('_imported', set()).update(_imported_names(source))
    except ConfigError:
        raise
    except SystemExit as error:
        if type(error) is not SystemExit:  # raised by a signal, not by the file
            raise
        raise ConfigError(f'{path} exits the program with sys.exit({error.code!r}). '
                          'Expected only lines that set values.'
                          ) from error
    except SyntaxError as error:
        raise ConfigError(f'{path}, line {error.lineno}: {error.msg}: '
                          f'{(error.text or "").strip()!r}.') from error
    except Exception as error:
        where = [
            frame for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        number = where[-1].lineno if where else None
        line = f', line {number}: {source.splitlines()[number - 1].strip()!r}' if number else ''
        hint = did_you_mean(error.name, _public(namespace)) if isinstance(error, NameError) else ''
        raise ConfigError(
            f'{path}{line} failed with {type(error).__name__}: {error}.{hint}') from error


def _public(namespace):
    return [name for name in namespace if not name.startswith('_')]


def _expand_paths(config):
    """Expand `~` in every string that starts with it; only paths of folders, files and runs do."""
    for name, value in values(config).items():
        if isinstance(value, dict) and name != 'env':
            value.update({key: expanded(item) for key, item in value.items() if _is_tilde(item)})
        elif name != 'desc' and _is_tilde(value):
            setattr(config, name, expanded(value))


def _is_tilde(value):
    return isinstance(value, (str, os.PathLike)) and os.fspath(value).startswith('~')


def _restore_easy_dicts(config, names):
    """Convert plain dicts to EasyDicts, so that override files may write `sched = {...}`."""
    for name, before in names.items():
        value = getattr(config, name, None)
        if isinstance(before, dict) and isinstance(value,
                                                   dict) and not isinstance(value, config.EasyDict):
            setattr(config, name, config.EasyDict(value))


def _check_known(config, path):
    """Raise ConfigError for an unknown public name, presumably misspelt, and for a missing one.

    Imports, functions and classes may have any name.
    """
    known, imported = sorted(NAMES), vars(config).get('_imported', ())
    for name, value in sorted(vars(config).items()):
        if not (name in NAMES or name.startswith('_') or name in imported or _is_code(value)):
            raise ConfigError(f'{path} sets {name!r}, which is not a name of '
                              f'config.py.{_nearest_option(name)} Its names are: '
                              f'{", ".join(known)}. If the file needs the name only for itself, '
                              f'call it _{name}, or add del {name} at the end.')
    for name in known:
        if not hasattr(config, name):
            verb = 'does not set' if path == catalogue.CONFIG_PY.name else 'deletes'
            raise ConfigError(f'{path} {verb} {name!r}, which the program needs. Expected a new '
                              'value, e.g. an empty EasyDict().')


def _is_code(value):
    """Whether a value is a module, a function or a class."""
    return isinstance(value, (types.ModuleType, types.FunctionType, type))


def _imported_names(source):
    """Names imported anywhere in a source text."""
    return {(alias.asname or alias.name).partition('.')[0] for node in ast.walk(ast.parse(source))
            if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}


def _nearest_option(name):
    """' Did you mean ...?' with config.py's names and their options, for a user who forgot the
    prefix; or ''.
    """
    nearest = nearest_options(name)
    return f' Did you mean {" or ".join(map(repr, nearest))}?' if nearest else ''


def nearest_options(name: str, cutoff: float = 0.6) -> list[str]:
    """Options 'NAME' or 'NAME.KEY' whose last part is most similar to a name; [] if none is.

    Several are returned if sections share an option, e.g. G.fmap_base and D.fmap_base.
    """
    dotted = {name: [name] for name in NAMES - {'EasyDict'}}
    for section, function in OWN_FUNCTIONS.items():
        for key in option_annotations(function):
            dotted.setdefault(key, []).append(f'{section}.{key}')
    endings = [key for key in dotted if key.endswith(f'_{name}')]
    close = endings if len(endings) == 1 else difflib.get_close_matches(name, dotted, n=1,
                                                                        cutoff=cutoff)
    return dotted[name] if name in dotted else dotted[close[0]] if close else []


# --------------------------------------------------------------------------------------------------
# Assignments from the command line.

def _assign(config, assignment):
    """Apply one 'NAME=VALUE' or 'NAME.KEY=VALUE'."""
    dotted, equals, text = assignment.partition('=')
    dotted = dotted.strip()
    name, dot, key = dotted.partition('.')
    if not equals or not name or (dot and not key):
        raise ConfigError(f'--set {assignment}: expected NAME=VALUE, e.g. --set '
                          'train.total_kimg=100.')
    names = [n for n in values(config) if n != 'EasyDict']
    if name not in names:
        raise ConfigError(f'--set {assignment}: config.py has no name '
                          f'{name!r}.{_nearest_option(name)} Its names are: '
                          f'{", ".join(names)}.')
    options = getattr(config, name)
    if not dot:
        value = _parse(assignment, text.strip(), options)
        setattr(config, name, config.EasyDict(value) if isinstance(value, dict) else value)
    elif isinstance(options, dict):
        before = '' if name == 'env' or dotted in _TEXTS else options.get(key)
        kind = _kind_of_option(name, options, key) if isinstance(before, str) else None
        options[key] = _parse(assignment, text.strip(), before, kind)
    else:
        raise ConfigError(f'--set {assignment}: {name!r} has no options; it is {options!r}. Write '
                          f'--set {name}=VALUE.')


def _kind_of_option(section, options, key):
    """The `Kind` of an option, without importing the function that takes it; None if unknown."""
    function = options.get('class_name' if section == 'dataset' else 'func')
    with contextlib.suppress(LookupError, OSError, SyntaxError, TypeError, StopIteration):
        return kind_of(option_annotation(function or OWN_FUNCTIONS[section], key,
                                         vars(option_vocabulary)))
    return None


def _parse(assignment, text, before, kind=None):
    """Parse the value of an assignment: a Python literal or a bare word.

    Args:
        assignment: the whole assignment, for messages.
        text: the part after the '='.
        before: the value to replace, or None. If it is a string, `005`, `1e3` and `my run` are
            strings, too.
        kind: `Kind` of the option's values, if known. A literal that it accepts is not turned into
            a string, e.g. 0 for an option that takes 'full' or a number.
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
                              f'row_per_class. Received: {text!r}. The shell interprets quotes, '
                              'spaces and braces, so put the whole assignment in double '
                              'quotes.') from None
        value = text
    if not isinstance(before, str) or isinstance(value, (str, type(None))):
        return value
    return value if kind is not None and kind.holds(value) else text
