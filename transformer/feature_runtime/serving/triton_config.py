"""The few fields of Triton's ModelConfig that the identity check reads, as protobuf messages.

kserve's generated protocol has no ModelConfig call, and Triton's own client cannot live in one
process with kserve (both register the same symbols). The messages are built here, in a pool of
their own, with Triton's field numbers; protobuf skips every other field.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

METHOD = "/inference.GRPCInferenceService/ModelConfig"
_PACKAGE = "proviso.triton"
_Field = descriptor_pb2.FieldDescriptorProto


def _field(name: str, number: int, kind: str = "") -> descriptor_pb2.FieldDescriptorProto:
    """A string, or a message of type `kind`."""
    message = {"type": _Field.TYPE_MESSAGE, "type_name": f".{_PACKAGE}.{kind}"}
    wire: dict[str, Any] = message if kind else {"type": _Field.TYPE_STRING}
    return _Field(name=name, number=number, label=_Field.LABEL_OPTIONAL, **wire)


def _messages() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="proviso/triton_config.proto", package=_PACKAGE, syntax="proto3"
    )
    file.message_type.add(name="Request").field.extend([_field("name", 1), _field("version", 2)])
    file.message_type.add(name="Response").field.append(_field("config", 1, "Config"))
    file.message_type.add(name="Parameter").field.append(_field("string_value", 1))
    config = file.message_type.add(name="Config")
    entry = config.nested_type.add(name="ParametersEntry")
    entry.field.extend([_field("key", 1), _field("value", 2, "Parameter")])
    entry.options.map_entry = True
    parameters = _field("parameters", 14, "Config.ParametersEntry")
    parameters.label = _Field.LABEL_REPEATED
    config.field.append(parameters)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = [pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in ("Request", "Response")]
    request, response = map(message_factory.GetMessageClass, found)
    return request, response


_Request, _Response = _messages()


def request_bytes(model: str) -> bytes:
    """A ModelConfigRequest for the newest version of `model`."""
    encoded: bytes = _Request(name=model).SerializeToString()
    return encoded


def parameter_of(response: bytes, name: str) -> str | None:
    """A string parameter of the config in a ModelConfigResponse; None where it has none.

    None as well for bytes that are no such message: whatever answers then is no Triton.
    """
    try:
        parameters = _Response.FromString(response).config.parameters
    except DecodeError:
        return None
    return str(parameters[name].string_value) if name in parameters else None
