"""What a client of TensorFlow Serving and of gRPC's health service speaks, without TensorFlow.

tensorflow-serving-api imports TensorFlow. The messages here have the names, numbers and types of
those fields that a client sends or reads; what else an answer holds is passed over. The server
uses tensorflow-serving-api's own.
"""

from serving.protocol.private_pool import message_classes

_messages = message_classes("""
message tensorflow.Dim { int64 size = 1; }
message tensorflow.TensorShapeProto { repeated tensorflow.Dim dim = 2; bool unknown_rank = 3; }
message tensorflow.TensorProto {
  int32 dtype = 1; tensorflow.TensorShapeProto tensor_shape = 2; bytes tensor_content = 4;
  repeated float float_val = 5; repeated double double_val = 6; repeated int32 int_val = 7;
  repeated bytes string_val = 8; repeated int64 int64_val = 10; repeated bool bool_val = 11;
  repeated int32 half_val = 13; repeated uint32 uint32_val = 16; repeated uint64 uint64_val = 17;
}
message tensorflow.TensorInfo { int32 dtype = 2; tensorflow.TensorShapeProto tensor_shape = 3; }
message tensorflow.SignatureDef {
  map<string, tensorflow.TensorInfo> inputs = 1; map<string, tensorflow.TensorInfo> outputs = 2;
}
message tensorflow.serving.SignatureDefMap {
  map<string, tensorflow.SignatureDef> signature_def = 1;
}
message tensorflow.serving.ModelSpec {
  string name = 1; google.protobuf.Int64Value version = 2; string signature_name = 3;
  string version_label = 4;
}
message tensorflow.serving.PredictRequest {
  tensorflow.serving.ModelSpec model_spec = 1; map<string, tensorflow.TensorProto> inputs = 2;
}
message tensorflow.serving.PredictResponse {
  map<string, tensorflow.TensorProto> outputs = 1; tensorflow.serving.ModelSpec model_spec = 2;
}
message tensorflow.serving.GetModelMetadataRequest {
  tensorflow.serving.ModelSpec model_spec = 1; repeated string metadata_field = 2;
}
message tensorflow.serving.GetModelMetadataResponse {
  tensorflow.serving.ModelSpec model_spec = 1; map<string, google.protobuf.Any> metadata = 2;
}
message tensorflow.serving.GetModelStatusRequest { tensorflow.serving.ModelSpec model_spec = 1; }
message tensorflow.serving.StatusProto { int32 error_code = 1; string error_message = 2; }
message tensorflow.serving.ModelVersionStatus {
  int64 version = 1; int32 state = 2; tensorflow.serving.StatusProto status = 3;
}
message tensorflow.serving.GetModelStatusResponse {
  repeated tensorflow.serving.ModelVersionStatus model_version_status = 1;
}
message grpc.health.v1.HealthCheckRequest { string service = 1; }
message grpc.health.v1.HealthCheckResponse { int32 status = 1; }
""")
TensorProto = _messages["TensorProto"]
SignatureDefMap = _messages["SignatureDefMap"]
PredictRequest = _messages["PredictRequest"]
PredictResponse = _messages["PredictResponse"]
GetModelMetadataRequest = _messages["GetModelMetadataRequest"]
GetModelMetadataResponse = _messages["GetModelMetadataResponse"]
GetModelStatusRequest = _messages["GetModelStatusRequest"]
GetModelStatusResponse = _messages["GetModelStatusResponse"]
HealthCheckRequest = _messages["HealthCheckRequest"]
HealthCheckResponse = _messages["HealthCheckResponse"]

# ModelVersionStatus.state; HealthCheckResponse.status when all is well
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
HEALTH_SERVING = 1

# Signatures of the served models: of an embedder the first two, of a generator the first and last.
DEFAULT, EMBED_JPEG, ANIMATE = "serving_default", "embed_jpeg", "animate"
# Of both: its one output is named so, and by the generator that the model's ψ belongs to.
FINGERPRINT, FINGERPRINT_START = "fingerprint", "sha256_"
