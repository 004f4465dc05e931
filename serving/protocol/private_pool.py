"""Message classes from lines of .proto files, in a descriptor pool of their own.

They need protobuf and nothing else, and can not clash with a package that brings messages of the
same names into the same process. Understood is what is used here: a proto3 message a line, with
its full name; full names of messages that stand before it, or of google.protobuf's wrappers and
Any; maps from strings. Enums are written as int32: the bytes are the same.

    message tensorflow.serving.ModelSpec { string name = 1; string signature_name = 3; }
"""

import re

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import Message

_MESSAGE = re.compile(r"message ([\w.]+)\.(\w+) \{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"(repeated |map<string, )?([\w.]+)>? (\w+) = (\d+);")
_KINDS = descriptor_pb2.FieldDescriptorProto  # TYPE_INT64, LABEL_REPEATED, ...
_SCALARS = ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint32", "uint64")


def message_classes(definitions: str) -> dict[str, type[Message]]:
    """The classes of the messages by their names, without the package."""
    pool = descriptor_pool.DescriptorPool()
    files = [any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name]
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    classes = {}
    for package, name, fields in _MESSAGE.findall(definitions):
        file = descriptor_pb2.FileDescriptorProto(
            name=f"private/{package}.{name}", package=package, syntax="proto3", dependency=files
        )
        message = file.message_type.add(name=name)
        for label, kind, field, number in _FIELD.findall(fields):
            if label.startswith("map"):
                kind = _add_entry(message, f"{package}.{name}", field, kind)
            _add_field(message, kind, field, int(number), repeated=bool(label))
        pool.Add(file)
        files.append(file.name)
        descriptor = pool.FindMessageTypeByName(f"{package}.{name}")
        classes[name] = message_factory.GetMessageClass(descriptor)
    return classes


def _add_field(message, kind: str, name: str, number: int, repeated: bool = False) -> None:
    field = message.field.add(name=name, number=number)
    field.label = _KINDS.LABEL_REPEATED if repeated else _KINDS.LABEL_OPTIONAL
    field.type = getattr(_KINDS, f"TYPE_{kind if kind in _SCALARS else 'message'}".upper())
    if kind not in _SCALARS:
        field.type_name = f".{kind}"


def _add_entry(message, full_name: str, field: str, kind: str) -> str:
    """The message that stands for an entry of a map, as protoc makes it; returns its name."""
    name = field.title().replace("_", "") + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    _add_field(entry, "string", "key", 1)
    _add_field(entry, kind, "value", 2)
    return f"{full_name}.{name}"
