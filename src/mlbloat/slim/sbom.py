"""A CycloneDX 1.6 bill of materials of the slim image: what scanners find there, and what was kept of each package.

https://cyclonedx.org/docs/1.6/json/ and https://github.com/package-url/purl-spec. The subject is a container, not a
file system: scanners that read such documents tell an image by that.
"""

import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import mlbloat
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.slim.layout import SlimImage

if TYPE_CHECKING:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/mlbloat")
_OS_RELEASE = re.compile(r"(?m)^(ID|VERSION_ID)=[\"']?([^\"'\n]*)")
_MAX_OS_RELEASE_BYTES = 1 << 16


def cyclonedx(
    image: Image, tree: FileTree, slim: SlimImage, before: Inventory, after: Inventory, kept: frozenset[str], name: str
) -> str:
    """Return the document. `before` and `after` are the packages of the original and of the slim image.

    The same image gives the same text; a time is in it only where SOURCE_DATE_EPOCH gives one.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    distribution = _distribution(tree)
    originals = {package.key: package for package in before.packages}
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, slim.digest))
    subject = _component(name, str(slim.digest), ComponentType.CONTAINER, f"image@{slim.digest}", {})
    bom.metadata.component = subject
    components = {
        package.key: _package(package, originals.get(package.key, package), tree, kept, image, distribution)
        for package in after.packages
    }
    for component in components.values():
        bom.components.add(component)
    for package in after.packages:
        needed = (components[key] for key in package.requires if key in components)
        bom.register_dependency(components[package.key], tuple(needed))
    if distribution.get("ID"):
        system = distribution["ID"], distribution.get("VERSION_ID", "")
        bom.components.add(_component(*system, ComponentType.OPERATING_SYSTEM, "operating-system", {}))
    if bom.components:
        bom.register_dependency(subject, tuple(bom.components))  # an image holds all of them itself
    return _finished(json.loads(JsonV1Dot6(bom).output_as_string()), image)


def _finished(document: dict[str, object], image: Image) -> str:
    """Say which tool made it from what, and when, if that is told: the library would take the clock's word."""
    metadata = dict(document["metadata"])  # type: ignore[call-overload]  # an object, as the schema has it
    metadata.pop("timestamp", None)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if re.fullmatch(r"[0-9]{1,11}", epoch):
        metadata["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).isoformat()
    metadata["tools"] = {"components": [{"type": "application", "name": "mlbloat", "version": mlbloat.__version__}]}
    metadata["properties"] = [{"name": "mlbloat:original", "value": str(image.digest or image.id)}]
    return json.dumps({**document, "metadata": metadata}, indent=2, ensure_ascii=False) + "\n"


def _package(
    package: Package,
    original: Package,
    tree: FileTree,
    kept: frozenset[str],
    image: Image,
    distribution: Mapping[str, str],
) -> "Component":
    from cyclonedx.model.component import ComponentType
    from packageurl import PackageURL

    name, _, architecture = package.name.partition(":")
    purl = PackageURL(
        type={Manager.APT: "deb", Manager.PIP: "pypi"}.get(package.manager, str(package.manager)),
        namespace=distribution.get("ID", "debian") if package.manager is Manager.APT else None,
        name=name,
        version=package.version,
        qualifiers=_qualifiers(architecture or image.platform.architecture, distribution)
        if package.manager is Manager.APT
        else None,
    )
    staying = [path for path in original.files if path in kept]
    going = [path for path in original.files if path not in kept]
    properties = {
        "mlbloat:location": package.location,
        "mlbloat:files:kept": str(len(staying)),
        "mlbloat:files:removed": str(len(going)),
        "mlbloat:bytes:kept": str(_bytes(tree, staying)),
        "mlbloat:bytes:removed": str(_bytes(tree, going)),
    }
    return _component(package.name, package.version, ComponentType.LIBRARY, package.key, properties, purl)


def _component(
    name: str, version: str, kind: object, reference: str, properties: Mapping[str, str], purl: object = None
) -> "Component":
    from cyclonedx.model.component import Component

    return Component(
        name=name,
        version=version,
        type=kind,  # type: ignore[arg-type]  # imported where it is needed
        bom_ref=reference,
        purl=purl,  # type: ignore[arg-type]  # likewise
        properties=_properties(properties),
    )


def _properties(values: Mapping[str, str]) -> "Iterable[Property]":
    from cyclonedx.model import Property

    return tuple(Property(name=name, value=value) for name, value in values.items())


def _qualifiers(architecture: str, distribution: Mapping[str, str]) -> dict[str, str]:
    version = distribution.get("VERSION_ID")
    named = {"distro": f"{distribution['ID']}-{version}"} if version and distribution.get("ID") else {}
    return {"arch": architecture, **named}


def _bytes(tree: FileTree, paths: Iterable[str]) -> int:
    return sum({tree[path].inode: tree[path].size_bytes for path in paths if path in tree}.values())


def _distribution(tree: FileTree) -> dict[str, str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        entry = tree.find(path).entry
        if entry is not None and entry.kind is Kind.FILE:
            text = tree.read(entry, _MAX_OS_RELEASE_BYTES).decode("utf-8", "replace")
            return {match[1]: match[2] for match in _OS_RELEASE.finditer(text)}
    return {}
