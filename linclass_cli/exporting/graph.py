"""An ONNX graph, put together node by node. The only module that loads the package onnx, an extra."""

from __future__ import annotations

from typing import Any

import numpy as np

from linclass_cli import __version__
from linclass_cli.errors import MissingError, how_to_install

Array = np.ndarray[Any, np.dtype[Any]]
OPSET = 17
IR_VERSION = 8  # the one of that opset: runtimes refuse those that they do not know yet
Shape = list[int | str | None]


class Graph:
    """Nodes and constants. Values are known by their names."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingError(
                f"the package onnx is not there ({error}): {how_to_install('onnx')}"
            ) from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node of one output; its name."""
        output = output or self._name(op)
        self._nodes.append(self._onnx.helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """An array that is stored in the model; its name."""
        name = self._name("constant")
        array = np.ascontiguousarray(values, dtype).reshape(np.shape(values))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def reshape(self, value: str, *shape: int) -> str:
        """The value in another shape; -1: whatever is left."""
        return self.add("Reshape", value, self.constant(shape, np.int64))

    def slice(self, value: str, axis: int, start: int, stop: int) -> str:
        """A part of the value along one axis; negative numbers count from its end."""
        one = [self.constant([x], np.int64) for x in (start, stop, axis)]
        return self.add("Slice", value, *one)

    def cast(self, value: str, dtype: Any) -> str:
        return self.add("Cast", value, to=self._type(dtype))

    def model(
        self,
        inputs: dict[str, tuple[Any, Shape]],
        outputs: dict[str, tuple[Any, Shape]],
        about: dict[str, str],
        text: str,
    ) -> bytes:
        """The checked model as bytes. Inputs and outputs: dtype and shape; a text in a shape: any size."""
        helper = self._onnx.helper

        def values(given: dict[str, tuple[Any, Shape]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, self._type(dtype), shape)
                for name, (dtype, shape) in given.items()
            ]

        graph = helper.make_graph(
            self._nodes, "linclass", values(inputs), values(outputs), self._constants, doc_string=text
        )
        model = helper.make_model(
            graph,
            producer_name="linclass",
            producer_version=__version__,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
            doc_string=text,
        )
        helper.set_model_props(model, about)
        self._onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"

    def _type(self, dtype: Any) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
