"""Code blocks of README.md, CONTRIBUTING.md and docs/."""
import re
import shlex
import textwrap
from typing import NamedTuple

from tests.support.golden import ROOT

DOCUMENTS = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md',
             ROOT / 'SECURITY.md', *sorted(ROOT.glob('docs/*.md'))]


class Block(NamedTuple):
    """A fenced block. Attributes: name of the document, line of its beginning, language ('' =
    commands), text.
    """
    document: str
    line: int
    language: str
    text: str


def blocks():
    """All fenced blocks of all documents."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        for match in re.finditer(r'^( *)```(\w*)\n(.*?)^ *```$', text, re.DOTALL | re.MULTILINE):
            found.append(
                Block(path.name, text[:match.start()].count('\n') + 1, match[2],
                      textwrap.dedent(match[3])))
    return found


def commands():
    """Shell commands of all blocks without a language: list of (where, [words]), without comments.
    """
    found = []
    for block in blocks():
        if block.language == '':
            for line in block.text.replace('\\\n', ' ').splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    found.append((f'{block.document}:{block.line}', words))
    return found


def normalised(words):
    """Replace '.venv/bin/python train.py' by 'python train.py'."""
    return [words[0].removeprefix('.venv/bin/'), *words[1:]]
