"""The chaos of the benchmark, for a moment: servers are killed while a video is animated."""

from benchmarks import chaos


def test_a_video_is_whole_whatever_becomes_of_the_servers(tmp_path):
    figures = chaos.run(tmp_path, seconds=15, seed=1, jobs=("animate",), frames=25, clips=0)
    assert figures["faults"] == []
    assert figures["animate_runs"] >= 1
    assert figures.get("servers_killed", 0) + figures.get("servers_stopped", 0) >= 1
