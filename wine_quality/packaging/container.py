"""How the container of a served model is run: its ports and its user, the same in every target."""

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8080, 8081, 8082
USER = 1000
