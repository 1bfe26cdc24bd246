"""pgan/definitions.py: functions parsed from source."""
import subprocess
import sys

import pytest

from pgan import definitions, options
from tests.support.golden import ROOT

SOURCES = {
    'first.py': 'from pgan.errors import wrong\nfrom second import half\n'
                'LIMIT = 7\nMADE = max(1, 2)\n',
    'second.py': """from pgan.options import Count
LIMIT = 3
@decorated_by_something_that_is_not_there
def half(number: Count = LIMIT, *, config=None):
    \'\'\'Halve.\'\'\'
    return not_there(number)
class Halves:
    def other(self, x): pass
    def __init__(self, a: Supplied[int], b: SuppliedIfTaken[int] = 1, c: Count = 2, d=3): pass
""",
}


@pytest.fixture
def sources(tmp_path, monkeypatch):
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(definitions, 'ROOT', tmp_path)


def test_a_declaration_has_the_signature_and_no_body(sources):
    half = definitions.declaration('first.half', vars(options))
    assert half.__doc__ == 'Halve.' and half() is None
    option, _ = options.options_of(half).values()
    assert (option.name, option.default, option.kind.words) == ('number', 3,
                                                                'an integer of at least 1')


def test_constants_that_are_literals(sources):
    assert definitions.plain_constants('first') == {'LIMIT': 7}


def test_names_of_options(sources):
    assert definitions.option_names('second.Halves') == ['c', 'd']
    assert definitions.option_names('first.half') == ['number']


def test_the_annotation_of_an_option(sources, tmp_path):
    (tmp_path / 'third.py').write_text(
        'from fourth import Run\ndef f(a: Run | None = None, b: Strange | None = None, c=1): pass')
    (tmp_path / 'fourth.py').write_text(
        "Run = Annotated[Text | Count, Such('words', not_there)]\nText = str")
    assert definitions.option_annotation('third.f', 'a', vars(options)) == (
        str | options.Count | None)
    for name in 'bcd':
        with pytest.raises(LookupError):
            definitions.option_annotation('third.f', name, vars(options))


def test_what_is_not_there(sources):
    with pytest.raises(LookupError, match="first does not define 'quarter'"):
        definitions.find_definition('first.quarter')


def test_reading_imports_nothing_heavy():
    code = ('import sys; from pgan import definitions; '
            "definitions.option_names('train.train_progressive_gan'); "
            "sys.exit(bool({'tensorflow', 'numpy', 'misc'} & set(sys.modules)))")
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
