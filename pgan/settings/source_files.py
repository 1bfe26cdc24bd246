"""Source text of the Python files that make up a configuration."""
import codecs
import importlib.util
import os
import pathlib
import re

from pgan.errors import ConfigError, in_short


def read_source(path: str | os.PathLike) -> str:
    """Text of a Python file, decoded as Python does.

    That is UTF-8 with or without a byte order mark, or the encoding named by a `coding` comment in
    the first two lines.

    Raises:
        ConfigError: the file cannot be read or decoded.
    """
    try:
        source = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f'{path} cannot be read: {error}.') from error
    try:
        if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            name = 'UTF-32' if b'\0\0' in source[:4] else 'UTF-16'
            raise ValueError(f'it is {name}')
        if b'\0' in source:
            raise ValueError('it contains NUL bytes, as UTF-16 and binary files do')
        return importlib.util.decode_source(source)
    except (SyntaxError, ValueError, LookupError) as error:  # ValueError: UnicodeDecodeError, too
        raise ConfigError(f'{path} is not a Python file in UTF-8: {in_short(error)}. In an editor, '
                          "save it as UTF-8 ('Encoding' or 'Save as')"
                          f'{_without_comment(source)}.') from error


def _without_comment(source):
    """What to do about a comment that names another encoding; '' where there is none."""
    comment = re.search(rb'\A(?:.*\n)?[^\n#]*#.*coding[:=][ \t]*([-\w.]+)', source)
    return '' if comment is None else (
        f', without the comment that names the encoding {comment[1].decode()!r}')
