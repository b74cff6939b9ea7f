"""Train and evaluate the models of selfie behaviour (paper 1), and let those go live that pass the gate."""

from __future__ import annotations

from collections.abc import Sequence

from profilelake import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; --help says what the arguments are."""
    return cli.run_stages("train_selfie", ("train_selfie",), str(__doc__), argv)


def console() -> None:
    cli.leave(main())


if __name__ == "__main__":
    console()
