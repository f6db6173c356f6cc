"""The ladder: every model of the course on one split with one tokenizer, from counting to attention.

python -m benchmarks.ladder [--setting NAME ...] [--model NAME ...] [--out DIR] [--quick] [--text PATH]

It works through trials (a fixed number per model, to choose its settings), then the runs themselves, several
seeds each. What has a record already is skipped, so that it can be stopped at any moment and gone on with.
"""
