"""SeaweedFS as the stack's store: its users, its ports, its end. Where its program is (a lock file
of its own, deploy/requirements/seaweedfs.txt), else nothing here runs."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from wine_quality.environments.process_groups import group_lives
from wine_quality.stack import objects, seaweedfs
from wine_quality.stack.buckets import s3_client
from wine_quality.stack.settings import EXAMPLE, StackError, read_file
from wine_quality.stack.supervisor import Supervisor
from wine_quality_tests.support.servers import await_condition, free_port

pytestmark = pytest.mark.slow


class Store:
    """The service and the task that makes its buckets, watched as in the stack."""

    def __init__(self, folder) -> None:
        self.settings = {**read_file(EXAMPLE), "WINE_QUALITY_ASSETS_SECRET": "assets-secret"}
        self.settings.update(AWS_ACCESS_KEY_ID="mlflowkey", AWS_SECRET_ACCESS_KEY="mlflow-secret")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.settings["AWS_ENDPOINT_URL"] = self.url
        self.service = objects.store_service(folder / "s3", self.settings, port, free_port())
        task = objects.bucket_task(folder / "s3", self.settings, ("s3",))
        self.lines: list[str] = []
        self.supervisor = Supervisor([self.service, task], folder, self.lines.append, {})
        self.supervisor.start()

    def client(self, key: str, secret: str):
        place = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return s3_client(self.settings[key], self.settings[secret], 20, **place)

    @property
    def pid(self) -> int:
        return self.supervisor.state()["services"]["s3"]["pid"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    try:
        seaweedfs.find_program()
    except StackError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(str(objects.STORE), "seaweedfs")
        running = Store(tmp_path_factory.mktemp("stack"))
        try:
            yield running
        finally:
            left = running.pid
            running.supervisor.stop()
            assert not group_lives(left)


def test_each_user_has_one_bucket(store):
    from botocore.exceptions import ClientError

    mlflow = store.client("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assets = store.client("WINE_QUALITY_ASSETS_KEY", "WINE_QUALITY_ASSETS_SECRET")
    for client, own, other in (
        (mlflow, "mlflowbucket", "assetsbucket"),
        (assets, "assetsbucket", "mlflowbucket"),
    ):
        client.put_object(Bucket=own, Key="a/b", Body=b"wine")
        assert client.get_object(Bucket=own, Key="a/b", Range="bytes=2-100")["Body"].read() == b"ne"
        for refused in (
            lambda: client.get_object(Bucket=other, Key="a/b"),  # noqa: B023
            lambda: client.put_object(Bucket=other, Key="a/b", Body=b""),  # noqa: B023
            lambda: client.list_objects_v2(Bucket=other),  # noqa: B023
            lambda: client.delete_object(Bucket=other, Key="a/b"),  # noqa: B023
            lambda: client.create_bucket(Bucket="another"),  # noqa: B023
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                refused()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        store.client("AWS_ACCESS_KEY_ID", "WINE_QUALITY_ASSETS_SECRET").list_buckets()


def test_the_services_behind_it_answer_nobody_without_a_token(store):
    store.client("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY").put_object(
        Bucket="mlflowbucket", Key="secret", Body=b"x" * 5000
    )
    options = dict(
        part.lstrip("-").split("=", 1) for part in store.service.command if part.startswith("-f")
    )
    address = f"http://127.0.0.1:{options['filer.port']}/buckets/mlflowbucket/secret"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address, timeout=10)
    given = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True).stdout
    listening = [line.split()[3] for line in given.splitlines() if f"pid={store.pid}," in line]
    assert listening, "ss shows no port of the store's"
    assert [place for place in listening if not place.startswith("127.0.0.1:")] == []


def test_objects_outlive_a_killed_store(store):
    client = store.client("WINE_QUALITY_ASSETS_KEY", "WINE_QUALITY_ASSETS_SECRET")
    client.put_object(Bucket="assetsbucket", Key="kept", Body=b"y" * 100_000)
    before = store.pid
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        store.supervisor.step()
        services = store.supervisor.state()["services"]["s3"]
        return services["ready"] and services["pid"] != before

    await_condition(is_back, "the store to come back", 60)
    again = client.get_object(Bucket="assetsbucket", Key="kept")["Body"].read()
    assert again == b"y" * 100_000
