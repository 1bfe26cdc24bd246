"""The program's internals; the modules that users of the original know by name lie outside it."""
from pgan import prerequisites

prerequisites.check()
