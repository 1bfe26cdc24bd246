"""The script `explore`: a local web page for exploring a run's generator."""
import os
import sys
import webbrowser
from typing import Annotated, Any

from pgan.explorer.run import Run
from pgan.explorer.safety import Guard
from pgan.explorer.server import App, bound_socket, make_explorer_server
from pgan.explorer.session import Session
from pgan.options import Interval, Snapshot, Such
from pgan.scripts.option_checks import RunId
from pgan.scripts.script import script
from pgan.signals import Stopped

FIRST_PORT = 8765


@script
def explore(
    run_id: RunId,
    snapshot: Snapshot = None,
    port: Annotated[int, Interval(1, 65535)] | None = None,
    host: Annotated[str, Such('a non-empty string', bool)] = '127.0.0.1',
    no_browser: bool = False,
    *,
    config: Any = None,
) -> None:
    """Serve a local web page to explore a run: an endless wall of images, interpolation and
    arithmetic between them, latent directions, snapshots, projection of your own pictures.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: which network, by its kimg; 'best' = by the run's metric; None for the last.
        port: port of the page; None = 8765, or the next free one.
        host: address to listen on; if other machines can reach it, the page's address contains a
            random token.
        no_browser: do not open a browser.
        config: as config.py; None = the module `config`. Gives result_dir and data_dir.

    Raises:
        ConfigError: the port is in use, or the address is not one of this machine.
        DataError: there is no such run or snapshot.
    """
    with bound_socket(host, port, FIRST_PORT) as sock:
        guard = Guard(host, sock.getsockname()[1])
        session = Session(Run(run_id, snapshot, config))
        session.warm_up()
        server = make_explorer_server(App(session, guard), sock)
        address = address_of(host, server.port, guard.token)
        print(f'Explore it at {address} (Ctrl-C ends it).', flush=True)
        if not no_browser:
            open_browser(address)
        try:
            server.serve_forever()
        except Stopped as stopped:
            stopped.left = 'The explorer has ended.'
            raise
        finally:
            session.end()


def address_of(host: str, port: int, token: str) -> str:
    """URL of the page for a browser on this machine."""
    name = {'0.0.0.0': '127.0.0.1', '::': '[::1]'}.get(host, f'[{host}]' if ':' in host else host)
    return f'http://{name}:{port}/{token}{"/" if token else ""}'


def open_browser(address: str) -> None:
    """Open the page in a browser, if there is a screen."""
    has_windows = sys.platform in ('win32', 'darwin') or os.environ.get(
        'DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    try:
        if has_windows:  # Otherwise a browser would open in the terminal.
            webbrowser.open(address)
    except webbrowser.Error:
        pass
