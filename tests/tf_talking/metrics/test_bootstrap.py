"""The interval of a mean against SciPy's, and by hand."""

import numpy as np
import pytest
import scipy.stats

from tf_talking.metrics.bootstrap import mean_interval


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_equals_scipy(level):
    values = np.random.default_rng(3).gamma(2.0, 1.5, 25)  # skewed, as errors are
    expected = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=50_000,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(1),
        vectorized=True,
    ).confidence_interval
    low, high = mean_interval(values, level, resamples=50_000, seed=2)
    tolerance = 0.02 * (expected.high - expected.low)  # of 50,000 random draws
    assert low == pytest.approx(expected.low, abs=tolerance)
    assert high == pytest.approx(expected.high, abs=tolerance)


def test_covers_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    inside = 0
    for trial in range(300):
        low, high = mean_interval(generator.normal(5.0, 2.0, 40), 0.9, 500, seed=trial)
        inside += low < 5.0 < high
    assert 0.85 < inside / 300 < 0.95


def test_seed_decides_and_missing_values_do_not_count():
    values = np.array([0.1, 0.4, 0.2, 0.9])
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(np.append(values, np.nan), seed=1) == mean_interval(values, seed=1)
    assert mean_interval(np.full(5, 2.0)) == (2.0, 2.0)


def test_no_interval_where_there_is_none():
    for values in ([], [1.0], [1.0, np.nan], [1.0, np.inf, 2.0]):
        assert np.isnan(mean_interval(np.array(values))).all()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"got values \(2, 2\), expected \[V\]"):
        mean_interval(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="got level 95"):
        mean_interval(np.zeros(3), level=95)
