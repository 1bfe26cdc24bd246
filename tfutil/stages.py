"""Growth stages: what part of a growing network a level of detail needs (paper, section 2)."""
import math
from typing import NamedTuple, Self

from pgan.resolutions import log2_of


class Stage(NamedTuple):
    """The part of a lod that decides which layers exist.

    It is known when a step is compiled, so each stage has a step of its own.

    Attributes:
        floor_lod: halvings between the full resolution and the active one: 0 = full resolution.
        fading: whether the active resolution is still being blended with the one below it.
    """
    floor_lod: int
    fading: bool

    @classmethod
    def of(cls, lod: float, resolution: int) -> Self:
        """The stage of a lod in a network of the given full resolution.

        Lods beyond 4x4 or below 0 are clipped.
        """
        lod = min(max(float(lod), 0.0), log2_of(resolution) - 2)
        return cls(int(math.floor(lod)), lod != math.floor(lod))

    def resolution(self, full_resolution: int) -> int:
        """Width = height in pixels of the images this stage works on."""
        return full_resolution >> self.floor_lod
