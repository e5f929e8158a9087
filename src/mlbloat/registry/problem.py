"""Why a registry did not do what was asked.

A text is "why; what to do next" and names the registry: whoever asked puts in front what could not be done, and
chooses the class of errors.py.
"""


class RegistryError(Exception):
    """The registry does not answer, or answers with what this client cannot use."""


class AbsentError(RegistryError):
    """The registry has no such repository, tag, manifest or blob, or does not say that it has."""


class DeniedError(RegistryError):
    """The registry wants other credentials, or does not permit it."""


class BadContentError(RegistryError):
    """What came is not what its digest or size says, or is larger than allowed."""
