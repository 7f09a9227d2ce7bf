"""What tests start and share: servers, clients, stand-ins."""
