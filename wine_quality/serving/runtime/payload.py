"""From what was received to what MLServer's data plane passes on to the model."""

from __future__ import annotations

from typing import Any

from mlserver.types import InferenceRequest

from .tensors import Received


def inference_request(received: Received) -> Any:
    """Not validated by Pydantic, which has nothing to add."""
    return InferenceRequest.model_construct(
        id=received.id,
        parameters=None,
        inputs=received.inputs,
        outputs=received.outputs,
    )
