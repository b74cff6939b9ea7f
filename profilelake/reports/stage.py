"""The stage `report`: what the lake holds, as one HTML page at `report.path`. It reads tables and writes none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.reports import facts, page, publish


def check(config: Config) -> None:
    """What can be said about the report's folder before Spark starts.

    Raises:
        ConfigError: it is local and cannot be made or written to.
    """
    folder = publish.local_path(config.report.path)
    if folder is None:
        return
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"report.path must be a folder: {config.report.path} cannot be one, since {there} is a file")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"report.path: {config.report.path} cannot be written, since {there} may not be written to")


@stage("report")
def run(context: Context) -> StageReport:
    """Write `index.html`. Its rows in and out are the users that it shows.

    Raises:
        ProfilelakeError: `report.path` cannot be written.
    """
    config = context.config
    said = facts.gather(context.lake, config, context.run_id)
    thumbnails = facts.thumbnails(context.lake, page.wanted(said), page.SIDE, config.crawl.max_image_pixels)
    html = page.render(said, thumbnails)
    with tempfile.TemporaryDirectory(prefix="profilelake-report-") as folder:
        size = Path(folder, "index.html").write_bytes(html.encode("utf-8"))
        publish.copy_folder(context.spark, folder, config.report.path)
    warnings = []
    if size >= page.MAX_BYTES:
        warnings.append(
            f"the page has {size / 1e6:.1f} MB: {len(said.users):,} users are listed, set report.users lower"
        )
    return StageReport(
        "report",
        rows_in=len(said.users),
        rows_out=len(said.users),
        counters={"categories": len(said.categories), "pictures": len(thumbnails), "kilobytes": size // 1000},
        warnings=warnings,
    )


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Nothing: the report is always made anew and touches no table."""
    return {}
