"""Networks as functions of SQL: `embed_<backbone>(content)`."""

from __future__ import annotations

import re
from dataclasses import replace

from pyspark.sql import SparkSession

from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.images.stage import pass_spec
from udfs import picture_pass
from udfs.embed_udf import embed_udf
from udfs.networks import BACKBONES
from udfs.weights import WeightsError

_CALL = re.compile(r"\bembed_(\w+)\s*\(", re.IGNORECASE)


def register(spark: SparkSession, config: Config, names: tuple[str, ...] | None = None) -> None:
    """Make `embed_<backbone>` functions of the session: encoded picture -> array<float>, NULL where it can't be
    decoded. They use the weights, precision, decode margin and device of the configuration.

    Args:
        names: backbones; None: those of `images.embed`.

    Raises:
        ConfigError: the weights of one are missing or not those that the configuration demands.
    """
    spec = pass_spec(config)
    for name in config.images.embed if names is None else names:
        try:
            one = picture_pass.pin(replace(spec, embed=(name,), label=(), faces=None))
        except WeightsError as error:
            raise ConfigError(str(error)) from error
        spark.udf.register(f"embed_{name}", embed_udf(one))


def register_called(spark: SparkSession, config: Config, statement: str) -> None:
    """`register` the backbones that a statement calls; other functions of such names are left to the session."""
    called = {name.lower() for name in _CALL.findall(statement)}
    register(spark, config, tuple(sorted(called & set(BACKBONES))))
