"""Growth stages: the part of a growing network that a level of detail needs (paper, section 2)."""
import math
from typing import NamedTuple, Self

from pgan.resolutions import log2_of


class Stage(NamedTuple):
    """The part of a lod that determines which layers are evaluated.

    It is a constant of a compiled step, so each stage has its own step.

    Attributes:
        floor_lod: log2 of full resolution / active resolution; 0 = full resolution.
        fading: whether the active resolution is blended with the one below it.
    """
    floor_lod: int
    fading: bool

    @classmethod
    def of(cls, lod: float, resolution: int) -> Self:
        """Return the stage of a lod in a network of the given full resolution.

        Lods below 0 or above that of 4x4 are clipped.
        """
        lod = min(max(float(lod), 0.0), log2_of(resolution) - 2)
        return cls(int(math.floor(lod)), lod != math.floor(lod))

    def resolution(self, full_resolution: int) -> int:
        """Return the width = height in pixels of the images of this stage."""
        return full_resolution >> self.floor_lod
