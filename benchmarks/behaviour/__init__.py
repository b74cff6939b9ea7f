"""`make bench-behaviour`: the measures of paper 1 against DuckDB on the same files."""
