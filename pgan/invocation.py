"""Commands that the program prints, such as `python train.py --resume`, as they work when typed
from the current folder.
"""
import os
import pathlib
import re
import shlex
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def command(program: str, *arguments: object) -> str:
    """A command line that runs one of this program's files, a Python one with the interpreter in
    use.

    Args:
        program: path from the program's folder, e.g. 'train.py' or 'quickstart.sh'.
        arguments: command line arguments; quoted where the shell needs it.

    Returns:
        e.g. "python train.py --resume 'my results/003-pgan'".
    """
    runner = 'bash' if program.endswith('.sh') else interpreter()
    return shlex.join([runner, _nearest(str(ROOT / program)), *map(str, arguments)])


def module_command(module: str, *arguments: object) -> str:
    """A command line that runs one of this program's packages or modules with the interpreter in
    use, such as 'python -m benchmarks --quick'. It works where this one does: in the program's
    folder.
    """
    return shlex.join([interpreter(), '-m', module, *map(str, arguments)])


def as_typed(text: str) -> str:
    """A help text in which each `python PROGRAM.py` and `python -m MODULE` works as it stands from
    the current folder.

    Examples in docstrings have this short form, or that of the documents,
    `.venv/bin/python PROGRAM.py`.
    """
    def replaced(match):
        if match[2]:
            return module_command(match[2])
        return command(match[1]) if (ROOT / match[1]).is_file() else match[0]

    return re.sub(r'(?:\.venv/bin/|\b)python\s(?:([\w/]+\.py)\b|-m\s(benchmarks(?:\.\w+)*))',
                  replaced, text)


def interpreter() -> str:
    """'python' or 'python3' where that starts the interpreter in use, else a path to it."""
    folder = os.path.dirname(sys.executable)
    for name in ('python', 'python3'):
        found = shutil.which(name)
        # By folder: the interpreters of all virtual environments are links to the same file.
        if found and os.path.realpath(os.path.dirname(found)) == os.path.realpath(folder):
            return name
    return _nearest(sys.executable) if sys.executable else 'python'


def path_argument(path: str | os.PathLike) -> str:
    """A path as an argument of a command: nothing that a program takes for an option, for a run's
    number or name, or for the home folder.
    """
    nearest = _nearest(os.path.abspath(path))
    is_plain = os.sep in nearest and nearest[0] not in '-~'
    return nearest if is_plain else os.path.join(os.curdir, nearest)


def _nearest(path: str) -> str:
    """A path as one would type it: from the current folder if that is shorter, else absolute."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder is gone, or on another drive
        return path
    return relative if len(relative) < len(path) else path
