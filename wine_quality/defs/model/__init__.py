"""``elasticnet_model``, ``evaluation_metrics`` and ``registered_model``, and what they share."""
