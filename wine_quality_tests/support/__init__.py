"""Servers, clients and stand-ins that tests start and share."""
