"""CHANGELOG.md, CITATION.cff, .pre-commit-config.yaml and .git-blame-ignore-revs fit the
repository.
"""
import re
import subprocess
import tomllib

import pytest

from tests.support.golden import ROOT

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']


def test_changelog_has_a_section_for_each_version():
    text = (ROOT / 'CHANGELOG.md').read_text()
    first, *released = re.findall(r'^## (.+)$', text, re.MULTILINE)
    assert first == 'Unreleased' and released[0].startswith(f'{PROJECT["version"]} - ')
    assert all(re.fullmatch(r'\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d', title) for title in released)
    kinds = {'Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security', 'Known'}
    assert set(re.findall(r'^### (.+)$', text, re.MULTILINE)) <= kinds


def test_citation_is_of_this_version():
    text = (ROOT / 'CITATION.cff').read_text()
    values = dict(re.findall(r'^([\w-]+): (.+)$', text, re.MULTILINE))
    assert values['cff-version'] == '1.2.0' and values['license'] == PROJECT['license']
    assert values['version'] == PROJECT['version']
    assert f'## {values["version"]} - {values["date-released"]}' in (
        ROOT / 'CHANGELOG.md').read_text()
    names = re.findall(r'family-names: (\w+)', text)
    readme = (ROOT / 'README.md').read_text()
    assert names == ['Karras', 'Aila', 'Laine', 'Lehtinen'] and all(n in readme for n in names)


def test_hooks_use_the_ruff_of_the_tests():
    text = (ROOT / '.pre-commit-config.yaml').read_text()
    assert 'entry: .venv/bin/ruff check' in text and 'repo: local' in text
    assert re.findall(r'https?://', text) == []  # nothing is cloned
    entries = re.findall(r'entry: (\S+)', text)
    assert len(entries) == len(set(entries)) == len(re.findall(r'- id: ', text))


def test_commits_that_blame_ignores_are_in_the_history():
    lines = (ROOT / '.git-blame-ignore-revs').read_text().splitlines()
    commits = [line for line in lines if not line.startswith('#')]
    assert commits and all(re.fullmatch(r'[0-9a-f]{40}', commit) for commit in commits)
    known = subprocess.run(['git', 'rev-parse', '--is-shallow-repository'], cwd=ROOT,
                           capture_output=True, text=True)
    if known.stdout.strip() != 'false':
        pytest.skip('needs a git clone with its history')
    for commit in commits:
        done = subprocess.run(['git', 'merge-base', '--is-ancestor', commit, 'HEAD'], cwd=ROOT)
        assert done.returncode == 0, commit


DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'config.py', 'docs/*.md', 'configs/*.py',
             'examples/*.py']


@pytest.mark.parametrize('path', [path for pattern in DOCUMENTS for path in ROOT.glob(pattern)],
                         ids=lambda path: path.name)
def test_python_is_spelled_one_way(path):
    """As README explains it; but the docstrings of dataset_tool.py have the short form."""
    text = re.sub(r'```diff.*?```', '', path.read_text(), flags=re.DOTALL)
    assert re.findall(r'(?<!venv/bin/)\bpython\d? (?:[\w/]+\.py|-m \w+)', text) == []
