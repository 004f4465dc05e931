import numpy as np

from tf_talking.spread import spread


def test_is_even_with_both_ends():
    np.testing.assert_array_equal(spread(9, 3), [0, 4, 8])
    np.testing.assert_array_equal(spread(10, 4), [0, 3, 6, 9])


def test_gives_all_where_there_are_fewer():
    np.testing.assert_array_equal(spread(2, 5), [0, 1])
    np.testing.assert_array_equal(spread(0, 5), [])
    assert spread(2, 5).dtype == spread(9, 3).dtype  # both index an array


def test_never_takes_one_twice():
    for count in range(1, 40):
        for wanted in range(1, 40):
            assert len(set(spread(count, wanted))) == min(count, wanted)
