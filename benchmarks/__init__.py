"""Benchmarks of this repository: ``python -m benchmarks``. They print a table and write a record."""
