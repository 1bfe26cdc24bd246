"""Layout of TensorBoard's CUSTOM SCALARS page: no chart that a run leaves empty."""
import pytest

from pgan.reporting.statistics import layout_for


def titles_of(**options):
    layout = layout_for({name.replace('__', '.'): value for name, value in options.items()})
    assert all(layout.values())
    return {title for charts in layout.values() for title in charts}


@pytest.mark.parametrize('options, title', [
    (dict(train__metrics=['swd']), 'metrics'),
    (dict(dataset__validation=0.1), "lead of D's scores"),
    (dict(train__augment='ada'), 'probability of augmentation'),
])
def test_an_options_chart_is_shown_only_with_the_option(options, title):
    assert titles_of(**options) - titles_of() == {title}


def test_charts_of_gradients_and_penalties_only_for_losses_that_have_them():
    lsgan = dict(D_loss__func='loss.D_lsgan_acgan')
    both = {'norm of the gradient', 'penalties'}
    assert titles_of() - titles_of(**lsgan) == both
    assert both - titles_of(**lsgan, dataset__max_label_size='full') == {'norm of the gradient'}
    assert both <= titles_of(D_loss__func='my_losses.hinge')


def test_other_augmentation_and_no_metrics_have_no_chart():
    assert titles_of(train__augment='diffaugment', train__metrics=[], dataset__validation=0) == (
        titles_of())
    assert list(layout_for({})) == ['Losses', 'Growth', 'Speed']
