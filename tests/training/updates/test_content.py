"""Terms that are left out have weight 0; only networks with a weight are built."""

import pytest

from tf_talking.config import get_preset
from tf_talking.config.overrides import replace_losses
from training.updates.content import ContentFiles


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        (ContentFiles(), set()),
        (ContentFiles(vgg19="none"), {"content_vgg19"}),
        (ContentFiles(face_features="none"), {"content_face"}),
        (ContentFiles(face_features="mobilefacenet"), set()),
    ],
)
def test_what_is_left_out_has_no_weight(files, left_out):
    before = get_preset("paper")
    losses = files.resolve(before).losses
    for name in ("content_vgg19", "content_face"):
        expected = 0.0 if name in left_out else getattr(before.losses, name)
        assert getattr(losses, name) == expected
    assert losses.face_features == (files.face_features or before.losses.face_features)


def test_networks_without_a_weight_are_not_built():
    config = replace_losses(get_preset("tiny"), content_vgg19=1.0, content_face=0.0)
    networks = ContentFiles(vgg19="random", face_weights="/missing.h5").build(config)
    assert set(networks) == {"vgg19"} and networks["vgg19"].weights_source == "random"
