"""Small shell programs that stand in for java, python and spark-submit."""

from __future__ import annotations

from pathlib import Path


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def java(home: Path, version: str, vector: bool = True, states_home: bool = True) -> Path:
    """A JAVA_HOME whose `java -version` says `version`; without `vector` it refuses Spark's module, as Java does."""
    stated = f'echo "    java.home = {home}" >&2' if states_home else ":"
    program(
        home / "bin" / "java",
        f"""
for argument do
  case "$argument" in
    --add-modules=*) {"continue" if vector else 'echo "Module jdk.incubator.vector not found" >&2; exit 1'} ;;
    -XshowSettings:properties) {stated} ;;
  esac
done
echo 'openjdk version "{version}" 2025-04-15' >&2
""",
    )
    return home
