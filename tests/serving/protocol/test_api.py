"""The client's messages against tensorflow-serving-api's and grpcio-health-checking's."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from grpc_health.v1 import health_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving.protocol import api

PAIRS = [
    (api.TensorProto, tensor_pb2.TensorProto),
    (api.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
    (api.PredictRequest, predict_pb2.PredictRequest),
    (api.PredictResponse, predict_pb2.PredictResponse),
    (api.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataRequest),
    (api.GetModelMetadataResponse, get_model_metadata_pb2.GetModelMetadataResponse),
    (api.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
    (api.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
    (api.HealthCheckRequest, health_pb2.HealthCheckRequest),
    (api.HealthCheckResponse, health_pb2.HealthCheckResponse),
]


def check_fields(ours, theirs):
    """Name, number, type and label of every field, through all messages below."""
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        assert (field.number, field.label) == (other.number, other.label), field.full_name
        enum = other.type == FieldDescriptor.TYPE_ENUM
        assert field.type == (FieldDescriptor.TYPE_INT32 if enum else other.type), field.full_name
        if field.message_type is not None:
            check_fields(field.message_type, other.message_type)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_fields_are_those_of_the_services(ours, theirs):
    assert ours.DESCRIPTOR.full_name == theirs.DESCRIPTOR.full_name
    assert ours is not theirs
    check_fields(ours.DESCRIPTOR, theirs.DESCRIPTOR)


def test_numbers_of_states_are_those_of_the_services():
    assert api.STATES == {n: name for name, n in get_model_status_pb2.ModelVersionStatus.State.items()}
    assert api.HEALTH_SERVING == health_pb2.HealthCheckResponse.SERVING


def test_metadata_are_read_from_bytes_of_the_other_side():
    theirs = get_model_metadata_pb2.SignatureDefMap()
    theirs.signature_def["animate"].inputs["landmarks"].dtype = 1
    theirs.signature_def["animate"].method_name = "passed over"
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.metadata["signature_def"].Pack(theirs)
    seen = api.GetModelMetadataResponse.FromString(answer.SerializeToString())
    signatures = api.SignatureDefMap()
    assert seen.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["animate"].inputs["landmarks"].dtype == 1
    assert not seen.metadata["signature_def"].Unpack(api.PredictRequest())
