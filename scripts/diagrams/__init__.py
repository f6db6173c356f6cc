"""The book's diagrams, drawn as SVG with the standard library alone; README.md describes their look."""
