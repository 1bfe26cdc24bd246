"""The program's own rooms; what users of the original know by name stands beside this package."""
from pgan import prerequisites

prerequisites.check()
