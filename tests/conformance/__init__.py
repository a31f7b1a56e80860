"""The conformance suite of the Memory Interchange Protocol: bundles with the verdicts that every reader has to give.

`vectors.json` and `vectors/` hold the bundles, `run.py` puts them before a reader, `reader.py` is a reader in one file.
Neither needs this package: copy the folder, and run `python run.py -- python reader.py`. `make.py` made the bundles.
"""
