"""pgan/reporting/charts.py: curves as SVG."""
import re

import pytest

from pgan.reporting.charts import chart, thin, ticks


def test_a_curve_goes_where_its_points_are():
    svg = chart('t', {'a': [(0, 0.0), (10, 1.0)]})
    (x0, y0), (x1, y1) = [
        tuple(map(float, point.split(',')))
        for point in re.search(r'points="([^"]*)"', svg)[1].split()
    ]
    assert x0 < x1 and y0 > y1  # y grows downwards in SVG.
    zero, one = (float(re.search(rf'y="([\d.]+)" class="y">{text}<', svg)[1]) - 4
                 for text in ('0', '1'))
    assert (y0, y1) == (pytest.approx(zero, abs=0.2), pytest.approx(one, abs=0.2))


def test_gaps_levels_and_nothing_to_draw():
    assert chart('t', {'a': [(0, None), (1, float('nan'))]}) == ''
    svg = chart('<t>', {'a<b': [(0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, 5.0)]}, {'Reals': 9.0})
    assert svg.count('<polyline') == 2
    for text in ('class="level"', '&lt;t&gt;', 'a&lt;b', 'Reals 9'):
        assert text in svg
    assert chart('t', {'a': [(3, 5.0)]}).count('<circle') == 1  # a single value


def test_long_curves_are_thinned_to_means():
    points = thin([(i, i % 2) for i in range(10_000)])
    assert len(points) == 300 and all(abs(y - 0.5) < 0.02
                                      for _, y in points) and points[-1][0] > 9900


@pytest.mark.parametrize('low, high', [(0, 1), (-3, 3.5), (1e-9, 3e-9), (1e6, 1e6 + 10),
                                       (-1e12, 1e12)])
def test_ticks_are_round_and_few(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 8 and all(low <= value <= high * (1 + 1e-9) + 1e-12
                                        for value in found)
