"""The picture pass, measured: `make bench-pictures`."""
