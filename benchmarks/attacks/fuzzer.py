"""Makes and sends malformed requests: the kinds are listed in `malformed_requests.py`."""

import collections
import concurrent.futures

import grpc
import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.attacks.pictures import extreme_jpegs, huge_png, jpeg
from serving.client import TalkingHeadClient
from serving.protocol import tensors

TIMEOUT = 60  # seconds; an answer that takes longer is a hang
_SERVICE = "/tensorflow.serving.PredictionService/"
_REFUSED = {"INVALID_ARGUMENT"}
# What damaged bytes may name by chance: another model, another signature or a deadline too short.
_BY_CHANCE = _REFUSED | {"NOT_FOUND", "FAILED_PRECONDITION"}
_PICTURES = ("truncated_jpeg", "fake_jpeg", "huge_png", "extreme_jpeg")


class Fuzzer:
    """Makes malformed requests for the models of a server.

    Args:
      target: HOST:PORT.
      models: names of the models.
      seed: of everything random; requests are a function of (seed, number).
      png_side: pixels of a side of the huge PNG.
    """

    def __init__(self, target: str, models: tuple[str, ...], seed: int, png_side=10_000):
        self._seed = seed
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", -1)])
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self.good: list[predict_pb2.PredictRequest] = []
        with TalkingHeadClient(target, TIMEOUT) as client:
            for model in models:
                for key, signature in sorted(client.metadata(model).items()):
                    if not key.startswith("__"):
                        self.good.append(_good_request(model, key, signature))
        self._huge_png = huge_png(png_side, png_side)
        self._extreme_jpegs = extreme_jpegs()
        self.kinds = [name.removeprefix("_kind_") for name in dir(self) if "_kind_" in name]
        if not any(_strings(request) for request in self.good):
            self.kinds = [kind for kind in self.kinds if kind not in _PICTURES]

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def good_answers(self) -> list[bytes]:
        """The answers to one good request for each signature."""
        return [self._predict(request, timeout=TIMEOUT).SerializeToString(deterministic=True) for request in self.good]

    def send(self, number: int) -> tuple[str, str, bool]:
        """Sends request `number`: its kind, the answer's code, whether that is allowed."""
        random = np.random.default_rng([self._seed, number])
        kind = self.kinds[number % len(self.kinds)]
        method, data, allowed = getattr(self, f"_kind_{kind}")(random)
        call = self._channel.unary_unary(_SERVICE + method)
        try:
            call(data, timeout=TIMEOUT)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
        return kind, code, code == "OK" or code in allowed

    # The kinds: method, bytes, and which codes may refuse them.

    def _kind_random_bytes(self, random):
        method = random.choice(["Predict", "GetModelMetadata"])
        return method, random.bytes(random.integers(0, 4000)), _BY_CHANCE

    def _kind_mutated_request(self, random):
        data = bytearray(self._any(random).SerializeToString())
        for _ in range(random.integers(1, 8)):
            # Names, types and shapes stand at the start and between the tensors.
            end = 200 if random.random() < 0.7 else len(data)
            data[random.integers(min(end, len(data)))] = random.integers(256)
        if random.random() < 0.2:
            data = data[: random.integers(len(data))]
        return "Predict", bytes(data), _BY_CHANCE

    def _kind_wrong_shape(self, random):
        request = self._any(random)
        proto = self._input(request, random)
        dims = self._shape(proto)
        place = int(random.integers(len(dims)))
        choices = [dims[:-1], dims + [1], dims[::-1], dims[:place] + [0] + dims[place + 1 :]]
        choices += [dims[:place] + [size] + dims[place + 1 :] for size in (-1, 7, 2**40, 2**62)]
        del proto.tensor_shape.dim[:]
        for size in choices[random.integers(len(choices))]:
            proto.tensor_shape.dim.add(size=size)
        return "Predict", request.SerializeToString(), _REFUSED

    def _kind_wrong_type(self, random):
        request = self._any(random)
        self._input(request, random).dtype = int(random.integers(0, 130))
        return "Predict", request.SerializeToString(), _REFUSED

    def _kind_wrong_count(self, random):
        request = self._any(random)
        proto = self._input(request, random)
        proto.tensor_content = proto.tensor_content[: -int(random.integers(1, 99))]
        proto.float_val.extend([1.0] * int(random.integers(0, 5)))
        proto.string_val.extend([b"x"] * int(random.integers(0, 9)))
        return "Predict", request.SerializeToString(), _REFUSED

    def _kind_wrong_names(self, random):
        request = self._any(random)
        name = str(random.choice(sorted(request.inputs)))
        if random.random() < 0.5:
            request.inputs[random.bytes(4).hex()].CopyFrom(request.inputs[name])
        if random.random() < 0.5:
            del request.inputs[name]
        request.output_filter.append(random.bytes(3).hex())
        return "Predict", request.SerializeToString(), _REFUSED

    def _kind_not_finite(self, random):
        request = self._any(random, with_floats=True)
        for name in request.inputs:
            values = tensors.decode(request.inputs[name])
            if values.dtype == np.float32:
                values = values.copy()
                bad = random.choice([np.nan, np.inf, -np.inf, 1e38, -1e30, 1e9])
                values.reshape(-1)[random.integers(values.size)] = bad
                tensors.encode(values, request.inputs[name])
        return "Predict", request.SerializeToString(), _REFUSED

    def _kind_truncated_jpeg(self, random):
        data = jpeg(random.integers(0, 256, (64, 64, 3)).astype(np.uint8))
        return self._with_picture(data[: random.integers(len(data))], random)

    def _kind_fake_jpeg(self, random):
        start = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF")
        data = start[random.integers(len(start))] + random.bytes(random.integers(0, 50_000))
        return self._with_picture(data, random)

    def _kind_huge_png(self, random):
        return self._with_picture(self._huge_png, random)

    def _kind_extreme_jpeg(self, random):
        """Wide, tall, progressive, with landmarks from end to end; some of them are allowed."""
        data, width, height = self._extreme_jpegs[random.integers(len(self._extreme_jpegs))]
        request = self._any(random, with_strings=True)
        for proto in request.inputs.values():
            if proto.string_val:
                proto.string_val[:] = [data] * len(proto.string_val)
            else:
                points = random.uniform(0, 1, self._shape(proto)) * [width - 1, height - 1]
                tensors.encode(points.astype(np.float32), proto)
        return "Predict", request.SerializeToString(), _REFUSED

    def _kind_empty_list(self, random):
        """A hundred bytes that claim any number of rows."""
        request = self._any(random)
        rows = [int(random.choice([0, 1, 2, 30, 200, 5_000, 2**20, 2**40, 2**62])) for _ in range(2)]
        for proto, good in ((proto, self._shape(proto)) for proto in request.inputs.values()):
            free = 2 if len(good) > 1 and good[1] == good[0] == 2 else 1
            kept = list(proto.string_val[:1])
            dtype = proto.dtype
            proto.Clear()
            proto.dtype = dtype
            for size in [*rows[:free], *good[free:]]:
                proto.tensor_shape.dim.add(size=size)
            if random.random() < 0.5:
                proto.string_val.extend(kept)
        return "Predict", request.SerializeToString(), _REFUSED

    def _shape(self, proto) -> list[int]:
        return [int(dim.size) for dim in proto.tensor_shape.dim]

    def _with_picture(self, data: bytes, random):
        request = self._any(random, with_strings=True)
        for name in _strings(request):
            values = request.inputs[name].string_val
            values[random.integers(len(values))] = data
        return "Predict", request.SerializeToString(), _REFUSED

    def _any(self, random, with_floats=False, with_strings=False) -> predict_pb2.PredictRequest:
        fitting = [
            request
            for request in self.good
            if (not with_floats or any(proto.dtype == 1 for proto in request.inputs.values()))
            and (not with_strings or _strings(request))
        ]
        copy = predict_pb2.PredictRequest()
        copy.CopyFrom(fitting[random.integers(len(fitting))])
        return copy

    def _input(self, request, random) -> tensor_pb2.TensorProto:
        return request.inputs[str(random.choice(sorted(request.inputs)))]


