"""Fuzzed requests to the toy models: each is answered as documented, and the server lives on."""

import time

import pytest

from benchmarks.attacks.fuzzer import Fuzzer, attack
from benchmarks.attacks.rest import RestFuzzer
from benchmarks.measuring.memory import resident_mib


@pytest.mark.parametrize("name", ["toy_server", "batching_server"])
def test_malformed_requests_are_answered(request, name):
    server = request.getfixturevalue(name)
    # The toy decoder has no limit on pixels: it decodes the PNG, so a smaller one must do.
    fuzzer = Fuzzer(server.target, ("generator", "embedder", "decoder"), seed=7, png_side=2500)
    assert {"huge_png", "truncated_jpeg", "not_finite"} <= set(fuzzer.kinds)
    expected = fuzzer.good_answers()
    rest = RestFuzzer(server.rest.removeprefix("http://"), fuzzer.good, seed=7)
    for attacker in (fuzzer, rest):
        attack(attacker, range(1000, 1060), clients=2)  # pools and arenas reach their size
    before = resident_mib(server.process.pid)
    result = attack(fuzzer, range(150), clients=2)
    assert result["not_allowed"] == []
    for kind in ("wrong_shape", "wrong_type", "wrong_names", "fake_jpeg", "random_bytes"):
        assert result["kinds"][kind].get("INVALID_ARGUMENT", 0) > 3, kind
    result = attack(rest, range(120), clients=2)
    assert result["not_allowed"] == []
    for kind in ("mutated_json", "too_much", "wrong_value"):
        assert result["kinds"][kind].get("400", 0) > 3, kind
    assert fuzzer.good_answers() == expected
    # A decoded picture of 100 megapixels has 300; pools of threads still grow a little here. What
    # is free is given back within seconds.
    end = time.monotonic() + 30
    while resident_mib(server.process.pid) >= before + 150:
        assert time.monotonic() < end
        time.sleep(0.5)
    fuzzer.close()
    assert server.process.poll() is None
