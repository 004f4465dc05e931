"""The page of a user study in a real browser: a participant's way from the start to the file."""

import json
import time

import pytest

from tests.training.study.browser import open_browser
from tests.training.study.study_helpers import make_study
from training.study.score import collect, read_key, score


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def page(study, tmp_path):
    """A browser of its own for each participant, at the start page of the study."""
    with open_browser(tmp_path) as browser:
        browser.resize(1000, 700)
        browser.open(study[0] / "index.html")
        yield browser


def start(page, name):
    page.click("#participant")
    page.type(name)
    page.click("#start .action")


def shown(page):
    """Names of the three pictures, once they can be answered."""
    page.wait("shown > 0")
    sources = page.run("[...document.querySelectorAll('.picture img')].map(i => i.src)")
    return [source.rpartition("/")[2] for source in sources]


def position_of_fake(page, key):
    fakes = {t["fake"] for t in key["triplets"].values()}
    names = shown(page)
    assert page.run("[...document.querySelectorAll('.picture img')].every(i => i.naturalWidth)")
    return next(i for i, name in enumerate(names) if name in fakes)


def downloaded(page):
    """The one file that the page has saved, when it is whole."""
    end = time.monotonic() + 30
    while not (files := list(page.downloads.glob("answers_*.json"))):
        assert time.monotonic() < end, "nothing was downloaded"
        time.sleep(0.02)
    assert len(files) == 1
    return files[0]


def test_participant_clicks_through_and_the_file_is_scored(page, study):
    """Someone who finds the fakes of FT with T = 1 only, by mouse."""
    folder, key_file, key = study
    start(page, "Ann Å. 1")
    seen = []
    for number in range(9):
        assert page.run("document.querySelector('#position').textContent") == f"{number + 1} of 9"
        fake = position_of_fake(page, key)
        triplet = next(t for t in key["triplets"].values() if shown(page)[fake] == t["fake"])
        found = (triplet["method"], triplet["t"]) == ("FT", 1)
        chosen = fake if found else (fake + 1) % 3
        seen.append((shown(page)[chosen], chosen + 1))
        page.click(f".picture:nth-child({chosen + 1})")
        page.wait(f"state.answers.length === {number + 1}")
    page.wait("!document.querySelector('#end').hidden")
    file = downloaded(page)
    assert page.run("document.querySelector('#file').textContent") == file.name
    assert not page.problems()
    assert all(url.startswith((folder.as_uri(), "blob:")) for url in page.requests())
    saved = json.loads(file.read_text())
    assert [(a["chosen"], a["position"]) for a in saved["answers"]] == seen
    assert saved["participant"] == "Ann Å. 1" and saved["started"] < saved["finished"]
    assert all(0 < answer["seconds"] < 600 for answer in saved["answers"])

    keys = {key["study"]: read_key(key_file)}
    answers, refused, copies = collect([file], keys)
    assert (len(answers), refused, copies) == (1, {}, 0)
    rows = score(answers, keys)
    assert [(r["method"], r["t"], r["user"], r["n"]) for r in rows] == [
        ("FT", 1, 1.0, 3),
        ("FT", 8, 0.0, 3),
        ("other", None, 0.0, 3),
    ]

    file.unlink()  # lost on the way: the page still has it, after a reload too
    page.reload()
    page.wait("!document.querySelector('#end').hidden")
    page.click("#save")
    assert json.loads(downloaded(page).read_text()) == saved
    page.click("#again")
    page.accept()
    page.wait("!document.querySelector('#start').hidden && localStorage.length === 0")


def test_keys_and_a_reload_in_the_middle(page, study):
    page.press("1")  # on the start page: not an answer
    start(page, "2")
    chosen = []
    for number in range(4):
        chosen.append(shown(page)[number % 3])
        page.press("123"[number % 3])
        page.wait(f"state.answers.length === {number + 1}")
    page.press("4")
    expected = shown(page)
    page.press("2", repeat=True)  # held down
    assert page.run("state.answers.length") == 4
    page.reload()
    assert shown(page) == expected and page.run("state.answers.length") == 4
    for number in range(4, 9):
        chosen.append(shown(page)[2])
        page.press("3")
        page.wait(f"state.answers.length === {number + 1}")
    saved = json.loads(downloaded(page).read_text())
    assert [answer["chosen"] for answer in saved["answers"]] == chosen
    assert len({answer["triplet"] for answer in saved["answers"]}) == 9


def test_two_keys_at_once_are_one_answer(page, study):
    start(page, "3")
    shown(page)
    pressed = "document.dispatchEvent(new KeyboardEvent('keydown', {key: '1'}))"
    assert page.run(f"{pressed}; {pressed}; state.answers.length") == 1


def test_order_is_the_participants_own(page, study):
    def order_for(name):
        page.run(f"state = {{participant: {json.dumps(name)}, answers: []}}, arrange()")
        return page.run("order")

    first, again, other = order_for("1"), order_for("1"), order_for("2")
    assert first == again != other
    names = sorted(triplet["id"] for triplet in first)
    assert names == sorted(study[2]["triplets"]) == sorted(triplet["id"] for triplet in other)
    # Over many participants the fake stands everywhere equally often.
    fakes = {t["fake"] for t in study[2]["triplets"].values()}
    places = [
        next(i for i, image in enumerate(triplet["images"]) if image in fakes)
        for n in range(100)
        for triplet in order_for(f"p{n}")
    ]
    counts = [places.count(i) for i in range(3)]
    assert sum(counts) == 900 and min(counts) > 240  # 300 ± 14


def test_missing_picture_is_named_and_can_not_be_answered(page, study):
    start(page, "4")
    name = shown(page)[1]
    page.run("state = {...state, answers: []}, keep()")
    image = study[0] / "images" / name
    hidden = image.rename(image.with_suffix(".away"))
    try:
        page.reload()
        page.wait("!document.querySelector('#missing').hidden")
        assert name in page.run("document.querySelector('#missing').textContent")
        page.press("1")
        page.click(".picture")
        assert page.run("state.answers.length") == 0
    finally:
        hidden.rename(image)


@pytest.mark.parametrize("width, height", [(320, 568), (375, 667), (667, 375), (1280, 800)])
def test_everything_is_to_be_seen_without_scrolling(page, width, height):
    page.resize(width, height)
    start(page, "5")
    shown(page)
    boxes = page.run(
        "[...document.querySelectorAll('.picture img')].map(i => i.getBoundingClientRect())"
        ".map(b => [b.left, b.top, b.right, b.bottom])"
    )
    for left, top, right, bottom in boxes:
        assert 0 <= left and 0 <= top and right <= width and bottom <= height
        assert right - left >= 120
    areas = {round((b[2] - b[0]) * (b[3] - b[1])) for b in boxes}
    assert max(areas) - min(areas) < 0.01 * max(areas)
    assert page.run("document.documentElement.scrollWidth") <= width


def test_it_can_be_used_with_a_screen_reader(page):
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.querySelector('#participant').labels.length") == 1
    assert page.run("document.querySelector('#start').checkValidity()") is False  # a name is needed
    start(page, "6")
    shown(page)
    names = page.run("[...document.querySelectorAll('.picture img')].map(i => i.alt)")
    assert names == ["Picture 1", "Picture 2", "Picture 3"]
    assert page.run("document.activeElement.id") == "task"
    assert page.run("document.querySelector('#position').getAttribute('role')") == "status"
