"""The helpers in tests/support."""
import collections

from tests.support.damage import KINDS, damaged


def test_damage_is_damage():
    """Nearly all versions differ from the original, and all kinds occur."""
    data = bytes(range(256)) * 8
    cases = list(damaged(data, 400, seed=0))
    counts = collections.Counter(case.partition(',')[0] for case, _ in cases)
    assert len(counts) == len(KINDS) and set(counts.values()) == {50}
    assert sum(version != data for _, version in cases) > 390
