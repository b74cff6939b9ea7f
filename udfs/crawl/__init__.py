"""Crawl formats, read record by record: each adapter turns one raw record into a `Record`, a `Fault` or `Ignored`."""
