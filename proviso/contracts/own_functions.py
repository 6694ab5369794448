"""A project's own functions as its contract declares them, and their file.

`functions.py` lies beside the contract. What it may contain and how it is called is
feature_runtime's: `core/project_source.py`, `core/project_functions.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from feature_runtime.core.project_functions import INPUTS, OUTPUTS, Declaration
from proviso.contracts.base import Name, Strict, Text, invalid

if TYPE_CHECKING:
    InputDtype = str
    OutputDtype = str
else:  # the runtime decides which types there are
    InputDtype = Literal[INPUTS]
    OutputDtype = Literal[tuple(OUTPUTS)]


class OwnFunction(Strict):
    """A function of `functions.py`. inputs: dtypes by parameter, in order; min, max: inclusive."""

    name: Name
    description: Text
    inputs: Annotated[dict[Name, InputDtype], Field(min_length=1)]
    output: OutputDtype = "float64"
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> OwnFunction:
        if self.min is not None and self.max is not None and self.min > self.max:
            found = f"min {self.min:g} above max {self.max:g}"
            raise invalid("function_bounds_reversed", found, "min at most max")
        return self

    @property
    def declaration(self) -> Declaration:
        """What the runtime needs of it."""
        inputs = tuple(self.inputs.values())
        return Declaration(self.name, inputs, self.output, self.min, self.max)
