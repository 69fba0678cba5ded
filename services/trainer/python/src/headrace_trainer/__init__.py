"""Training runtime of Headrace: `python -m headrace_trainer train --spec SPEC.json --out OUTDIR`."""

__version__ = "0.1.0"
