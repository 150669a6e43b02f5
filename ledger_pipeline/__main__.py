"""`python -m ledger_pipeline` is the console script."""

from ledger_pipeline.cli import main

if __name__ == "__main__":
    main()
