"""Speed benchmarks: `python -m benchmarks` runs all of them, one module per measurement."""
import sys

if sys.version_info < (3, 11):  # noqa: UP036 -- an old Python cannot parse the modules here
    try:
        import pgan  # noqa: F401 -- this says which Python is needed
    except ImportError as error:
        sys.exit('error: ' + str(error))
