"""Triton's ModelConfig call, which kserve's protobuf lacks: perf_analyzer asks for it over gRPC.

The messages are the part of Triton's model_config.proto that a pod has something to say about, by
the same names and field numbers. They stand in a pool of their own: a process that loads
tritonclient has the whole of them in the common one, where a second copy is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

METHOD = "ModelConfig"

_NAMES = {
    "ModelConfigRequest": [("name", 1, "string"), ("version", 2, "string")],
    "ModelConfigResponse": [("config", 1, "ModelConfig")],
    "ModelConfig": [
        ("name", 1, "string"),
        ("platform", 2, "string"),
        ("max_batch_size", 4, "int32"),
        ("input", 5, "ModelInput*"),
        ("output", 6, "ModelOutput*"),
        ("backend", 17, "string"),
    ],
    "ModelInput": [
        ("name", 1, "string"),
        ("data_type", 2, "DataType"),
        ("dims", 4, "int64*"),
        ("optional", 8, "bool"),
    ],
    "ModelOutput": [("name", 1, "string"), ("data_type", 2, "DataType"), ("dims", 3, "int64*")],
}
_DATA_TYPES = {
    "TYPE_INVALID": 0,
    "TYPE_BOOL": 1,
    "TYPE_INT64": 9,
    "TYPE_FP64": 12,
    "TYPE_STRING": 13,
}
_SCALARS = {
    "string": Field.TYPE_STRING,
    "bool": Field.TYPE_BOOL,
    "int32": Field.TYPE_INT32,
    "int64": Field.TYPE_INT64,
    "DataType": Field.TYPE_ENUM,
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="proviso_model_config.proto", package="inference", syntax="proto3"
    )
    enum = file.enum_type.add(name="DataType")
    for name, number in _DATA_TYPES.items():
        enum.value.add(name=name, number=number)
    for name, fields in _NAMES.items():
        _add_fields(file.message_type.add(name=name), fields)
    return file


def _add_fields(
    message: descriptor_pb2.DescriptorProto, fields: Sequence[tuple[str, int, str]]
) -> None:
    for name, number, kind in fields:
        one, repeated = kind.rstrip("*"), kind.endswith("*")
        field = message.field.add(name=name, number=number)
        field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
        field.type = _SCALARS.get(one, Field.TYPE_MESSAGE)
        if one == "DataType" or one not in _SCALARS:
            field.type_name = f".inference.{one}"


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"inference.{name}"))


ModelConfigRequest = _message("ModelConfigRequest")
ModelConfigResponse = _message("ModelConfigResponse")
