"""The platform as local processes: the services of deploy/docker-compose without containers."""
