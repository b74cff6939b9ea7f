"""Evaluate the interests from pictures by those from tags (paper 2)."""

from __future__ import annotations

from collections.abc import Sequence

from profilelake import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.run_stages("evaluate_interests", ("evaluate_interests",), str(__doc__), argv)


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
