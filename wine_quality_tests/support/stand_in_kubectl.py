"""A stand-in for kubectl: the calls that ``wine_quality.deployment.kubectl`` makes, and the words
in which kubectl 1.32 fails. Where the real one is, the same tests run with it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml


def write(folder: Path) -> Path:
    """The program, as an executable file."""
    program = folder / "kubectl"
    program.write_text(f"#!{sys.executable}\n" + Path(__file__).read_text())
    program.chmod(0o755)
    return program


def main() -> None:
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    contexts = [one["name"] for one in config["contexts"]]
    if sys.argv[1:] == ["config", "get-contexts", "-o", "name"]:
        print("\n".join(contexts))
        return
    options = _options()
    if options.context not in contexts:
        sys.exit(f'error: context "{options.context}" does not exist')
    server = config["clusters"][0]["cluster"]["server"]
    if options.verb == "apply":
        for document in yaml.safe_load_all(sys.stdin):
            _apply(server, document, options)
    else:
        kind, version, group = options.what.split(".", 2)
        plural = _kinds(server, f"{group}/{version}")[kind]
        path = f"{group}/{version}/namespaces/{options.namespace}/{plural}/{options.name}"
        print(json.dumps(_request(server, f"/apis/{path}")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--context", required=True)
    parser.add_argument("--request-timeout", required=True)
    verbs = parser.add_subparsers(dest="verb", required=True)
    apply = verbs.add_parser("apply")
    apply.add_argument("--server-side", action="store_true", required=True)
    apply.add_argument("--force-conflicts", action="store_true", required=True)
    apply.add_argument("--field-manager", required=True)
    apply.add_argument("--filename", choices=["-"], required=True)
    get = verbs.add_parser("get")
    get.add_argument("what")
    get.add_argument("name")
    get.add_argument("--namespace", required=True)
    get.add_argument("--output", choices=["json"], required=True)
    return parser.parse_args()


def _apply(server: str, document: dict[str, Any], options: argparse.Namespace) -> None:
    api, kind, about = document["apiVersion"], document["kind"], document["metadata"]
    plural = _kinds(server, api).get(kind.lower())
    if plural is None:
        sys.exit(
            f'error: resource mapping not found for name: "{about["name"]}" namespace: '
            f'"{about["namespace"]}" from "STDIN": no matches for kind "{kind}" in version '
            f'"{api}"\nensure CRDs are installed first'
        )
    path = f"/apis/{api}/namespaces/{about['namespace']}/{plural}/{about['name']}"
    query = f"?fieldManager={options.field_manager}&force=true"
    _request(server, path + query, yaml.safe_dump(document).encode())
    print(f"{kind.lower()}/{about['name']} serverside-applied")


def _kinds(server: str, api: str) -> dict[str, str]:
    groups = _request(server, "/apis")["groups"]
    if api not in [version["groupVersion"] for one in groups for version in one["versions"]]:
        return {}
    return {
        one["singularName"]: one["name"] for one in _request(server, f"/apis/{api}")["resources"]
    }


def _request(server: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    method = "GET" if body is None else "PATCH"
    request = urllib.request.Request(server + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        reply = json.load(error)
        sys.exit(f"Error from server ({reply['reason']}): {reply['message']}")
    except urllib.error.URLError:
        sys.exit(f"Unable to connect to the server: dial tcp {server}: connect: connection refused")


if __name__ == "__main__":
    main()
