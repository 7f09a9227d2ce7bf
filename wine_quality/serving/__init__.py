"""Serving a registered model over the Open Inference Protocol (V2) with MLServer."""
