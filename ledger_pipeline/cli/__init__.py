"""The command line, `ledger-pipeline COMMAND`; a command a module in `commands/`.

Exit codes: 0 done; 1 the ledger's answer is "no" (a check failed, drift, tampering, rejects); 2 wrong use or bad
input, with one line on stderr; 70 a defect of this program, with its traceback; 130 and 143 ended by a signal.

Commands import domain code when they run, not before: `--help` answers at once.
"""

from ledger_pipeline.cli.program import main, run

__all__ = ["main", "run"]
