"""Headless Chromium for tests that inspect and click on pages, by means of Playwright."""
import contextlib
import time

import pytest

from tests.support.browser import chromium

SECONDS = 60  # timeout for what a page should show


@contextlib.contextmanager
def open_chromium():
    """Chromium installed on this machine. Create its pages with `page_of`."""
    playwright = pytest.importorskip('playwright.sync_api', reason='needs Playwright')
    if chromium() is None:
        pytest.skip('no Chromium on this machine (Debian: apt-get install chromium)')
    with playwright.sync_playwright() as driver:
        program = driver.chromium.launch(executable_path=chromium(), args=['--no-sandbox'])
        yield program
        program.close()


@contextlib.contextmanager
def page_of(program, address, width=1400, height=900, scheme='light'):
    """A new page. No script on it may fail, and it must not violate its content security policy."""
    context = program.new_context(viewport=dict(width=width, height=height), color_scheme=scheme,
                                  accept_downloads=True, reduced_motion='reduce')
    context.set_default_timeout(SECONDS * 1000)
    page, errors = context.new_page(), []
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('console', lambda message: errors.append(message.text) if message.type == 'error'
            else None)
    page.on('response', lambda response: response.status < 400 or errors.append(
        f'{response.status} {response.url}'))
    page.goto(address)
    yield page
    context.close()
    assert not errors, errors


def check_accessible(page):
    """The page has no serious accessibility violations, according to axe-core."""
    axe = pytest.importorskip('axe_playwright_python.sync_playwright', reason='needs axe-core')
    found = [(fault['impact'], fault['id'], [node['html'][:200] for node in fault['nodes']])
             for fault in axe.Axe().run(page).response['violations']]
    assert not [fault for fault in found if fault[0] in ('serious', 'critical')], found


def wait_until(page, condition):
    """Wait until a JavaScript expression is true. (Playwright's own function needs eval on the
    page.)
    """
    deadline = time.monotonic() + SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)
