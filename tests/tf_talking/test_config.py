"""Config: presets, validation, JSON, hash."""

import dataclasses
import json

import pytest

from tf_talking.config import ABLATIONS, PRESETS, ModelConfig, ablate, config_hash, from_json, get_preset, to_json


def test_paper_preset_has_the_papers_numbers():
    config = get_preset("paper")
    plan = config.model.plan()
    assert [block.outputs for block in plan.down] == [64, 128, 256, 512, 512, 512]
    assert [block.outputs for block in plan.generator[:4]] == [64, 128, 256, 512]
    assert (config.model.embedding_size, config.model.adain_size) == (512, 13_056)
    assert (config.losses.content_vgg19, config.losses.content_face) == (1e-2, 2e-3)
    assert (config.losses.feature_matching, config.losses.match) == (10.0, 80.0)
    assert (config.train.learning_rate, config.train.discriminator_learning_rate) == (5e-5, 2e-4)
    assert (config.train.k_shot, config.train.discriminator_steps) == (8, 2)
    assert config.finetune.epochs == 40
    # Weight 10 for each block of D, not for their mean.
    assert not config.losses.feature_matching_mean
    assert (config.losses.vgg_layers, config.losses.vgg_pooling, config.losses.face_features) == (
        "five",
        "max",
        "vggface",
    )
    assert (config.losses.adversarial, config.losses.match_detach_w) == (1.0, True)
    assert (config.losses.face_crop, config.losses.match_per_frame, config.losses.detach_w_from_fakes) == (
        "frame",
        False,
        False,
    )
    assert (config.train.adam_beta_1, config.train.adam_beta_2, config.train.adam_epsilon) == (0.0, 0.999, 1e-5)
    assert (config.train.ema_decay, config.finetune.ema_decay) == (0.999, 0.972)
    assert (config.finetune.learning_rate, config.finetune.discriminator_learning_rate) == (5e-5, 2e-4)
    assert (config.finetune.discriminator_steps, config.finetune.batch_size) == (2, 8)
    assert (config.model.attention, config.model.attention_down, config.model.attention_up) == (True, 32, 64)
    assert (config.model.pooling, config.model.spectral_norm, config.model.spectral_norm_on_w) == (
        "sum_relu",
        True,
        False,
    )
    assert (config.model.embedder_bottleneck, config.model.generator_bottleneck) == (4, 16)
    assert config.losses.content_pixel == 0.0  # not a term of the paper


def test_other_published_choices_stand_as_they_were_published():
    fsth, v2 = get_preset("fsth"), get_preset("v2_weights")
    assert (fsth.losses.feature_matching_mean, fsth.losses.vgg_pooling, fsth.losses.vgg_layers) == (
        True,
        "average",
        "all",
    )
    assert (fsth.model.attention, fsth.model.pooling, fsth.train.discriminator_steps) == (False, "relu_sum", 1)
    assert (fsth.losses.face_crop, fsth.losses.match_per_frame, fsth.losses.detach_w_from_fakes) == (
        "landmarks",
        True,
        True,
    )
    assert fsth.model.spectral_norm_on_w
    assert (v2.losses.content_vgg19, v2.losses.content_face, v2.losses.match) == (1.5e-1, 2.5e-2, 10.0)
    assert v2.losses.feature_matching == 10.0
    small = [c for name, c in PRESETS.items() if c.model.image_size < 256 and not name.startswith("paper")]
    assert len(small) >= 4 and all(config.losses.feature_matching_mean for config in small)


def test_presets_of_the_design_exist():
    assert {"paper", "fsth", "ff", "tiny", "small", "v2_weights"} <= set(PRESETS)
    assert get_preset("ff").losses.match == 0.0
    assert get_preset("small").model.image_size == 128
    assert get_preset("tiny").model.image_size == 64


def test_only_the_preset_for_few_people_changes_what_people_look_like():
    trains = {name: config.train for name, config in PRESETS.items()}
    changed = [n for n, t in trains.items() if t.mirror or t.stretch or t.color_jitter]
    assert changed == ["small_budget", "real128"]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_round_trip(name):
    config = get_preset(name)
    assert from_json(to_json(config)) == config


def test_config_of_a_run_before_a_field_was_there_still_loads():
    config = get_preset("tiny")
    values = json.loads(to_json(config))
    for field in ("psi_epochs", "psi_learning_rate"):
        del values["finetune"][field]
    assert from_json(json.dumps(values)) == config


def test_ablations_change_what_they_say_only():
    for name, sections in ABLATIONS.items():
        before = json.loads(to_json(get_preset("small")))
        after = json.loads(to_json(get_preset(f"small_{name}")))
        for section, fields in sections.items():
            for field, value in fields.items():
                assert before[section][field] != value, f"{name}: {field} changes nothing"
                before[section][field] = value
        assert after == {**before, "name": f"small_{name}"}
    assert get_preset("paper_no_match").losses.match == 0.0
    assert get_preset("paper_no_match").finetune.w_init == "random"
    assert get_preset("paper_no_match").train.k_shot == 1  # as appendix A.2 has it
    with pytest.raises(ValueError, match="unknown ablation 'no_eyes', expected one of"):
        ablate(get_preset("tiny"), "no_eyes")


def test_hash_depends_on_what_is_served_only():
    config = get_preset("tiny")
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, k_shot=2))
    thicker = dataclasses.replace(config, landmarks=dataclasses.replace(config.landmarks, line_thickness=3))
    assert config_hash(longer) == config_hash(config)
    assert config_hash(thicker) != config_hash(config)
    assert len(config_hash(config)) == 12


def test_hash_of_the_paper_stays_what_it_was():
    """It is in every person card and exported model; a later field must not make them strangers."""
    assert config_hash(get_preset("paper")) == "e64764f8332e"


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "pooling", "max"),
        ("model", "image_size", 100),
        ("model", "embedder_bottleneck", 512),
        ("model", "embedder_bottleneck", 256),
        ("model", "generator_bottleneck", 0),
        ("model", "generator_bottleneck", 48),
        ("losses", "vgg_pooling", "min"),
        ("losses", "face_features", "arcface"),
        ("train", "k_shot", 0),
        ("train", "learning_rate", 0.0),
        ("train", "ema_decay", 1.0),
        ("finetune", "epochs", 0),
        ("finetune", "discriminator_steps", 0),
        ("finetune", "psi_learning_rate", -1e-3),
        ("finetune", "ema_decay", 1.5),
        ("landmarks", "line_thickness", 9),
    ],
)
def test_wrong_value_names_the_field(section, field, value):
    values = json.loads(to_json(get_preset("paper")))
    values[section][field] = value
    with pytest.raises(ValueError, match=f"{section}.{field}"):
        from_json(json.dumps(values))


def test_unknown_field_and_wrong_type_are_named():
    values = json.loads(to_json(get_preset("paper")))
    values["train"]["k_shots"] = 8
    with pytest.raises(ValueError, match="run/config.json.train.*k_shots"):
        from_json(json.dumps(values), "run/config.json")
    del values["train"]["k_shots"]
    values["train"]["k_shot"] = "eight"
    with pytest.raises(ValueError, match="train.k_shot: got 'eight', expected int"):
        from_json(json.dumps(values))


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match="'tiny'"):
        get_preset("huge")


def test_adain_size_follows_from_the_shapes():
    assert ModelConfig(num_residual_blocks=0).adain_size == 13_056 - 2 * 4 * 2 * 512
