"""Tests without servers, in folders that mirror the package."""
