import pytest

from tf_talking.media.containers import Timeline


def test_times_stay_as_they_are():
    timeline = Timeline()
    times = [10.0, 10.04, 10.5, 17.0]
    assert [timeline.place(seconds, 0.04) for seconds in times] == times


def test_what_begins_anew_goes_on_where_the_rest_ended():
    timeline = Timeline()
    placed = [timeline.place(seconds, 0.04) for seconds in (1.4, 1.44, 1.4, 1.44, 1.52)]
    assert placed == pytest.approx([1.4, 1.44, 1.44, 1.44, 1.52])  # within the jitter
    timeline = Timeline()
    placed = [timeline.place(seconds, 0.04) for seconds in (1.4, 2.4, 1.4, 2.4, 0.0)]
    assert placed == pytest.approx([1.4, 2.4, 2.44, 3.44, 3.48])


def test_what_has_no_time_follows():
    timeline = Timeline()
    assert [timeline.place(None, 0.5) for _ in range(3)] == [0, 0.5, 1]
