"""What an ONNX graph does with its image before the network begins: arithmetic with constants is a normalisation.

Read from the file's own encoding (protocol buffers; onnx.proto), of which a few fields are enough: the package onnx is
only needed to write files. Weights are passed over without being read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Buffer: TypeAlias = memoryview

# Numbers of the fields that are read, by message.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_FLOAT, _ATTRIBUTE_TENSOR, _ATTRIBUTE_FLOATS = 2, 5, 7
_TENSOR_DIMENSIONS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_INTEGERS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 5, 8, 9

_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_NUMBERS = {1: "<f4", 2: "u1", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
"""numpy's types of TensorProto's."""
_FLOAT16 = 10
_MOST_BYTES = 256
"""Of a constant that may be a normalisation: three numbers, or one, of any type, with its name."""

_NEUTRAL = {"Sub": 0, "Div": 1, "Mul": 1, "Add": 0}
"""Operators of a normalisation, and the constant with which they do nothing."""
_UNCHANGED = ("Cast", "Identity", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Clip", "Pad", "Resize")
"""Operators behind which an image is still that image, and a constant that constant."""
_BYTES_SLOPE = 0.1
"""An image is multiplied by less than this in all only where it comes in as 0 to 255."""


@dataclass(frozen=True)
class GraphStart:
    """What is done to the image before the first operator of the network."""

    operators: tuple[str, ...] = ()
    """Of arithmetic with one constant or one for each channel; empty where there is none."""
    takes_bytes: bool | None = None
    """Whether the image is expected as 0 to 255, not 0 to 1; None where the constants do not say."""


@dataclass
class _Node:
    """One operator of a graph."""

    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    constant: NDArray[np.float64] | None = None
    """Value of an attribute, for the operator Constant."""


def read_graph_start(path: Path, input_name: str) -> GraphStart:
    """What the graph does first with the input of that name; nothing for a file that cannot be made out."""
    try:
        with path.open("rb") as file:
            nodes, constants = _read_graph(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except (OSError, ValueError, IndexError, struct.error):
        return GraphStart()
    return _follow(nodes, constants, input_name)


def _follow(nodes: list[_Node], constants: dict[str, NDArray[np.float64]], input_name: str) -> GraphStart:
    """Nodes stand in the order of computation (ONNX IR, Graphs)."""
    image, operators = {input_name}, []
    slope: NDArray[np.float64] | None = np.ones(1)
    for node in nodes:
        first = node.inputs[0] if node.inputs else ""
        if node.constant is not None:
            constants[node.outputs[0]] = node.constant
        elif node.operator in _UNCHANGED and first in constants:
            constants[node.outputs[0]] = constants[first]
        elif node.operator in _UNCHANGED and first in image:
            image.update(node.outputs)
        elif node.operator in _NEUTRAL and image.intersection(node.inputs):
            others = [constants[name] for name in node.inputs if name in constants]
            if len(others) != 1:
                continue  # with another map of the network
            image.update(node.outputs)
            if (others[0] == _NEUTRAL[node.operator]).all():
                continue
            operators.append(node.operator)
            slope = _after(node.operator, slope, others[0])
    takes_bytes = None if slope is None or not operators else bool(np.abs(slope).max() < _BYTES_SLOPE)
    return GraphStart(tuple(operators), takes_bytes)


def _after(
    operator: str, slope: NDArray[np.float64] | None, constant: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """What the image has been multiplied by in all; None where that is not known any more."""
    if operator in ("Add", "Sub") or slope is None:
        return slope
    if operator == "Div":
        return None if (constant == 0).any() else slope / constant
    return slope * constant


def _read_graph(model: _Buffer) -> tuple[list[_Node], dict[str, NDArray[np.float64]]]:
    """The nodes, and by name the initializers that hold one number or three."""
    nodes: list[_Node] = []
    constants: dict[str, NDArray[np.float64]] = {}
    for number, graph in _fields(model):
        if number != _MODEL_GRAPH or isinstance(graph, int):
            continue
        for kind, content in _fields(graph):
            if isinstance(content, int):
                continue
            if kind == _GRAPH_NODE:
                nodes.append(_read_node(content))
            elif kind == _GRAPH_INITIALIZER and len(content) <= _MOST_BYTES:
                name, value = _read_tensor(content)
                if value is not None:
                    constants[name] = value
    return nodes, constants


def _read_node(message: _Buffer) -> _Node:
    node = _Node()
    attributes: list[_Buffer] = []
    for number, content in _fields(message):
        if isinstance(content, int):
            continue
        if number == _NODE_INPUT:
            node.inputs.append(_text(content))
        elif number == _NODE_OUTPUT:
            node.outputs.append(_text(content))
        elif number == _NODE_OPERATOR:
            node.operator = _text(content)
        elif number == _NODE_ATTRIBUTE:
            attributes.append(content)
    if node.operator == "Constant" and node.outputs and len(attributes) == 1 and len(attributes[0]) <= _MOST_BYTES:
        node.constant = _read_attribute(attributes[0])
    return node


def _read_attribute(message: _Buffer) -> NDArray[np.float64] | None:
    floats: list[float] = []
    for number, content in _fields(message):
        if isinstance(content, int):
            continue
        if number == _ATTRIBUTE_TENSOR:
            return _read_tensor(content)[1]
        if number in (_ATTRIBUTE_FLOAT, _ATTRIBUTE_FLOATS):
            floats += np.frombuffer(content, "<f4").tolist()
    return _as_constant(np.array(floats))


def _read_tensor(message: _Buffer) -> tuple[str, NDArray[np.float64] | None]:
    """Name and value; no value where it is not one number or three, or stands in another file."""
    name, kind = "", 0
    values: list[float] = []
    raw: _Buffer | None = None
    for number, content in _fields(message):
        if number == _TENSOR_TYPE and isinstance(content, int):
            kind = content
        elif number == _TENSOR_INTEGERS and isinstance(content, int):
            values.append(content)
        elif isinstance(content, int):
            continue
        elif number == _TENSOR_NAME:
            name = _text(content)
        elif number == _TENSOR_FLOATS:
            values += np.frombuffer(content, "<f4").tolist()
        elif number == _TENSOR_INTEGERS:
            values += _varints(content)
        elif number == _TENSOR_RAW:
            raw = content
    if kind not in _NUMBERS:
        return name, None
    if raw is not None:
        return name, _as_constant(np.frombuffer(raw, _NUMBERS[kind]))
    if kind == _FLOAT16:  # its bits as integers
        return name, _as_constant(np.array(values, np.uint16).view(np.float16))
    return name, _as_constant(np.array(values))


def _as_constant(values: NDArray[np.generic]) -> NDArray[np.float64] | None:
    return values.astype(np.float64) if values.size in (1, 3) else None


def _fields(message: _Buffer) -> Iterator[tuple[int, int | _Buffer]]:
    """Number and content of each field of a message: a whole number, or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _DELIMITED:
            length, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"no wire type of protocol buffers: {kind}")
        if at + length > len(message):
            raise ValueError("a field is longer than its message")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: _Buffer, at: int) -> tuple[int, int]:
    """A whole number of seven bits in each byte, least first, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _varints(message: _Buffer) -> list[int]:
    values, at = [], 0
    while at < len(message):
        value, at = _varint(message, at)
        values.append(value)
    return values


def _text(content: _Buffer) -> str:
    return bytes(content).decode("utf-8", "replace")
