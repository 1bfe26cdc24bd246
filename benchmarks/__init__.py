"""What this program's speed is made of: `python -m benchmarks`, and a module a measurement."""
import sys

if sys.version_info < (3, 11):  # noqa: UP036 -- an old Python cannot read the modules here
    try:
        import pgan  # noqa: F401 -- this says which Python is needed
    except ImportError as error:
        sys.exit('error: ' + str(error))
