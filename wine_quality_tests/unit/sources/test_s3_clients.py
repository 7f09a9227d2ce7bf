"""Clients of S3 in one process: what they share, and what they do not."""

from __future__ import annotations

from wine_quality.sources.s3 import s3_options


def test_they_share_what_botocore_parsed_of_its_own_files():
    one, other = (s3_options(1)["session"] for _ in range(2))
    assert one is not other
    assert one.get_component("data_loader") is other.get_component("data_loader")


def test_each_has_the_files_of_its_own_folder(monkeypatch, tmp_path):
    before = s3_options(1)["session"].get_component("data_loader")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    after = s3_options(1)["session"].get_component("data_loader")
    assert str(tmp_path) in after.search_paths
    assert str(tmp_path) not in before.search_paths
