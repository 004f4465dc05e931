"""The USER figure, its intervals, and answers that can not count."""

import json

import numpy as np
import pytest

from tests.training.study.study_helpers import answers_of, make_study, write_json
from training.study.score import bootstrap, collect, read_answers, read_key, score


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """study → key, of one study with 4 triplets of each of three conditions."""
    _, _, key = make_study(tmp_path_factory.mktemp("study"), per_condition=4)
    return {key["study"]: key}


@pytest.fixture
def key(keys):
    return next(iter(keys.values()))


def test_user_is_the_fraction_of_fakes_found(key, keys, tmp_path):
    """One finds every fake, one those with T = 8, one none."""
    people = {"a": lambda t: True, "b": lambda t: t["t"] == 8, "c": lambda t: False}
    files = [write_json(tmp_path / f"{name}.json", answers_of(key, name, right)) for name, right in people.items()]
    answers, refused, copies = collect(files, keys)
    assert not refused and not copies
    rows = {(row["method"], row["t"]): row for row in score(answers, keys)}
    assert list(rows) == [("FT", 1), ("FT", 8), ("other", None)]
    assert [row["found"] for row in rows.values()] == [4, 8, 4]
    assert [row["user"] for row in rows.values()] == [0.3333, 0.6667, 0.3333]
    assert all(row["n"] == 12 and row["participants"] == 3 for row in rows.values())
    # Wilson for 4 of 12, z = 1.96: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    z, p, n = 1.959964, 1 / 3, 12
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = [(middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)]
    np.testing.assert_allclose(rows["FT", 1]["wilson_95"], expected, atol=1e-4)
    # Three people of whom one always finds it and two never: all draws from 0 to 1 occur.
    assert rows["FT", 1]["bootstrap_95"] == [0.0, 1.0]


def test_one_participant_has_no_bootstrap(key, keys, tmp_path):
    file = write_json(tmp_path / "a.json", answers_of(key, "a", lambda t: True))
    rows = score(collect([file], keys)[0], keys)
    assert all(row["user"] == 1.0 and row["bootstrap_95"] is None for row in rows)
    assert rows[0]["wilson_95"][0] < 1.0 == rows[0]["wilson_95"][1]


def test_bootstrap_sees_that_answers_of_one_person_hang_together():
    alike = np.array([[50, 100]] * 10)
    different = np.array([[0, 100], [100, 100]] * 5)
    assert bootstrap(alike, 0) == [0.5, 0.5]
    low, high = bootstrap(different, 0)
    # 10 draws of 0 or 1: standard deviation of the mean √(0.25 / 10) = 0.158.
    assert low == pytest.approx(0.2, abs=0.01) and high == pytest.approx(0.8, abs=0.01)
    few, many = np.array([[0, 1]] * 50), np.array([[99, 99]])
    assert bootstrap(np.concatenate([few, many]), 0)[1] > 0.66  # triplets count, not people
    assert bootstrap(different, 1) == bootstrap(different, 1)


def changed(key, change):
    answers = answers_of(key, "a", lambda t: True)
    change(answers)
    return json.dumps(answers)


BAD = {
    "nothing": (lambda key: "", "can not be read as JSON"),
    "half a file": (lambda key: changed(key, lambda a: None)[:200], "can not be read as JSON"),
    "a list": (lambda key: "[]", "expected a JSON object"),
    "another program's": (lambda key: '{"format": "x"}', "format: got 'x'"),
    "the key itself": (lambda key: json.dumps(key), "format: got 'tf_talking user study key"),
    "another study": (lambda key: changed(key, lambda a: a.update(study="0123")), "study: got '0123', the keys"),
    "no participant": (lambda key: changed(key, lambda a: a.pop("participant")), "participant: got None"),
    "no answers": (lambda key: changed(key, lambda a: a.update(answers=[])), "answers: there are"),
    "answers of another kind": (
        lambda key: changed(key, lambda a: a.update(answers=[1])),
        r"answers\[0\]: expected an",
    ),
    "unknown triplet": (
        lambda key: changed(key, lambda a: a["answers"][3].update(triplet="zz")),
        r"answers\[3\].triplet: 'zz' is not in the key",
    ),
    "picture of another triplet": (
        lambda key: changed(key, lambda a: a["answers"][1].update(chosen=a["answers"][0]["chosen"])),
        r"answers\[1\].chosen: .* is not of triplet",
    ),
    "a triplet twice": (
        lambda key: changed(key, lambda a: a["answers"].append(a["answers"][2])),
        r"answers\[12\].triplet: .* was answered before",
    ),
    "a place that there is not": (
        lambda key: changed(key, lambda a: a["answers"][0].update(position=4)),
        r"answers\[0\].position: got 4",
    ),
    "bytes": (lambda key: "\udcff", "can not be read as JSON"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_with_their_reason(key, keys, tmp_path, kind):
    text, message = BAD[kind]
    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    bad.write_bytes(text(key).encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message):
        read_answers(bad, keys)
    write_json(good, answers_of(key, "good", lambda t: True))
    answers, refused, _ = collect([bad, good], keys)
    assert [one.participant for one in answers] == ["good"] and list(refused) == [str(bad)]


def test_participants_count_once(key, keys, tmp_path):
    first = write_json(tmp_path / "1.json", answers_of(key, "a", lambda t: True))
    copy = write_json(tmp_path / "2.json", answers_of(key, "a", lambda t: True))
    again = write_json(tmp_path / "3.json", answers_of(key, " a", lambda t: True, run="later"))
    edited = write_json(tmp_path / "4.json", answers_of(key, "a", lambda t: False))
    answers, refused, copies = collect([first, copy, again, edited], keys)
    assert [one.file for one in answers] == ["1.json"] and copies == 1
    assert list(refused) == [str(again), str(edited)]
    assert all("is in 1.json too" in reason for reason in refused.values())


def test_several_studies_are_scored_together(key, keys, tmp_path):
    other = {**key, "study": "other"}
    both = {**keys, "other": other}
    files = [
        write_json(tmp_path / "1.json", answers_of(key, "a", lambda t: True)),
        write_json(tmp_path / "2.json", answers_of(other, "b", lambda t: False)),
    ]
    rows = score(collect(files, both)[0], both)
    assert [(row["user"], row["n"]) for row in rows] == [(0.5, 8)] * 3


def test_key_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_key(tmp_path / "key.json")
    with pytest.raises(ValueError, match="key.json: format None, expected"):
        read_key(write_json(tmp_path / "key.json", {}))
