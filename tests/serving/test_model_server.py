"""The server as a program: start, versions, hot reload, labels, shutdown, wrong configuration."""

import asyncio
import concurrent.futures
import socket
import subprocess
import sys

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, predict_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.protocol.tensors import decode, encode
from serving.server import grpc_server, services
from serving.server.errors import ServingError
from serving.server.http.port import HttpPort
from serving.server.metrics import Metrics
from serving.server.models import loader, model_config, model_store
from tests.serving.waiting import until

State = get_model_status_pb2.ModelVersionStatus.State


class Gates:
    """A server with the model `gate`, in a folder of its own."""

    def __init__(self, folder, toys, start_server, decoder):
        self.folder, self.toys, self.decoder = folder, toys, decoder
        self.gate = folder / "gate"
        self.open = folder / "open"
        self.open.touch()
        toys.save_gate(self.gate / "1", 1)
        config = folder / "models.config"
        config.write_text(toys.config_text({"gate": self.gate}))
        self.server = start_server(config, "--file_system_poll_wait_seconds=0.2", "--grpc_max_threads=8")
        assert isinstance(self.server, toys.ServerProcess), self.server.stderr

    def publish(self, number):
        """Saves beside and renames, as an export does."""
        hidden = self.folder / f"hidden{number}"
        self.toys.save_gate(hidden, number)
        hidden.rename(self.gate / str(number))

    def request(self, path=None, version=None, label=None):
        message = predict_pb2.PredictRequest()
        message.model_spec.name = "gate"
        if version is not None:
            message.model_spec.version.value = version
        if label is not None:
            message.model_spec.version_label = label
        encode([str(path or self.open).encode()], message.inputs["path"])
        return message

    def answer(self, **which):
        response = self.server.prediction.Predict(self.request(**which), timeout=60)
        number = int(decode(response.outputs["number"])[0])
        assert response.model_spec.version.value == number
        return number

    def states(self, model="gate"):
        message = get_model_status_pb2.GetModelStatusRequest()
        message.model_spec.name = model
        answer = self.server.model.GetModelStatus(message, timeout=60)
        return {entry.version: entry for entry in answer.model_version_status}

    def state_numbers(self):
        return {version: entry.state for version, entry in self.states().items()}

    def reload(self, models, **extra):
        message = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(self.toys.config_text(models, **extra), message.config)
        return self.server.model.HandleReloadConfigRequest(message, timeout=60)


@pytest.fixture(scope="module")
def gates(tmp_path_factory, toys, start_server, toy_models):
    return Gates(tmp_path_factory.mktemp("gates"), toys, start_server, toy_models / "decoder")


def reached(signal_file):
    """What a request writes that waits for this file."""
    return signal_file.with_name(signal_file.name + ".reached")


def refuses(gates):
    """Whether the server takes no new requests."""
    try:
        gates.answer()
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


def test_the_life_of_a_server(gates):
    """Each step finds what the one before it left: one server, versions 1 to 4, and its end."""
    new_version_replaces_the_old_one_which_finishes_its_requests(gates)
    broken_version_leaves_the_old_one_serving(gates)
    next_good_version_is_taken(gates)
    deadline_ends_the_computation(gates)
    version_policies_and_labels(gates)
    models_come_and_go_by_reload(gates)
    sigterm_finishes_what_is_in_flight_and_exits_with_0(gates)


def new_version_replaces_the_old_one_which_finishes_its_requests(gates):
    assert gates.answer() == 1
    signal_file = gates.folder / "finish"
    held = gates.server.prediction.Predict.future(gates.request(signal_file), timeout=60)
    until(reached(signal_file).exists)
    gates.publish(2)
    until(lambda: gates.state_numbers().get(2) == State.AVAILABLE)
    until(lambda: gates.state_numbers()[1] == State.UNLOADING)
    assert gates.answer() == 2
    assert not held.done()
    with pytest.raises(grpc.RpcError) as caught:
        gates.answer(version=1)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert gates.state_numbers()[1] == State.UNLOADING
    signal_file.touch()
    assert decode(held.result().outputs["number"])[0] == 1
    assert held.result().model_spec.version.value == 1
    until(lambda: gates.state_numbers() == {1: State.END, 2: State.AVAILABLE})


def broken_version_leaves_the_old_one_serving(gates):
    broken = gates.folder / "hidden3"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model at all")
    broken.rename(gates.gate / "3")
    until(lambda: gates.states().get(3) and gates.states()[3].state == State.END)
    error = gates.states()[3].status
    assert error.error_code != 0
    assert "saved_model.pb" in error.error_message
    assert gates.state_numbers()[2] == State.AVAILABLE
    assert gates.answer() == 2


def next_good_version_is_taken(gates):
    (gates.gate / "words").mkdir()  # not a version number: ignored
    gates.publish(4)
    until(lambda: gates.state_numbers().get(4) == State.AVAILABLE)
    assert gates.answer() == 4


