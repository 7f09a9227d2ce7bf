"""From a received request to the request that MLServer's data plane passes to the model."""

from __future__ import annotations

from typing import Any

from mlserver.types import InferenceRequest

from .tensors import Received


def inference_request(received: Received) -> Any:
    """MLServer's request, made without Pydantic's validation: ``received`` is checked already."""
    return InferenceRequest.model_construct(
        id=received.id,
        parameters=None,
        inputs=received.inputs,
        outputs=received.outputs,
    )