def attack(fuzzer: Fuzzer, numbers: range, clients: int) -> dict:
    """Sends the requests of these numbers: counts of codes by kind, and what was not allowed."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    bad = []
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = pool.map(fuzzer.send, numbers)
        for number, (kind, code, allowed) in zip(numbers, answers, strict=True):
            counts[kind][code] += 1
            if not allowed:
                bad.append({"number": number, "kind": kind, "code": code})
    return {"kinds": {kind: dict(codes) for kind, codes in counts.items()}, "not_allowed": bad}


def _strings(request: predict_pb2.PredictRequest) -> list[str]:
    return [name for name, proto in sorted(request.inputs.items()) if proto.string_val]


def _good_request(model: str, key: str, signature) -> predict_pb2.PredictRequest:
    random = np.random.default_rng(0)
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, key
    for name, spec in signature.inputs.items():
        shape = [2 if size is None else size for size in spec.shape]
        if spec.dtype == "string":
            picture = jpeg(random.integers(0, 256, (96, 96, 3)).astype(np.uint8))
            value = np.full(shape, picture, object)
        else:
            numpy = {"float": np.float32}.get(spec.dtype, spec.dtype)  # TensorFlow's names
            value = random.uniform(10, 50, shape).astype(numpy)
        tensors.encode(value, request.inputs[name])
    return request