def deadline_ends_the_computation(gates):
    never = gates.request(gates.folder / "never")
    with pytest.raises(grpc.RpcError) as caught:
        gates.server.prediction.Predict(never, timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert gates.answer() == 4


def version_policies_and_labels(gates):
    models = {"gate": gates.gate}
    gates.reload(models, gate="model_version_policy { specific { versions: 1 versions: 4 } }")
    until(lambda: gates.state_numbers().get(1) == State.AVAILABLE)
    until(lambda: gates.state_numbers()[2] == State.END)
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 4 } '
    policy = "model_version_policy { latest { num_versions: 4 } }"
    gates.reload(models, gate=labels + policy)
    assert gates.answer(label="stable") == 1
    assert gates.answer(label="canary") == 4
    assert gates.answer(version=1) == 1
    until(lambda: gates.state_numbers().get(2) == State.AVAILABLE)
    assert gates.answer(version=2) == 2
    with pytest.raises(grpc.RpcError) as caught:
        gates.answer(label="old")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def models_come_and_go_by_reload(gates):
    both = {"gate": gates.gate, "decoder": gates.decoder}
    response = gates.reload(both)
    assert response.status.error_code == 0
    assert gates.states("decoder")[1].state == State.AVAILABLE  # answered when available
    broken = gates.folder / "all_broken"
    (broken / "1").mkdir(parents=True)
    with pytest.raises(grpc.RpcError) as caught:
        gates.reload(both | {"broken": broken})
    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    start = "1 model(s) did not become available: {{{name: broken version: 1} due to error: "
    assert caught.value.details().startswith(start)
    assert gates.answer() == 4
    gates.reload({"gate": gates.gate})
    until(lambda: gates.states("decoder")[1].state == State.END)
    assert gates.answer() == 4


def sigterm_finishes_what_is_in_flight_and_exits_with_0(gates):
    signal_file = gates.folder / "last"
    held = gates.server.prediction.Predict.future(gates.request(signal_file), timeout=60)
    until(reached(signal_file).exists)
    gates.server.process.terminate()
    until(lambda: refuses(gates))
    assert gates.server.process.poll() is None
    signal_file.touch()
    assert decode(held.result().outputs["number"])[0] == 4
    assert gates.server.process.wait(timeout=60) == 0


def test_wrong_configurations_end_the_program_with_a_message(tmp_path, toys, start_server):
    unknown, missing = tmp_path / "unknown.config", tmp_path / "missing.config"
    unknown.write_text("model_config_list { config { name: 'a' folder: '/x' } }")
    missing.write_text(toys.config_text({"a": tmp_path / "nothing"}))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        field, folder = pool.map(start_server, (unknown, missing))
    for ended, path in ((field, unknown), (folder, missing)):
        assert ended.returncode == 1
        assert str(path) in ended.stderr and "Traceback" not in ended.stderr
    assert '"folder"' in field.stderr
    assert str(tmp_path / "nothing") in folder.stderr and "base_path" in folder.stderr


@pytest.mark.parametrize(("flags", "name"), [((), "default"), (("--model_name=sight",), "sight")])
def test_one_model_without_a_configuration_file(toy_models, start_server, flags, name):
    server = start_server(None, f"--model_base_path={toy_models / 'decoder'}", *flags)
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = name
    (status,) = server.model.GetModelStatus(message, timeout=60).model_version_status
    assert (status.version, status.state) == (1, State.AVAILABLE)
    assert server.terminate() == 0


