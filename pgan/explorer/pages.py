"""Static files of the page, served from memory: no request's path reaches the disk."""
import pathlib

from werkzeug.wrappers import Response

FOLDER = pathlib.Path(__file__).parent / 'page'
_TYPES = {
    '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml'
}


class Pages:
    """All files of the folder `page`, by name."""

    def __init__(self) -> None:
        self._files = {path.name: (path.read_bytes(), _TYPES[path.suffix])
                       for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}

    def response(self, name: str) -> Response | None:
        """Response with a file; None if there is no file of this name."""
        if name not in self._files:
            return None
        data, kind = self._files[name]
        return Response(data, content_type=kind, headers={'Cache-Control': 'no-cache'})
