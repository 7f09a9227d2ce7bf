"""``make sbom``: a bill of materials in CycloneDX for each image, from the lock files.

What the base image brings (Debian's packages, Python itself) is not in it: the base is named.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

from wine_quality.paths import PROJECT_ROOT
from wine_quality.supply_chain.locks import Pin, images, pins

_BASE = re.compile(r"^ARG PYTHON=(\S+)$", re.MULTILINE)


def bill_of_materials(image: str, locks: list[Path]) -> dict[str, Any]:
    """CycloneDX 1.5; the same locks give the same document.

    Several versions of one package are several components: the image has an environment for each.
    """
    found: dict[tuple[str, str], Pin] = {}
    where: dict[tuple[str, str], list[str]] = {}
    for lock in locks:
        for pin in pins(lock):
            found.setdefault((pin.name, pin.version), pin)
            where.setdefault((pin.name, pin.version), []).append(lock.stem)
    components = [_component(found[key], where[key]) for key in sorted(found)]
    base = _BASE.search((PROJECT_ROOT / "deploy" / "images" / "mlflow.Dockerfile").read_text())
    assert base is not None
    content = json.dumps(components)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image + content)}",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": image, "bom-ref": image},
            "properties": [{"name": "wine_quality:base_image", "value": base[1]}],
        },
        "components": components,
    }


def _component(pin: Pin, locks: list[str]) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", pin.name).lower()
    purl = f"pkg:pypi/{name}@{pin.version}"
    properties = [{"name": "wine_quality:lock", "value": lock} for lock in locks]
    # One of these files is installed; which, is for the platform that it is installed on.
    properties += [{"name": "wine_quality:sha256", "value": sha256} for sha256 in pin.hashes]
    if pin.marker:
        properties.append({"name": "wine_quality:marker", "value": pin.marker})
    return {
        "type": "library",
        "name": name,
        "version": pin.version,
        "purl": purl,
        "bom-ref": purl,
        "properties": properties,
    }


def main() -> int:
    """Write them into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for image, locks in images().items():
        bill = bill_of_materials(image, locks)
        file = folder / f"{image}.cdx.json"
        file.write_text(json.dumps(bill, indent=1) + "\n")
        print(f"{file}: {len(bill['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
