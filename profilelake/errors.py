"""Errors that end a job, each with the exit status that a scheduler sees."""


class ProfilelakeError(Exception):
    """A job cannot go on. The message is one sentence for a person: what, where, what to do."""

    exit_code = 1


class ConfigError(ProfilelakeError):
    """A wrong argument or configuration, a missing crawl, a bad checksum, a lake of another format."""

    exit_code = 2


class TooManyBadRecords(ProfilelakeError):
    """More of a stage's input is bad than `quarantine.max_share` allows."""

    exit_code = 3


class LakeLocked(ProfilelakeError):
    """Another run holds the lake."""

    exit_code = 4
