"""What networks call what they see."""

from __future__ import annotations

import functools

from profilelake.config import conf_dir


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """The first name of every ImageNet-1k class, by index, from conf/lexicons/imagenet.txt."""
    lines = (conf_dir() / "lexicons" / "imagenet.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
