"""The platform in containers; where images cannot be had, with SeaweedFS and a plain PostgreSQL."""
