"""Errors meant for the person at the keyboard: the CLI prints the message alone, without a traceback."""


class ReproError(Exception):
    """Something the user can mend. The message names the file, the value found, the value expected and the way out.

    ``exit_code`` is the status with which the CLI ends.
    """

    exit_code = 2


class Interrupted(ReproError):
    """A training saved its state because it was asked to stop (SIGTERM, SIGINT); run it again to go on."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


class Diverged(ReproError):
    """A loss or a weight is not finite; the last good state was kept."""

    exit_code = 76


class StorageFull(ReproError):
    """The state could not be written; the last good state was kept."""

    exit_code = 74  # EX_IOERR of sysexits.h
