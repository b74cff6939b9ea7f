"""Build every user's profile: ingest, images, clusters, behaviour, interests, score, profiles, report."""

from __future__ import annotations

from collections.abc import Sequence

from profilelake import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.run_stages("build_profiles", None, str(__doc__), argv)


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
