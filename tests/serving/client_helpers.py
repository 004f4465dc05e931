"""People, landmark tracks and a scripted server for the tests of clients and programs."""

import concurrent.futures
import threading

import cv2
import grpc
import numpy as np
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from serving.protocol.tensors import decode, encode
from tf_talking.people.card import PersonCard

SIZE, POINTS, ADAIN = 64, 68, 6
BACKGROUND = (40, 80, 120)


def make_card(**changes) -> PersonCard:
    """Somebody whom the toy generator draws before BACKGROUND."""
    fields = dict(
        name="Ada",
        model="generator",
        adain_params=np.array([*BACKGROUND, 0, 0, 0], np.float32),
        embedding=np.zeros(4, np.float32),
        config_hash="0123456789ab",
        image_size=SIZE,
        detector="mediapipe",
        scheme="ibug68",
        created="2024-01-02T03:04:05+00:00",
        num_frames=8,
    )
    return PersonCard(**fields | changes)


def track(length: int) -> np.ndarray:
    """Frame i has all its points at (i + 4, 20)."""
    landmarks = np.full((length, POINTS, 2), 20, np.float32)
    landmarks[:, :, 0] = np.arange(length)[:, None] + 4
    return landmarks


def column_of_point(frame: np.ndarray) -> int:
    """Where the toy generator drew the points of a frame of `track`."""
    return int(frame[20].sum(-1).argmax())


class ScriptedServer:
    """Answers Predict by a function of (request, number of the request)."""

    def __init__(self, signatures, answer, credentials=None):
        self._signatures, self._answer, self._count = signatures, answer, -1
        self._lock = threading.Lock()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        handlers = {
            "Predict": grpc.unary_unary_rpc_method_handler(
                self._predict, predict_pb2.PredictRequest.FromString, predict_pb2.PredictResponse.SerializeToString
            ),
            "GetModelMetadata": grpc.unary_unary_rpc_method_handler(
                self._metadata,
                get_model_metadata_pb2.GetModelMetadataRequest.FromString,
                get_model_metadata_pb2.GetModelMetadataResponse.SerializeToString,
            ),
        }
        name = "tensorflow.serving.PredictionService"
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        if credentials is None:
            port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.target = f"127.0.0.1:{port}"
        self.server.start()

    def _predict(self, request, context):
        with self._lock:
            self._count += 1
            number = self._count
        return self._answer(request, number, context)

    def _metadata(self, request, context):
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(self._signatures)
        return response


def grey_answer(value: int) -> predict_pb2.PredictResponse:
    """One frame of that brightness."""
    data = cv2.imencode(".jpg", np.full((SIZE, SIZE, 3), value, np.uint8))[1].tobytes()
    answer = predict_pb2.PredictResponse()
    encode([data], answer.outputs["frames_jpeg"])
    return answer


def jpeg_answer(request) -> predict_pb2.PredictResponse:
    """A frame whose brightness is the landmarks' x, which is i + 4 for frame i of `track`."""
    return grey_answer(int(decode(request.inputs["landmarks"])[0, 0, 0]))


def signatures_of(server) -> get_model_metadata_pb2.SignatureDefMap:
    """The toy generator's signatures, for a scripted server."""
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "generator"
    found = server.prediction.GetModelMetadata(message, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    found.metadata["signature_def"].Unpack(signatures)
    return signatures
