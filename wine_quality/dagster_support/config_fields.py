"""The base of every config class: what Dagster's own pythonic config leaves open.

- A value that pydantic would refuse in the step (a bound, a validator) is refused when a run is
  launched, before it exists: Dagster's config schema knows types, but no bounds.
- What run config leaves out of a resource stays as the resource was built; Dagster itself falls
  back to the class's defaults as soon as run config names one field.
- The error of an unknown value lists the values there are.
- The help of a number shows how YAML wants it written.
- A resource's docstring is shown without its indentation, which Markdown would take for code.
"""

from __future__ import annotations

import enum
import inspect
import json
from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

from dagster import (
    Array,
    Config,
    ConfigurableIOManager,
    ConfigurableIOManagerFactory,
    ConfigurableResource,
    Field,
    Noneable,
    Shape,
)
from dagster import Enum as EnumType
from pydantic import BaseModel, ValidationError

from wine_quality.dagster_support.dagster_private import (
    DagsterUserCodeProcessError,
    DefinitionConfigSchema,
    PostProcessingError,
    SerializableErrorInfo,
)
from wine_quality.escaping import ProjectError

_BOUNDS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "finite_number": "finite",
}

_WRITTEN = "Write 0.001 or 1.0e-3: 1e-3 and 0,001 are text to YAML."


def _explain_number_format(model: type[BaseModel]) -> None:
    """Add it to the help of each field of floats; a subclass has it already."""
    for field in model.model_fields.values():
        help_text = field.description or ""
        if _has_float(field.annotation) and not help_text.endswith(_WRITTEN):
            field.description = f"{help_text} {_WRITTEN}".lstrip()


def _has_float(annotation: Any) -> bool:
    return annotation is float or any(_has_float(one) for one in get_args(annotation))


class RefusedValueError(ProjectError, PostProcessingError, DagsterUserCodeProcessError):
    """A line for each field that was refused, which begins with the field's name.

    Dagster shows the message of the second base class as it is, and no traceback.
    """

    def __init__(self, message: str) -> None:
        shown = SerializableErrorInfo(message=message, stack=[], cls_name=type(self).__name__)
        DagsterUserCodeProcessError.__init__(self, message, user_code_process_error_infos=[shown])


class CheckedConfig(Config):
    """Config of an asset or an op whose bounds are checked when a run is launched."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        _explain_number_format(cls)
        _check_at_launch(cls, cls.to_config_schema().as_field().config_type)


class _KeepsItsValues:
    """A resource whose config schema has the instance's values as defaults."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)  # type: ignore[misc]
        cls.__doc__ = inspect.getdoc(cls)  # Dagster shows the raw text, as Markdown
        _explain_number_format(cls)  # type: ignore[arg-type]

    @property
    def _config_schema(self) -> DefinitionConfigSchema:
        """The schema that Dagster takes for the resource (``ConfigurableResourceFactory``), with
        the instance's values as defaults."""
        whole = super()._config_schema.as_field()  # type: ignore[misc]
        given = self._resolved_config_dict  # type: ignore[attr-defined]
        fields = {
            name: _with_default(field, given[name]) if name in given else field
            for name, field in whole.config_type.fields.items()
        }
        shape = Shape(fields)
        _check_at_launch(type(self), shape)  # type: ignore[arg-type]
        return DefinitionConfigSchema(
            Field(
                shape,
                default_value=whole.default_value,
                is_required=False,
                description=whole.description,
            )
        )


class CheckedResource(_KeepsItsValues, ConfigurableResource):
    """A resource whose bounds are checked at launch, and which keeps the values it was built with
    where run config names others."""


class CheckedIOManager(_KeepsItsValues, ConfigurableIOManager):
    """The same for an IO manager."""


class CheckedIOManagerFactory(_KeepsItsValues, ConfigurableIOManagerFactory):
    """The same for what makes an IO manager."""


def _with_default(field: Field, value: Any) -> Field:
    return Field(
        field.config_type, default_value=value, is_required=False, description=field.description
    )


def _check_at_launch(model: type[BaseModel], shape: Any) -> None:
    """Have Dagster build ``model`` from what run config gives when it resolves run config.

    Dagster keeps one ``Shape`` for equal fields, so that what it makes for an asset of this config
    class is the object that is changed here.
    """
    if not shape.fields:
        return  # that object is everybody's
    shape.post_process = partial(_build, model)
    for field in shape.fields.values():
        _name_values(field.config_type)


def _name_values(config_type: Any) -> None:
    """Put an enum's values into its type's name: Dagster's errors show only the name."""
    if isinstance(config_type, (Noneable, Array)):
        _name_values(config_type.inner_type)
    elif isinstance(config_type, EnumType):
        values = [json.dumps(value) for value in config_type.config_values]
        quoted = (
            "; quote it" if any(_looks_like_a_number(v) for v in config_type.config_values) else ""
        )
        config_type.given_name = f"{config_type.key} (one of {', '.join(values)}{quoted})"
        vars(config_type).pop("snapshot", None)  # made with the shorter name, when it was


def _looks_like_a_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _build(model: type[BaseModel], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` as they are.

    Raises:
        RefusedValueError: names each field that ``model`` refuses, its value and what it may be.
    """
    try:
        model(**values)
    except ValidationError as error:
        raise RefusedValueError("\n".join(describe_problems(error))) from None
    return values


def describe_problems(error: ValidationError) -> list[str]:
    """A sentence for each field that was refused, without pydantic's own wrapping."""
    return [_describe(problem) for problem in error.errors(include_url=False)]


def _describe(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "value_error":
        message = str(problem["ctx"]["error"])
        return message if place in message else f"{place}: {message}"
    bound = _BOUNDS.get(problem["type"])
    if bound:
        limits = {name: _plain(limit) for name, limit in problem.get("ctx", {}).items()}
        allowed = bound.format(**limits)
    else:
        allowed = problem["msg"].removeprefix("Input should be ")
    return f"{place} is {_shown(problem['input'])}; it must be {allowed}"


def _plain(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _shown(value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    return "null" if value is None else repr(value)
