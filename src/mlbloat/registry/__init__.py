"""A client for registries: manifests, and blobs that are checked, resumed and never sent twice.

It knows nothing of images. Errors are RegistryError: whoever asked says what could not be done because of it.
"""

from mlbloat.registry.client import ManifestAnswer, Registry, open_registry
from mlbloat.registry.download import download, first_bytes
from mlbloat.registry.problem import AbsentError, BadContentError, DeniedError, RegistryError
from mlbloat.registry.reference import Reference, parse_reference
from mlbloat.registry.upload import check_push, put_manifest, upload

__all__ = [
    "AbsentError",
    "BadContentError",
    "DeniedError",
    "ManifestAnswer",
    "Reference",
    "Registry",
    "RegistryError",
    "check_push",
    "download",
    "first_bytes",
    "open_registry",
    "parse_reference",
    "put_manifest",
    "upload",
]
