"""The feature service of a contract: the vector of one model, as typed values.

The contract (`contracts.contract`) holds the services; `contracts.section` makes of one what a
release and the pod carry.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, model_validator

from feature_runtime.core.encodings import MAX_VOCABULARY, EncodingError, check_vocabulary
from feature_runtime.core.functions import CLOCK_FUNCTIONS, DERIVED_FUNCTIONS
from feature_runtime.core.release import MODEL_PATTERN
from proviso.contracts.base import Label, Name, Strict, Text, invalid

_REQUEST = ("field", *CLOCK_FUNCTIONS)
_OWN = {"pattern": r"^[a-z][a-z0-9_]{0,62}$", "type": "string"}
RequestFunction = Annotated[
    Name, WithJsonSchema({"anyOf": [{"enum": list(_REQUEST)}, _OWN], "type": "string"})
]
DerivedFunctionName = Annotated[
    Name, WithJsonSchema({"anyOf": [{"enum": list(DERIVED_FUNCTIONS)}, _OWN], "type": "string"})
]
"""A function of the runtime's registry, or one of the contract's `functions`."""


class RequestFeature(Strict):
    """A feature of the request and the scoring moment alone (feature_runtime.core.functions).

    field: what `field` copies; a timestamp field for a calendar function, which else is of the
    scoring moment. inputs: fields, or `scoring_ts`, of a function of the contract's own.
    """

    name: Name
    function: RequestFunction
    field: Name | None = None
    inputs: list[Name] = Field(default_factory=list)
    description: Text

    @model_validator(mode="after")
    def _inputs_fit(self) -> RequestFeature:
        if self.function == "field" and self.field is None:
            raise invalid("request_field_mismatch", "field without `field`", "the field to copy")
        if self.function in _REQUEST and self.inputs:
            found = f"{self.function} with inputs"
            raise invalid("request_field_mismatch", found, "inputs only for functions of its own")
        if self.function not in _REQUEST and self.field is not None:
            found = f"{self.function} with field {self.field}"
            raise invalid("request_field_mismatch", found, "inputs: [...] for functions of its own")
        return self

    @property
    def columns(self) -> list[str]:
        """The fields, and `scoring_ts`, that it is computed from."""
        return [self.field] if self.field is not None else self.inputs


class DerivedFeature(Strict):
    """A feature of other features, computed in the encoder after policies are applied."""

    name: Name
    function: DerivedFunctionName
    inputs: Annotated[list[Text], Field(min_length=1)]
    description: Text


class ServiceEncoding(Strict):
    """How a categorical element of the vector becomes numbers (feature_runtime.core.encodings).

    vocabulary: its values in order; or max_size: the most frequent ones of the training window,
    at most so many, are learnt.
    """

    kind: Literal["ordinal", "one_hot"]
    vocabulary: list[bool | int | str] | None = None
    max_size: Annotated[int, Field(ge=1, le=MAX_VOCABULARY)] | None = None

    @model_validator(mode="after")
    def _usable(self) -> ServiceEncoding:
        if (self.vocabulary is None) == (self.max_size is None):
            found = "neither vocabulary nor max_size" if self.vocabulary is None else "both"
            wanted = "a vocabulary, or the size of a learnt one"
            raise invalid("vocabulary_ambiguous", found, wanted)
        try:
            check_vocabulary(self.kind, range(self.max_size or 0))
            check_vocabulary(self.kind, self.vocabulary or ())
        except EncodingError as error:
            found, _, wanted = str(error).removeprefix("found ").partition(", wanted ")
            raise invalid("vocabulary_invalid", found, wanted) from None
        return self


class FeatureService(Strict):
    """The features that one model version consumes together, in the order of its vector.

    observations: what it predicts; left out, the only source of kind `observations`. numbers:
    `double` where int64 and bool fields are FP64 in a request, as in version 1. encodings: by
    request or derived feature, or `view:feature`.
    """

    name: Name
    model: Annotated[str, Field(pattern=rf"^{MODEL_PATTERN}$")]
    description: Text
    owner: Label
    observations: Name | None = None
    fields: Annotated[list[Name], Field(min_length=1)]
    numbers: Literal["typed", "double"] = "typed"
    request_features: Annotated[list[RequestFeature], Field(min_length=1)]
    features: Annotated[list[str], Field(min_length=1)]
    derived_features: list[DerivedFeature] = Field(default_factory=list)
    encodings: dict[Text, ServiceEncoding] = Field(default_factory=dict)
