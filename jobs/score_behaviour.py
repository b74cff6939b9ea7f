"""Score every user by the live models of selfie behaviour (paper 1)."""

from __future__ import annotations

from collections.abc import Sequence

from profilelake import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.run_stages("score_behaviour", ("score",), str(__doc__), argv)


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
