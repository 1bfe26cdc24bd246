"""Hooks of mkdocs.yml: pages from outside of docs/, the navigation, and the reference.

The repository is written to be read as it stands, so its pages link to README.md, to files of
`benchmarks/` and the like. Here these links lead to pages and copies inside the site.
"""
import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parent.parent

# Pages that stand outside of docs/: where in the repository, where in the site. The front page of
# the site is the README.
PAGES = {
    'README.md': 'index.md',
    'docs/README.md': 'all-pages.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'SECURITY.md': 'security.md',
    'benchmarks/LOG.md': 'log.md',
}
REFERENCE = (
    'networks', 'loss', 'tfutil', 'dataset', 'dataset_tool', 'legacy', 'misc', 'metrics', 'train',
    'util_scripts'
)
LINK = re.compile(r'(?<=\]\()(?!https?:|#|mailto:)([^)#\s]*)(#[^)\s]*)?(?=\))')
SECTION = re.compile(r'^\*\*(.+)\*\*$')
ENTRY = re.compile(r'^\* \[[^]]+\]\(([^)]+)\): ')

# The theme loads this from the network, as its search needs it on pages opened from the disk.
SHIM_URL = 'https://unpkg.com/iframe-worker/shim'
SHIM = 'assets/iframe-worker.js'


def site_path(path):
    """Place in the site of a file of the repository, both '/'-separated and relative."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix('docs/') if path.startswith('docs/') else f'repository/{path}'


def resolved(path, target):
    """Path in the repository of a link's target on the page at `path`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def links(path, text):
    """Files of the repository that the page at `path` links to."""
    return {resolved(path, target) for target, _ in LINK.findall(text)}


def with_site_links(path, text):
    """`text` of the page at `path` in the repository, with links that hold in the site."""
    here = posixpath.dirname(site_path(path))

    def translated(match):
        target = site_path(resolved(path, match.group(1)))
        return posixpath.relpath(target, here or '.') + (match.group(2) or '')

    return LINK.sub(translated, text)


def navigation(index):
    """mkdocs' `nav` from docs/README.md: its sections, each with its pages in their order."""
    nav = [{'Start': 'index.md'}]
    for line in index.splitlines():
        if found := SECTION.match(line):
            nav.append({found.group(1): []})
        elif found := ENTRY.match(line):
            path = resolved('docs/README.md', found.group(1))
            next(iter(nav[-1].values())).append(site_path(path))
    reference = [{name: f'reference/{name}.md'} for name in REFERENCE]
    return [*nav, {'Reference': reference}, {'All pages': site_path('docs/README.md')}]


def on_config(config):
    config.nav = navigation((ROOT / 'docs/README.md').read_text())
    return config


def on_files(files, config):
    """Add the pages and files from outside of docs/, and a page of reference for each module."""
    wanted = set(PAGES)
    for page in [*PAGES, *(f'docs/{file.src_uri}' for file in files.documentation_pages())]:
        wanted |= links(page, (ROOT / page).read_text())
    for path in sorted(wanted):
        place = site_path(path)
        if files.get_file_from_path(place) is None:
            in_nav = InclusionLevel.INCLUDED if path in PAGES else InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, place, abs_src_path=os.fspath(ROOT / path),
                                        inclusion=in_nav))
    for name in REFERENCE:
        text = f'# `{name}`\n\n::: {name}\n'
        files.append(File.generated(config, f'reference/{name}.md', content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    source = page.file.abs_src_path
    if not source:
        return markdown
    return with_site_links(Path(source).relative_to(ROOT).as_posix(), markdown)


def on_post_page(output, page, config):
    return output.replace(SHIM_URL, posixpath.relpath(SHIM, posixpath.dirname(page.file.dest_uri)
                                                      or '.'))


def on_post_template(output_content, template_name, config):
    return output_content.replace(SHIM_URL, SHIM)