def test_server_and_client_know_nothing_of_the_networks(repo_root):
    code = (
        "import sys, serving.model_server, serving.client.blocking\n"
        "ours = ('tf_talking', 'training', 'torch')\n"
        "names = [name for name in sys.modules if name.split('.')[0] in ours]\n"
        "allowed = {'tf_talking', 'tf_talking.people', 'tf_talking.people.card'}\n"
        "allowed |= {'tf_talking.files', 'tf_talking.npz', 'tf_talking.media', 'tf_talking.media.jpeg'}\n"
        "sys.exit(repr(set(names) - allowed) if set(names) - allowed else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repo_root, check=True)


# Without a server process.


def parse(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(text)
    return model_config.read_config(path)


def test_read_config_names_file_line_and_field(tmp_path):
    with pytest.raises(ServingError, match=r"models.config': 2:3 .*base_pth"):
        parse(tmp_path, 'model_config_list { config { name: "a"\n  base_pth: "/x" } }')
    with pytest.raises(ServingError, match="nobody.config"):
        model_config.read_config(tmp_path / "nobody.config")


def test_validation_of_transitions(tmp_path):
    empty = model_server_config_pb2.ModelServerConfig()
    text = f'model_config_list {{ config {{ name: "" base_path: "{tmp_path}" }} }}'
    with pytest.raises(ServingError, match=r"config\[0\]: field name is empty"):
        model_config.validate(parse(tmp_path, text), empty)
    listed = parse(tmp_path, "model_config_list {}")
    model_config.validate(listed, empty)
    with pytest.raises(ServingError, match="Cannot transition"):
        model_config.validate(empty, listed)


class Steps:
    """Stands for the event that ends the watch: a step before each look, the end after the last."""

    def __init__(self, *steps):
        self._steps = iter(steps)

    def wait(self, _):
        return next(self._steps, lambda: True)()


def test_config_file_is_watched(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list {}")
    taken, served = [], [model_config.read_config(path)]

    def configure(config):
        taken.append(config)
        served.append(config)

    def somebodys_reload():
        assert len(taken) == 1, "what is served is not handed on again"
        other = model_server_config_pb2.ModelServerConfig()
        other.model_config_list.config.add(name="b")
        served.append(other)

    def good_file():
        assert taken == [], "garbage is logged, nothing else"
        path.write_text('model_config_list { config { name: "a" } }')

    stop = Steps(lambda: path.write_text("garbage {") < 0, good_file, lambda: None, somebodys_reload)
    model_config.watch_config(configure, lambda: served[-1], path, 0.02, stop)
    # After somebody's ReloadConfig the file has the last word.
    assert [config.model_config_list.config[0].name for config in taken] == ["a", "a"]


@pytest.fixture
def store(tmp_path, toys):
    """A store without a server, for model `gate` in an empty folder."""
    (tmp_path / "gate").mkdir()
    config = tmp_path / "models.config"
    config.write_text(toys.config_text({"gate": tmp_path / "gate"}))
    store = model_store.ModelStore(poll_seconds=0.05, max_load_retries=1, load_retry_seconds=0.01)
    store.configure(model_config.read_config(config))
    store.start()
    yield store
    store.close()


def test_model_without_versions_is_waited_for(store, tmp_path, toys):
    answers = iter([False, False, True])
    assert store.wait_until_available(cancelled=lambda: next(answers)) is False
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait_until_available)
        toys.save_gate(tmp_path / "hidden", 1)
        (tmp_path / "hidden").rename(tmp_path / "gate" / "1")
        assert waiting.result(60) is True


def test_loading_is_tried_again_when_asked_to(store, tmp_path, toys, monkeypatch):
    attempts = []

    class Unsteady(loader.Servable):
        def __init__(self, *arguments):
            attempts.append(arguments)
            if len(attempts) == 1:
                raise OSError("network file system")
            super().__init__(*arguments)

    monkeypatch.setattr(loader, "Servable", Unsteady)
    toys.save_gate(tmp_path / "hidden", 1)
    (tmp_path / "hidden").rename(tmp_path / "gate" / "1")
    assert store.wait_until_available() is True
    assert len(attempts) == 2


def test_a_model_that_was_there_is_missed_however_soon_it_goes(store, tmp_path, toys):
    assert store.gone() == set()  # one that never came is waited for
    toys.save_gate(tmp_path / "hidden", 1)
    (tmp_path / "hidden").rename(tmp_path / "gate" / "1")
    store.wait_until_available()
    (tmp_path / "gate" / "1").rename(tmp_path / "away")
    until(lambda: not store.versions.numbers("gate", State.AVAILABLE))
    assert store.gone() == {"gate"}  # the first look since it came
    (tmp_path / "away").rename(tmp_path / "gate" / "1")
    until(lambda: store.gone() == set())


def test_version_whose_folder_comes_back_is_loaded_again(store, tmp_path, toys):
    broken = tmp_path / "gate" / "1"
    broken.mkdir()
    with pytest.raises(ServingError, match="did not become available.*gate version: 1"):
        store.wait_until_available()
    broken.rmdir()
    until(lambda: store.versions.untried("gate", {1}))  # it has been missed
    toys.save_gate(tmp_path / "hidden", 1)
    (tmp_path / "hidden").rename(broken)
    assert store.wait_until_available() is True


def test_taken_port_is_named(store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def listen():
            prediction = services.PredictionService(store.versions, None, None, 1, Metrics(), 512)
            server = grpc_server.GrpcServer(prediction, services.ModelService(store))
            try:
                with pytest.raises(ServingError, match=f"can not listen at 127.0.0.1:{port}"):
                    server.listen("127.0.0.1", port)
            finally:
                await server.stop(0)

        asyncio.run(listen())
        with pytest.raises(ServingError, match=f"{port} .*rest_api_port"):
            asyncio.run(HttpPort(Metrics(), None).open("127.0.0.1", port))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", [10]),
        ("latest {}", [10]),
        ("latest { num_versions: 2 }", [9, 10]),
        ("all {}", [2, 9, 10]),
        ("specific { versions: 2 versions: 10 versions: 77 }", [2, 10]),
    ],
)
def test_version_policies(tmp_path, policy, expected):
    for name in ("2", "9", "10", "tmp", "1.5", ".hidden", "99999999999999999999"):
        (tmp_path / name).mkdir()
    (tmp_path / "77").touch()  # a file is no version
    model = model_server_config_pb2.ModelConfig(name="m", base_path=str(tmp_path))
    if policy:
        text_format.Parse(policy, model.model_version_policy)
    found = model_config.aspired_versions(model)
    assert sorted(found) == expected
    assert found[10] == str(tmp_path / "10")
    model.base_path = str(tmp_path / "gone")
    assert model_config.aspired_versions(model) is None
