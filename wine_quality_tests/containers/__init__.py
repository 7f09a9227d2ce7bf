"""The platform in containers, with stand-ins for images that cannot be had."""
