"""The REST API as its clients see it, against the embedded server and TensorFlow Serving.

As in `test_conformance.py`: a real TensorFlow Serving takes part where TF_SERVING_REST_ADDRESS
(HOST:PORT) names one with the toy models. Statuses and messages are those of TensorFlow Serving
2.15 (http_rest_api_handler.cc, http_server.cc, json_tensor.cc).
"""

import base64
import http.client
import json
import os
import urllib.parse

import cv2
import numpy as np
import pytest

from tests.serving.api_requests import ADAIN, LANDMARKS

PREDICT = "/v1/models/generator:predict"


@pytest.fixture(scope="module", params=["toy_server", "batching_server", "tensorflow_serving"])
def rest(request):
    """ask(path, body or None) -> (HTTP status, JSON) of each server in turn."""
    if request.param == "tensorflow_serving":
        address = os.environ.get("TF_SERVING_REST_ADDRESS")
        if not address:
            pytest.skip("TF_SERVING_REST_ADDRESS is not set")
    else:
        address = urllib.parse.urlparse(request.getfixturevalue(request.param).rest).netloc

    def ask(path, body=None, method=None):
        connection = http.client.HTTPConnection(address, timeout=60)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method or ("GET" if body is None else "POST"), path, data)
        response = connection.getresponse()
        text = response.read()
        assert response.headers["Content-Type"].startswith("application/json")
        return response.status, json.loads(text)

    return ask


def animate(**changes):
    inputs = {"landmarks": LANDMARKS.tolist(), "adain_params": ADAIN.tolist()}
    return {"signature_name": "animate_bytes", "inputs": inputs} | changes


def decoded(value):
    assert list(value) == ["b64"]
    return cv2.imdecode(np.frombuffer(base64.b64decode(value["b64"]), np.uint8), cv2.IMREAD_COLOR)


def test_columns_in_frames_as_base64_out(rest):
    status, answer = rest(PREDICT, animate())
    assert status == 200 and list(answer) == ["outputs"] and len(answer["outputs"]) == 2
    image = decoded(answer["outputs"][1])
    assert image.shape == (64, 64, 3) and image[5, 5].min() > 200 and image[40, 40].max() < 50


def test_rows_in_rows_out(rest):
    adain = [[100.0, 100.0, 100.0, 0, 0, 0], [0.0] * 6]
    rows = [dict(landmarks=LANDMARKS[0].tolist(), adain_params=psi) for psi in adain]
    status, answer = rest(PREDICT, {"signature_name": "animate_bytes", "instances": rows})
    assert status == 200 and list(answer) == ["predictions"]
    background = [int(decoded(frame)[40, 40].mean()) for frame in answer["predictions"]]
    assert background == [100, 0]


def test_several_outputs_are_objects(rest):
    person = {"frames": np.full((1, 64, 64, 3), 7).tolist(), "landmarks": [np.full((68, 2), 0.1).tolist()]}
    status, answer = rest("/v1/models/embedder:predict", {"instances": [person]})
    assert status == 200
    (row,) = answer["predictions"]
    assert set(row) == {"embedding", "adain_params"}
    assert row["adain_params"] == [7.0] * 6
    assert row["embedding"][:3] == [7.0] * 3 and row["embedding"][3] == pytest.approx(0.1)
    # The shortest decimals of a float32, not 0.10000000149011612 for 0.1.
    assert str(np.float32(row["embedding"][3])) == repr(row["embedding"][3])
    columns = rest("/v1/models/embedder:predict", {"inputs": {name: [value] for name, value in person.items()}})
    assert columns == (200, {"outputs": {name: [value] for name, value in row.items()}})


def test_one_input_needs_no_name_and_bytes_come_as_base64(rest):
    jpeg = cv2.imencode(".jpg", np.full((8, 8, 3), 50, np.uint8))[1].tobytes()
    photo = {"b64": base64.b64encode(jpeg).decode()}
    for body in ({"instances": [photo, photo]}, {"instances": [{"image_bytes": photo}] * 2}):
        status, answer = rest("/v1/models/decoder:predict", body)
        assert (status, answer["predictions"]) == (200, pytest.approx([50.0, 50.0], abs=1))
    status, answer = rest("/v1/models/decoder:predict", {"inputs": [photo]})
    assert (status, answer["outputs"]) == (200, pytest.approx([50.0], abs=1))


@pytest.mark.parametrize("path", ["/v1/models/generator/versions/1:predict", "/V1/Models/generator:PREDICT"])
def test_versions_and_case_of_paths(rest, path):
    assert rest(path, animate())[0] == 200


