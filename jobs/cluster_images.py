"""Fit the categories, or assign new pictures to them."""

from __future__ import annotations

from collections.abc import Sequence

from profilelake import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.run_stages("cluster_images", ("clusters",), str(__doc__), argv)


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
