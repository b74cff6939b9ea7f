"""The demo crawl, made from photographs that installed packages carry. README.md says what is in it and why."""
