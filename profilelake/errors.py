"""Errors that end a job, each with the exit status that a scheduler sees."""


class ProfilelakeError(Exception):
    """A job cannot go on. The message is one sentence for a person: what, where, what to do."""

    exit_code = 1


class ConfigError(ProfilelakeError):
    """A wrong argument or configuration, a missing crawl, a bad checksum, a lake of another format."""

    exit_code = 2


class TooManyBadRecords(ProfilelakeError):
    """More of a stage's input is bad than `quarantine.max_share` allows: of `read` rows `bad` went to quarantine."""

    exit_code = 3

    def __init__(self, message: str, read: int = 0, bad: int = 0) -> None:
        super().__init__(message)
        self.read = read
        self.bad = bad


class LakeLocked(ProfilelakeError):
    """Another run holds the lake."""

    exit_code = 4
