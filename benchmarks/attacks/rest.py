"""Makes and sends malformed requests to the REST API, out of good requests to gRPC."""

import base64
import http.client
import json
from collections.abc import Sequence

import numpy as np
from tensorflow_serving.apis import predict_pb2

from serving.protocol import tensors

TIMEOUT = 60  # seconds; an answer that takes longer is a hang
# 501: a signature whose bytes JSON can not hold, or a method that is not there.
_REFUSED = {400, 404, 413, 501}
_WRONG = (None, True, "x", {}, {"b64": "?"}, {"b64": 1}, [], [[]], -1, 10**30, 1e300, float("nan"), float("-inf"))


class RestFuzzer:
    """As `fuzzer.Fuzzer`, over HTTP.

    Args:
      address: HOST:PORT of the REST API.
      good: requests that the server answers.
      seed: of everything random; requests are a function of (seed, number).
    """

    def __init__(self, address: str, good: Sequence[predict_pb2.PredictRequest], seed: int):
        self._address, self._seed = address, seed
        self._good = [(f"/v1/models/{r.model_spec.name}:predict", _body(r)) for r in good]
        self.kinds = [name.removeprefix("_kind_") for name in dir(self) if "_kind_" in name]

    def send(self, number: int) -> tuple[str, str, bool]:
        """Sends request `number`: its kind, the HTTP status, whether that is allowed."""
        random = np.random.default_rng([self._seed, number])
        kind = self.kinds[number % len(self.kinds)]
        path, body = self._good[random.integers(len(self._good))]
        method, path, data = getattr(self, f"_kind_{kind}")(random, path, json.loads(json.dumps(body)))
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT)
        try:
            connection.request(method, path, data)
            status = connection.getresponse().status
        except (ConnectionError, http.client.HTTPException) as error:
            # A body that is too large may be answered before it is read to its end.
            return kind, type(error).__name__, isinstance(error, BrokenPipeError | ConnectionResetError)
        finally:
            connection.close()
        return kind, str(status), status == 200 or status in _REFUSED

    # The kinds: method, path and body.

    def _kind_random_bytes(self, random, path, body):
        return "POST", path, random.bytes(random.integers(0, 4000))

    def _kind_mutated_json(self, random, path, body):
        data = bytearray(json.dumps(body).encode())
        for _ in range(random.integers(1, 8)):
            data[random.integers(len(data))] = random.integers(256)
        return "POST", path, bytes(data[: random.integers(1, len(data))] if random.random() < 0.2 else data)

    def _kind_wrong_value(self, random, path, body):
        """Somewhere in the inputs stands something else."""
        place, key = body, "inputs"
        while isinstance(place[key], dict | list) and place[key] and random.random() < 0.8:
            place = place[key]
            key = str(random.choice(sorted(place))) if isinstance(place, dict) else int(random.integers(len(place)))
        place[key] = _WRONG[random.integers(len(_WRONG))]
        return "POST", path, json.dumps(body)

    def _kind_wrong_sizes(self, random, path, body):
        name = str(random.choice(sorted(body["inputs"])))
        value = body["inputs"][name]
        body["inputs"][name] = [value[:1], value * 3, [value], value[0]][random.integers(4)]
        return "POST", path, json.dumps(body)

    def _kind_too_much(self, random, path, body):
        """Nested without end, digits without end, rows without end, more bytes than allowed."""
        text = [
            "[" * int(random.integers(1, 10**6)),
            '{"inputs": ' + "9" * int(random.integers(10**6)) + "}",
            json.dumps({"instances": [0] * int(random.integers(10**6))}),
            " " * (17 * 2**20),
        ]
        return "POST", path, text[random.integers(len(text))]

    def _kind_wrong_path(self, random, path, body):
        model = path.removesuffix(":predict")
        wrong = ["/v1", "/v1/models", "/v2/x", f"{model}/versions/{10**40}:predict", f"{model}/labels/x:predict"]
        wrong += [f"{model}:classify", f"{model}/versions/-1", f"{model}/metadata:predict", "/v1/models/%2e%2e:predict"]
        return str(random.choice(["POST", "PUT", "DELETE"])), wrong[random.integers(len(wrong))], json.dumps(body)


def _body(request: predict_pb2.PredictRequest) -> dict:
    inputs = {}
    for name, proto in request.inputs.items():
        array = tensors.decode(proto)
        if array.dtype == object:
            array = np.vectorize(lambda data: {"b64": base64.b64encode(data).decode()}, otypes=[object])(array)
        inputs[name] = array.tolist()
    return {"signature_name": request.model_spec.signature_name, "inputs": inputs}
