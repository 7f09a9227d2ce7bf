"""``model_deployment``: writes what serves a version, and applies it to a target."""
