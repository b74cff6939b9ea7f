"""Ingest: a crawl in one of four formats becomes posts, pictures, users and quarantine."""