def test_status_and_metadata(rest):
    available = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/generator", "/v1/models/generator/versions/1"):
        assert rest(path) == (200, {"model_version_status": [available]})
    status, answer = rest("/v1/models/generator/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "generator", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["animate"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    landmarks = signature["inputs"]["landmarks"]
    assert landmarks["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in landmarks["tensor_shape"]["dim"]] == ["-1", "68", "2"]
    assert signature["outputs"]["frames_jpeg"]["dtype"] == "DT_STRING"


@pytest.mark.parametrize(
    "path, body, status, message",
    [
        ("/v1/models", None, 400, "Missing model name in request."),
        ("/v1/models/generator/nonsense", None, 400, "Malformed request: GET /v1/models/generator/nonsense"),
        ("/v1/models/generator", {}, 400, "Malformed request: POST /v1/models/generator"),
        ("/v1/models/nobody", None, 404, "Could not find any versions of model nobody"),
        ("/v1/models/generator/versions/7", None, 404, "Could not find version 7 of model generator"),
        ("/v1/models/nobody:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nobody)"),
        ("/v1/models/generator/versions/7:predict", {"instances": [1]}, 404, "Specific(generator, 7)"),
        (f"/v1/models/generator/versions/{10**30}:predict", {"instances": [1]}, 400, "Failed to convert version: 1000"),
        ("/v1/models/generator/labels/best:predict", {"instances": [1]}, 400, "Unrecognized servable version label"),
        (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
        (PREDICT, b"{", 400, "JSON Parse error: "),
        (PREDICT, [1], 400, "Is not object"),
        (PREDICT, {"signature_name": 3, "inputs": 1}, 400, "'signature_name' key must be a string value."),
        (PREDICT, animate(signature_name="sing"), 400, 'Serving signature name: "sing" not found in signature def'),
        (PREDICT, {}, 400, "Missing 'inputs' or 'instances' key"),
        (PREDICT, {"inputs": 1, "instances": [1]}, 400, "expecting only one of 'inputs' or 'instances' keys"),
        (PREDICT, {"instances": 1}, 400, "'instances' to be an list/array"),
        (PREDICT, {"instances": []}, 400, "No values in 'instances' array"),
        (PREDICT, {"instances": [[1]]}, 400, "instances is a plain list, but expecting list of objects"),
        (PREDICT, {"inputs": [1]}, 400, "inputs is a plain value/list, but expecting an object"),
        (PREDICT, animate(inputs={"landmarks": [1.0]}), 400, "Missing named input: adain_params in 'inputs' object."),
    ],
)
def test_refusals(rest, path, body, status, message):
    got, answer = rest(path, body)
    assert got == status and list(answer) == ["error"]
    assert message in answer["error"]


@pytest.mark.parametrize(
    "psi, message",
    [
        ([[1.0] * 6, [1.0] * 5], "Encountered list at unexpected size: 5 at level: 1 expected size: 6"),
        ([[1.0] * 6, 3], "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([1.0, [2.0]], "Encountered list at unexpected level: 1 expected < 1"),
        ([["a"] * 6] * 2, 'JSON Value: "a" Type: String is not of expected type: float'),
        ([[True] * 6] * 2, "JSON Value: true Type: True is not of expected type: float"),
        ([[None] * 6] * 2, "JSON Value: null Type: Null is not of expected type: float"),
        ([[16777216] * 6] * 2, "Cannot convert JSON value: 16777216 to float without loss of precision."),
        ([[1e39] * 6] * 2, "to float without loss of precision."),
    ],
)
def test_values_that_do_not_fit(rest, psi, message):
    status, answer = rest(PREDICT, animate(inputs={"landmarks": LANDMARKS.tolist(), "adain_params": psi}))
    assert status == 400 and message in answer["error"]


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{"landmarks": [[0.0, 0.0]], "adain_params": [0.0]}, 3], "Expecting object but got list at item 1"),
        ([{"landmarks": [[0.0, 0.0]]}], "keys must be equal to: adain_params,landmarks"),
        ([{"landmarks": [[0.0, 0.0]], "smile": 1.0}], "JSON object: does not have named input: smile"),
        (
            [{"landmarks": [[0.0, 0.0]], "adain_params": [0.0]}, {"landmarks": [[0.0]], "adain_params": [0.0]}],
            "Failed to process element: 1 key: landmarks of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 1",
        ),
        (
            [{"landmarks": [[0.0, 0.0]], "adain_params": [0.0]}, {"landmarks": [[0.0], [0.0]], "adain_params": [0.0]}],
            "Expecting shape [1,2] but got: [2,1]",
        ),
    ],
)
def test_rows_that_do_not_fit(rest, rows, message):
    status, answer = rest(PREDICT, {"signature_name": "animate", "instances": rows})
    assert status == 400 and message in answer["error"]


@pytest.mark.parametrize(
    "value, message", [({"b64": "?"}, "Unable to base64 decode"), ({"b65": ""}, "not formatted correctly for base64")]
)
def test_bytes_that_do_not_fit(rest, value, message):
    status, answer = rest("/v1/models/decoder:predict", {"inputs": {"image_bytes": [value]}})
    assert status == 400 and message in answer["error"]


def test_what_the_graph_refuses_keeps_its_code(rest):
    status, answer = rest("/v1/models/decoder:predict", {"instances": [{"b64": "bm8="}]})
    assert status == 400 and list(answer) == ["error"]
