"""Table 2: the times of few-shot learning and inference, and what is said about them."""

import dataclasses
import json

import pytest

from benchmarks import table2
from benchmarks.measuring.finetuning import of_epochs, timed_epochs
from benchmarks.measuring.networks import random_networks
from tf_talking.config import get_preset


@pytest.fixture(scope="module")
def figures():
    """Of `tiny`, made smaller still, without D': two personal models are traced."""
    tiny = get_preset("tiny")
    model = dataclasses.replace(
        tiny.model,
        image_size=32,
        min_channels=8,
        max_channels=16,
        embedder_bottleneck=16,
        generator_bottleneck=16,
        num_residual_blocks=1,
        attention=False,
        spectral_norm=False,
    )
    losses = dataclasses.replace(tiny.losses, content_vgg19=0.0, content_face=0.0)
    finetune = dataclasses.replace(tiny.finetune, adversarial=False)
    config = dataclasses.replace(tiny, model=model, losses=losses, finetune=finetune)
    return table2.measure(random_networks(config), {}, [1, 9], epochs=40, measured_epochs=1, rounds=1)


def test_paper_batches_and_one_of_forty_epochs(figures):
    one, nine = figures["ft"][1], figures["ft"][9]
    assert (one["batch_size"], one["steps_an_epoch"]) == (1, 1)
    assert (nine["batch_size"], nine["steps_an_epoch"]) == (8, 2)
    for row in (one, nine):
        assert (row["timed_epochs"], row["epochs"], row["extrapolated"]) == (1, 40, True)
        assert row["seconds"] == pytest.approx(40 * row["epoch_seconds"] + row["embed_seconds"])


def test_the_last_line_is_json_with_all_figures(figures):
    facts = {"preset": "tiny", "image_size": 32, "precision": "float32", "jit_compile": False}
    lines = table2.report(facts, figures).splitlines()
    found = json.loads(lines[-1])
    assert found.keys() >= {*facts, "ff", "ft", "inference", "paper", "machine"}
    assert found["ff"].keys() == found["ft"].keys() == {"1", "9"}
    for seconds in (*found["ff"].values(), found["inference"]):
        assert seconds.keys() == {"exported", "keras"} and min(seconds.values()) > 0
    assert found["machine"]["cpu"] in lines[-3] and "float32" in lines[-3]


def test_the_table_has_the_papers_figures_and_says_what_is_extrapolated():
    row = of_epochs([3.0, 2.0], 40) | {"batch_size": 8, "prepare_seconds": 0.5}
    figures = {
        "ff": {8: {"exported": 0.1, "keras": 0.25}},
        "ft": {8: row, 9: row | {"extrapolated": False}},
        "inference": {"exported": 0.01, "keras": 0.02},
    }
    rows = table2.table(figures).splitlines()[2:]
    assert rows[0] == "| FF (8) | 0.1 | 0.25 | 0.138 |  |"
    assert rows[1].startswith("| FT (8) | 80 | – | 85.48 | batches of 8; 1 of 40 epochs timed;")
    assert rows[2].startswith("| FT (9) | 80 | – | – | batches of 8; all 40 epochs timed;")
    assert rows[3] == "| inference, a frame | 0.01 | 0.02 | 0.139 |  |"


def test_of_epochs():
    figures = of_epochs([10.0, 2.0, 4.0], 40)
    assert figures["seconds"] == 120 and figures["epoch_seconds"] == 3
    assert figures["extrapolated"] and figures["trace_seconds"] == 7
    figures = of_epochs([10.0, 5.0, 2.0, 4.0], 40, warm_up=2)
    assert figures["seconds"] == 120 and figures["timed_epochs"] == 2
    assert figures["trace_seconds"] == 9
    figures = of_epochs([1.0, 2.0, 4.0], 2)
    assert figures["seconds"] == 6 and not figures["extrapolated"]
    assert figures["trace_seconds"] == 0


def test_timed_epochs():
    assert timed_epochs(40, 2) == 2
    assert timed_epochs(40, 0) == timed_epochs(40, 40) == timed_epochs(40, 41) == 40


@pytest.mark.parametrize("texts", [["1", "x"], ["0"], [], ["-1", "8"]])
def test_shots_that_are_no_numbers_of_frames(texts):
    with pytest.raises(ValueError, match="--shots.*positive whole numbers"):
        table2.parse_shots(texts)
