"""Lines of config.py: switching them on by name (`--use cond,bf16`) and detecting contradictions.

A chosen line is uncommented in config.py's text before the text is executed. In a section titled
'choose one', the line that it replaces is commented out. The effect, including the order, is
therefore the same as editing the file by hand.
"""
import ast
import itertools
from collections.abc import Iterable, Mapping

from pgan.definitions import option_names
from pgan.errors import ConfigError, did_you_mean
from pgan.invocation import command
from pgan.settings.catalogue import CONFIG_PY, Option, Section, read, sections


def choose(text: str, names: Iterable[str]) -> str:
    """Switch lines of config.py's text on by name.

    Args:
        text: config.py's text.
        names: names of lines; 'a,b' is two.

    Returns:
        The text with these lines uncommented, and those that they replace commented out. All other
        lines and the number of lines are unchanged.

    Raises:
        ConfigError: no line has a name, or two lines are from the same 'choose one' section.
    """
    wanted, lines = _split(names), text.split('\n')
    found = sections(text)
    _check_names(wanted, {option.name: option for section in found for option in section.options})
    for section in found:
        chosen = [option for option in section.options if option.name in wanted]
        if section.is_choice and len(chosen) > 1:
            raise ConfigError(f'--use {",".join(wanted)}: {_quoted(chosen)} exclude each other. '
                              f'{_title(section)!r} in config.py allows only one. Name one of '
                              'them.')
        for option in section.options:
            if option in chosen:
                lines[option.line] = lines[option.line].lstrip('# ')
            elif section.is_choice and chosen and option.is_active:
                lines[option.line] = f'#{lines[option.line]}'
    return '\n'.join(lines)


def choices_of(names: Iterable[str]) -> set[str]:
    """Options set by lines of config.py, or by the lines that these replace."""
    wanted, found = _split(names), set()
    for section in read():
        chosen = [option for option in section.options if option.name in wanted]
        for option in section.options if chosen and section.is_choice else chosen:
            found |= set(_assignments(option.code))
    return found


def with_default_line(names: Iterable[str], default: str) -> list[str]:
    """Add a default line to names of lines, unless they already choose one from its section.

    Args:
        names: names of lines; 'a,b' is two.
        default: name of a line in a 'choose one' section.
    """
    names = list(names)
    for section in read():
        lines = {option.name for option in section.options}
        if default in lines and not lines & set(_split(names)):
            return [default, *names]
    return names


def active_among(text: str, names: Iterable[str]) -> list[str]:
    """The names whose lines are active in config.py's text, without duplicates."""
    active = {option.name for section in sections(text) for option in section.in_force}
    return [name for name in _split(names) if name in active]


def check_contradictions(text: str) -> None:
    """Raise ConfigError if active lines of config.py's text exclude each other.

    There are three cases: two lines are from the same 'choose one' section; a switch overwrites the
    first value of a switch above it, which is the purpose of that line; or a line sets an option
    that the class or function chosen by a line above it does not take.
    """
    switches: list[Option] = []
    in_force: list[Option] = []
    for section in sections(text):
        active = [option for option in section.options if option.is_active]
        if section.is_choice and len(active) > 1:
            advice = '' if active[0].is_utility else ', or choose one with --use NAME'
            raise ConfigError(f'{_places(active)} are both active, but '
                              f'{_title(section)!r} allows only one. Comment out the other (put a '
                              f'# before it){advice}.')
        switches += [] if section.is_choice else active
        in_force += active
    for first, second in itertools.combinations(switches, 2):
        lost = _replaced(_assignments(first.code), _assignments(second.code))
        if lost:
            raise ConfigError(f'{_places([first, second])} are both active, but exclude each '
                              f'other: both set {lost}. Comment out one of them (put a # before '
                              'it), or remove it from --use.')
    for first, second in itertools.combinations(in_force, 2):
        for target, function in _chosen_functions(first.code):
            refused = _not_an_option(second.code, target, function)
            if refused:
                raise ConfigError(f'{_places([first, second])} are both active, but exclude each '
                                  f'other: {function} does not take {refused!r}. Comment out one '
                                  'of them (put a # before it), or remove it from --use.')


def _split(names):
    """Split names at commas and remove spaces, duplicates and the leading '-' used in `desc`."""
    words = (word.strip().removeprefix('-') for name in names for word in name.split(','))
    return list(dict.fromkeys(words))


def _check_names(wanted: Iterable[str], options: Mapping[str, Option]) -> None:
    for name in wanted:
        if name not in options:
            hint = _same_letters(name, options) or did_you_mean(name, options)
            raise ConfigError(f'--use {name}: config.py has no line of that name.{hint} To see '
                              f'all: {command("train.py", "--list")}')
        if options[name].is_utility:
            raise ConfigError(f'--use {name}: that line needs the number of a run. For utilities, '
                              f'see: {command("util_scripts.py", "-h")}')


def _same_letters(name, options):
    same = [other for other in options if other.lower() == name.lower()]
    return f' Did you mean {same[0]!r}?' if same else ''


def _title(section: Section) -> str:
    """Short title of a section, e.g. 'Preset: choose one'."""
    return section.title.partition('.')[0]


def _quoted(options):
    names = [f"'-{option.name}'" for option in options]
    return f'{", ".join(names[:-1])} and {names[-1]}'


def _places(options):
    """"config.py, line 61 ('-a') and line 65 ('-b')"."""
    shown = ' and '.join(f"line {option.line + 1} ('-{option.name}')" for option in options)
    return f'{CONFIG_PY.name}: {shown}'


def _assignments(code):
    """Assignments of a line, in order: {target: value}, both as source text."""
    try:
        parts = ast.parse(code).body
    except SyntaxError:  # executing the file reports it
        return {}
    return {ast.unparse(target): ast.unparse(part.value) for part in parts
            if isinstance(part, ast.Assign) for target in part.targets}


def _chosen_functions(code):
    """[(name, function or class)] for each `name = EasyDict(func='...')` in a line."""
    found = []
    for target, value in _assignments(code).items():
        for keyword in getattr(ast.parse(value).body[0].value, 'keywords', ()):
            if keyword.arg in ('func', 'class_name') and isinstance(keyword.value, ast.Constant):
                found.append((target, keyword.value.value))
    return found


def _not_an_option(code, target, function):
    """First 'target.option' that a line assigns although the function does not take it, or None."""
    names = [name for name in _assignments(code) if name.startswith(f'{target}.')]
    try:
        taken = option_names(function) if names else []
    except (LookupError, OSError, StopIteration, AttributeError):  # a user's own function
        return None
    return next((name for name in names if name.partition('.')[2] not in taken), None)


def _replaced(first, second):
    """The first target of `first` if `second` sets it to another value; else None."""
    target = next(iter(first), None)
    return target if target in second and first[target] != second[target] else None
