"""Commands that the program prints, e.g. `python train.py --resume`, in a form that works when
typed in the current folder.
"""
import os
import pathlib
import re
import shlex
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def command(program: str, *arguments: object) -> str:
    """Command line that runs one of this program's files; Python files use the current interpreter.

    Args:
        program: path relative to the program's folder, e.g. 'train.py' or 'quickstart.sh'.
        arguments: command line arguments; quoted for the shell if necessary.

    Returns:
        e.g. "python train.py --resume 'my results/003-pgan'".
    """
    runner = 'bash' if program.endswith('.sh') else interpreter()
    return shlex.join([runner, _nearest(str(ROOT / program)), *map(str, arguments)])


def module_command(module: str, *arguments: object) -> str:
    """Command line that runs a package or module of this program with the current interpreter,
    e.g. 'python -m benchmarks --quick'. It only works in the program's folder.
    """
    return shlex.join([interpreter(), '-m', module, *map(str, arguments)])


def as_typed(text: str) -> str:
    """Rewrite each `python PROGRAM.py` and `python -m MODULE` in a help text so that it works from
    the current folder.

    Examples in docstrings use this short form or that of the documents,
    `.venv/bin/python PROGRAM.py`.
    """
    def replaced(match):
        if match[2]:
            return module_command(match[2])
        return command(match[1]) if (ROOT / match[1]).is_file() else match[0]

    return re.sub(r'(?:\.venv/bin/|\b)python\s(?:([\w/]+\.py)\b|-m\s(benchmarks(?:\.\w+)*))',
                  replaced, text)


def interpreter() -> str:
    """'python' or 'python3' if that starts the current interpreter, else a path to it."""
    folder = os.path.dirname(sys.executable)
    for name in ('python', 'python3'):
        found = shutil.which(name)
        # Compare folders: the interpreters of all virtual environments link to the same file.
        if found and os.path.realpath(os.path.dirname(found)) == os.path.realpath(folder):
            return name
    return _nearest(sys.executable) if sys.executable else 'python'


def path_argument(path: str | os.PathLike) -> str:
    """A path as a command line argument that cannot be mistaken for an option, for a run's number
    or name, or for the home folder.
    """
    nearest = _nearest(os.path.abspath(path))
    is_plain = os.sep in nearest and nearest[0] not in '-~'
    return nearest if is_plain else os.path.join(os.curdir, nearest)


def _nearest(path: str) -> str:
    """The shorter of the relative path (from the current folder) and the absolute path."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder is gone, or on another drive
        return path
    return relative if len(relative) < len(path) else path
