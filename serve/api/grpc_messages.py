"""The messages of the protocol over gRPC, built from a table of their fields: no generated code, protobuf from 4.22 on.

Names and numbers of fields are the public interface that clients were generated from
(https://github.com/kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto), and for the
extensions Triton's (https://github.com/triton-inference-server/common, protobuf/). They lie in a pool of their own:
a client of the same protocol in this process brings the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

__all__ = ["PACKAGE", "messages"]

PACKAGE: Final = "inference"

_TABLE: Final = """
ServerLiveRequest
ServerLiveResponse      live:bool=1
ServerReadyRequest
ServerReadyResponse     ready:bool=1
ModelReadyRequest       name:string=1 version:string=2
ModelReadyResponse      ready:bool=1
ServerMetadataRequest
ServerMetadataResponse  name:string=1 version:string=2 extensions:string*=3
ModelMetadataRequest    name:string=1 version:string=2
ModelMetadataResponse   name:string=1 versions:string*=2 platform:string=3 inputs:TensorMetadata*=4 \
                        outputs:TensorMetadata*=5 parameters:Parameter%=6
TensorMetadata          name:string=1 datatype:string=2 shape:int64*=3 parameters:Parameter%=4
Parameter               bool_param:bool?=1 int64_param:int64?=2 string_param:string?=3 double_param:double?=4 \
                        uint64_param:uint64?=5
Contents                bool_contents:bool*=1 int_contents:int32*=2 int64_contents:int64*=3 uint_contents:uint32*=4 \
                        uint64_contents:uint64*=5 fp32_contents:float*=6 fp64_contents:double*=7 bytes_contents:bytes*=8
ModelInferRequest       model_name:string=1 model_version:string=2 id:string=3 parameters:Parameter%=4 \
                        inputs:Tensor*=5 outputs:Wanted*=6 raw_input_contents:bytes*=7
ModelInferResponse      model_name:string=1 model_version:string=2 id:string=3 parameters:Parameter%=4 \
                        outputs:Tensor*=5 raw_output_contents:bytes*=6
Tensor                  name:string=1 datatype:string=2 shape:int64*=3 parameters:Parameter%=4 contents:Contents=5
Wanted                  name:string=1 parameters:Parameter%=2
ModelStreamInferResponse error_message:string=1 infer_response:ModelInferResponse=2
RepositoryIndexRequest  repository_name:string=1 ready:bool=2
RepositoryIndexResponse models:ModelIndex*=1
ModelIndex              name:string=1 version:string=2 state:string=3 reason:string=4
ModelConfigRequest      name:string=1 version:string=2
ModelConfigResponse     config:ModelConfig=1
ModelConfig             name:string=1 platform:string=2 backend:string=17 max_batch_size:int32=4 input:ModelInput*=5 \
                        output:ModelOutput*=6
ModelInput              name:string=1 data_type:int32=2 dims:int64*=4 reshape:Reshape=5 optional:bool=8
ModelOutput             name:string=1 data_type:int32=2 dims:int64*=3 reshape:Reshape=5
Reshape                 shape:int64*=1
ModelStatisticsRequest  name:string=1 version:string=2
ModelStatisticsResponse model_stats:ModelStatistics*=1
ModelStatistics         name:string=1 version:string=2 last_inference:uint64=3 inference_count:uint64=4 \
                        execution_count:uint64=5 inference_stats:InferStatistics=6
InferStatistics         success:Duration=1 fail:Duration=2 queue:Duration=3 compute_input:Duration=4 \
                        compute_infer:Duration=5 compute_output:Duration=6
Duration                count:uint64=1 ns:uint64=2
"""
"""One message a line: NAME:TYPE=NUMBER; * is repeated, % a map from text, ? one of the message's alternatives."""

_TYPES: Final = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip
"""Numbers of the types in descriptor.proto."""

_MESSAGE: Final = 11
_ONE, _MANY = 1, 3


@cache
def messages() -> Mapping[str, Any]:
    """The classes of all messages by name.

    Raises
    ------
    ModuleNotFoundError
        If protobuf is not installed.
    """
    names = ("descriptor_pb2", "descriptor_pool", "message_factory")
    pb2, descriptor_pool, factory = (import_module(f"google.protobuf.{name}") for name in names)
    file = pb2.FileDescriptorProto(name="hashwarden_inference.proto", package=PACKAGE, syntax="proto3")
    lines = [line.split() for line in _TABLE.strip().splitlines()]
    for name, *fields in lines:
        _add(file.message_type.add(name=name), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name, *_ in lines}


def _add(message: Any, fields: list[str]) -> None:  # noqa: ANN401  protobuf's descriptors
    for each in fields:
        words, _, number = each.partition("=")
        name, _, kind = words.partition(":")
        if kind.endswith("?") and not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        if kind.endswith("%"):
            _add_map(message, name, kind[:-1], int(number))
            continue
        field = message.field.add(name=name, number=int(number), label=_MANY if kind.endswith("*") else _ONE)
        if kind.endswith("?"):
            field.oneof_index = 0
        _typed(field, kind.rstrip("*?"))


def _add_map(message: Any, name: str, kind: str, number: int) -> None:  # noqa: ANN401
    """A map is a repeated message of a key and a value, nested in the one that has it."""
    entry = message.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    _typed(entry.field.add(name="key", number=1, label=_ONE), "string")
    _typed(entry.field.add(name="value", number=2, label=_ONE), kind)
    field = message.field.add(name=name, number=number, label=_MANY)
    _typed(field, f"{message.name}.{entry.name}")


def _typed(field: Any, kind: str) -> None:  # noqa: ANN401
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = _MESSAGE, f".{PACKAGE}.{kind}"
