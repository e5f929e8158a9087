"""Every error a user can meet, one exit code per cause (docs/exit-codes.md).

A text begins with "cannot", names the thing and says what to do next. Errors carry one string, so that they
pickle and print the same everywhere.
"""


class MlbloatError(Exception):
    """Something that the user can act on; the text says how."""

    exit_code = 1


class BadImageError(MlbloatError):
    """The bytes of an image are not what its own metadata says, or are hostile."""


class RunError(MlbloatError):
    """A workload could not be started, timed out, or did not meet its expectations."""


class EngineError(MlbloatError):
    """This machine lacks what running or tracing a container needs."""


class PublishError(MlbloatError):
    """The slim image could not be written to its destination; nothing was left there."""


class UsageError(MlbloatError):
    """The command line, a workload file or a saved report is wrong."""

    exit_code = 2


class GateError(MlbloatError):
    """A threshold of `mlbloat check` was exceeded."""

    exit_code = 3


class ImageNotFoundError(MlbloatError):
    """No such image, or no permission to read it."""

    exit_code = 4


class VerificationError(MlbloatError):
    """The slim image does not behave like the original; it was not published."""

    exit_code = 5
