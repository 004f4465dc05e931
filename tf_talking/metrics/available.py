"""Which metrics an evaluation can measure, by what files it was given, and measuring one video.

What a metric needs besides frames is named by the caller: FID's Inception features, CSIM's
recogniser, the deep features' VGG19, the detector of the landmark error. A metric whose file is not
given is left out, never replaced by something else.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from tf_talking.content.networks import build_content_networks
from tf_talking.content.weights import describe
from tf_talking.landmarks.detectors import get_detector
from tf_talking.metrics import registry
from tf_talking.metrics.face_recognition import load_recogniser
from tf_talking.metrics.inception import load_inception
from tf_talking.metrics.registry import Measurement

ORDER = ("fid", "ssim", "csim", "l1", "face_l1", "psnr", "perceptual", "landmark_error", "flicker")


@dataclasses.dataclass
class EvaluationMetrics:
    """Metrics that can be measured.

    Attributes:
      names: in the order of the report.
      needs: what they need, by the names of `Metric.needs`, but "landmarks".
      sources: metric -> file, package or detector that it depends on.
      left_out: metric -> the argument of `build_metrics` that it would take.
    """

    names: list[str]
    needs: dict[str, Callable]
    sources: dict[str, str]
    left_out: dict[str, str]

    def measure(self, real: np.ndarray, fake: np.ndarray, landmarks: np.ndarray) -> list[Measurement]:
        """Every metric but FID on the frames of one video, uint8 [N, S, S, 3] twice."""
        found = []
        for name in self.names:
            if name == "fid":
                continue
            given = {need: self.needs.get(need, landmarks) for need in registry.get(name).needs}
            found.append(registry.measure(name, real, fake, **given))
        return found

    def features(self, frames: np.ndarray) -> np.ndarray | None:
        """Inception features [N, D] of frames; None where FID is not measured."""
        return self.needs["features"](frames) if "fid" in self.names else None

    def close(self) -> None:
        """Frees the detector."""
        if "detector" in self.needs:
            self.needs["detector"].close()


def build_metrics(
    wanted: list[str] | None,
    scheme: str,
    image_size: int,
    *,
    inception: str | None = None,
    recogniser: str | None = None,
    vgg19: str | None = None,
    landmark_detector: str | None = None,
    consecutive: bool = False,
) -> EvaluationMetrics:
    """Loads what the metrics need.

    Args:
      wanted: names; None: all that can be measured.
      scheme: of the driving landmarks.
      image_size: S, pixels.
      inception: `.npz` file of the Inception features, or None.
      recogniser: `.keras` or `.onnx` file, or an InsightFace name, or None.
      vgg19: "auto" or a file, or None.
      landmark_detector: one of `detectors.DETECTORS`, or None.
      consecutive: whether the hold-out frames follow one another.

    Raises:
      FileNotFoundError, ValueError: a file that is missing or not what it should be, an unknown
        metric, or one in `wanted` that can not be measured.
    """
    for name in wanted or ():
        registry.get(name)
    chosen = [n for n in ORDER if wanted is None or n in wanted]
    chosen += [n for n in registry.names() if n not in ORDER and n in (wanted or ())]
    # metric -> the argument that it depends on, that argument's value, its need, what loads it
    sources: Mapping[str, tuple] = {
        "fid": ("inception", inception, "features", load_inception),
        "csim": ("recogniser", recogniser, "recogniser", load_recogniser),
        "perceptual": ("vgg19", vgg19, "network", lambda f: _load_vgg19(f, image_size)),
        "landmark_error": (
            "landmark_detector",
            landmark_detector,
            "detector",
            lambda name: get_detector(name, scheme, video=False),
        ),
    }
    found = EvaluationMetrics([], {}, {}, {})
    for name in chosen:
        argument, given, need, load = sources.get(name, (None, None, None, None))
        if name == "flicker" and not consecutive:
            found.left_out[name] = "consecutive"
        elif argument and not given:
            found.left_out[name] = argument
        else:
            found.names.append(name)
            if argument:
                found.needs[need] = loaded = load(given)
                is_file = pathlib.Path(given).is_file()
                source = describe(pathlib.Path(given)) if is_file else given
                found.sources[name] = getattr(loaded, "weights_source", source)
    for name in wanted or ():
        if name in found.left_out:
            raise ValueError(f"metrics: {name} can not be measured without {found.left_out[name]}")
    return found


def _load_vgg19(weights: str, image_size: int) -> Callable:
    """Always the five layers with maximum pooling, whatever the loss uses, so that runs compare."""
    return build_content_networks(weights, "none", image_size=image_size)["vgg19"]
