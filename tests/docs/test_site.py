"""The web site that mkdocs.yml makes of the documents and docstrings."""
import html.parser
import json
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import pytest

from docs import site_hooks
from tests.support.golden import ROOT


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Folder of the site, and what mkdocs printed."""
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run([sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', folder],
                          cwd=ROOT, capture_output=True, text=True)
    return folder, done


class References(html.parser.HTMLParser):
    """Collects the addresses that a page names: `links` to follow, `parts` that it loads."""

    def __init__(self, page):
        super().__init__()
        self.links, self.parts = [], []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == 'a' and attributes.get('href'):
            self.links.append(attributes['href'])
        elif tag in ('script', 'img', 'link') and attributes.get('rel') != 'canonical':
            self.parts += filter(None, [attributes.get('src'), attributes.get('href')])


@pytest.mark.slow
def test_site_builds_without_a_warning(built):
    folder, done = built
    assert done.returncode == 0 and 'WARNING -' not in done.stderr, done.stderr
    sections = [part for entry in site_hooks.navigation((ROOT / 'docs/README.md').read_text())
                for part in entry.values()]
    listed = {page if isinstance(page, str) else next(iter(page.values())) for part in sections
              for page in ([part] if isinstance(part, str) else part)}
    assert all((folder / page).with_suffix('.html').exists() for page in listed)
    assert {path.name for path in (ROOT / 'docs').glob('*.md')} - {'README.md'} <= listed


@pytest.mark.slow
def test_pages_load_nothing_from_the_network_and_links_hold(built):
    folder, _ = built
    pages = [page for page in folder.rglob('*.html') if page.name != '404.html']
    for page in pages:
        references = References(page)
        assert not [part for part in references.parts if urlsplit(part).netloc], page
        for address in references.parts + references.links:
            parts = urlsplit(address)
            if not parts.scheme and parts.path:
                assert (page.parent / unquote(parts.path)).exists(), f'{page}: {address}'


@pytest.mark.slow
def test_search_finds_documents_and_docstrings(built):
    entries = json.loads((built[0] / 'search/search_index.json').read_text())['docs']
    places = {entry['location'].partition('#')[0] for entry in entries
              if 'gradient penalty' in entry['text'].lower()}
    assert {'reference/loss.html', 'few-images.html'} <= places


def test_links_lead_to_the_sites_own_pages():
    text = ('[a](docs/training.md#x) [b](CHANGELOG.md) [c](#here) [d](https://example.org) '
            '![e](docs/digits.png) [f](LICENSE)')
    assert site_hooks.with_site_links('README.md', text) == (
        '[a](training.md#x) [b](changelog.md) [c](#here) [d](https://example.org) '
        '![e](digits.png) [f](repository/LICENSE)')
    links = '[a](../README.md) [b](../metrics/x.py)'
    assert site_hooks.with_site_links('docs/judging.md', links) == (
        '[a](index.md) [b](repository/metrics/x.py)')
    assert site_hooks.with_site_links('tests/golden/README.md', '[a](../../docs/design.md)') == (
        '[a](../../../design.md)')
