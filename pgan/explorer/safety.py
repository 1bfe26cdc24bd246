"""Access control and request validation.

Any page in a browser can send requests to servers on the same machine. So the Host header of a
request must be a name that an attacker cannot point at this server (DNS rebinding), and the request
must originate from the explorer's own page.
"""
import hmac
import ipaddress
import secrets

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

MOST_JSON = 64 << 10  # bytes
MOST_UPLOAD = 32 << 20  # bytes per picture
LONGEST_QUERY = 60_000  # characters: a sheet of long recipes; http.server reads at most 65,536
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
          "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")
HEADERS = {
    'Content-Security-Policy': POLICY, 'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer', 'Cross-Origin-Resource-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin', 'X-Frame-Options': 'DENY'
}


class Refused(Exception):
    """Raised to refuse a request.

    Attributes:
        status: HTTP status code.
        message: error message for the page.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Checks whether requests come from the explorer's own page.

    Args:
        host: address that the server listens on.
        port: port of the server.

    Attributes:
        token: random first component of all paths; '' if only this machine can reach the server.
    """

    def __init__(self, host: str, port: int):
        self.token = '' if is_loopback(host) else secrets.token_urlsafe(24)
        names = {'localhost', '127.0.0.1', '[::1]', f'[{host}]' if ':' in host else host}
        self._hosts = {f'{name}:{port}' for name in names} | (names if port == 80 else set())

    def path(self, request: Request) -> str:
        """Check a request and return its path without the token.

        Raises:
            Refused: the request does not come from the explorer's own page.
        """
        host = request.environ.get('HTTP_HOST', '').lower()
        if not self.token and host not in self._hosts:
            raise Refused(403, 'The host name is not one of this server. Use the address that the '
                               'terminal shows.')
        path = request.path
        if self.token:
            given, path = path[1:].partition('/')[0], path[1 + len(self.token):]
            if not hmac.compare_digest(given.encode('utf-8', 'replace'), self.token.encode()):
                raise Refused(403, 'The address lacks the token that the terminal shows.')
        self._check_origin(request.headers, host, path)
        if len(request.query_string) > LONGEST_QUERY:
            raise Refused(414, 'The address is too long.')
        return path

    def _check_origin(self, headers: Headers, host: str, path: str) -> None:
        origin, site = headers.get('Origin'), headers.get('Sec-Fetch-Site', 'none')
        is_visit = path == '/' and headers.get('Sec-Fetch-Mode') == 'navigate'
        if origin is not None and origin not in (f'http://{host}', f'https://{host}'):
            raise Refused(403, 'The request comes from another page.')
        if site not in ('none', 'same-origin') and not is_visit:
            raise Refused(403, 'The request comes from another page.')


def read_body(request: Request, most: int, *types: str) -> bytes:
    """Read the body of a request.

    Args:
        request: the request.
        most: maximum size in bytes.
        types: accepted prefixes of the media type. They must exclude the types that HTML forms
            send, so that browsers require a CORS preflight from other pages.

    Raises:
        Refused: the body is too large, incomplete, or of another type.
    """
    if not request.mimetype.startswith(types):
        raise Refused(415, f'Expected a body of type {" or ".join(types)}. Received: '
                           f'{request.mimetype[:80]!r}.')
    length = request.content_length
    if length is None:
        raise Refused(411, 'Expected a Content-Length header.')
    if length > most:
        raise Refused(413, f'Expected at most {most >> 10} kB. Received: {length >> 10} kB.')
    data = request.stream.read(most + 1)
    if len(data) != length:
        raise Refused(400, 'The body is shorter than its Content-Length.')
    return data


def secured(response: Response) -> Response:
    """Add the security headers to a response, and return it."""
    response.headers.extend(HEADERS)
    response.headers.setdefault('Cache-Control', 'no-store')
    return response
