"""The platform in containers, with SeaweedFS and a stand-in for PostgreSQL where images cannot be had."""
