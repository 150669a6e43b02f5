"""The commands, in the order that `--help` shows them."""

import click

from ledger_pipeline.cli.commands.adopt import adopt
from ledger_pipeline.cli.commands.api import api
from ledger_pipeline.cli.commands.budgets import budgets
from ledger_pipeline.cli.commands.checkpoint import checkpoint
from ledger_pipeline.cli.commands.daily import daily
from ledger_pipeline.cli.commands.demo import demo
from ledger_pipeline.cli.commands.events import events
from ledger_pipeline.cli.commands.export import export_group
from ledger_pipeline.cli.commands.feed import feed
from ledger_pipeline.cli.commands.import_ import import_group
from ledger_pipeline.cli.commands.migrate import migrate
from ledger_pipeline.cli.commands.notebook import notebook
from ledger_pipeline.cli.commands.people import members, people
from ledger_pipeline.cli.commands.prices import prices
from ledger_pipeline.cli.commands.projections import projections
from ledger_pipeline.cli.commands.prove import prove
from ledger_pipeline.cli.commands.prune import prune
from ledger_pipeline.cli.commands.psql import psql
from ledger_pipeline.cli.commands.query import query
from ledger_pipeline.cli.commands.recover import recover
from ledger_pipeline.cli.commands.replay import replay
from ledger_pipeline.cli.commands.report import report
from ledger_pipeline.cli.commands.restore import restore
from ledger_pipeline.cli.commands.retention import retention
from ledger_pipeline.cli.commands.roll import roll
from ledger_pipeline.cli.commands.seed import seed
from ledger_pipeline.cli.commands.simulate import simulate
from ledger_pipeline.cli.commands.sql import sql
from ledger_pipeline.cli.commands.templates import templates
from ledger_pipeline.cli.commands.up import up
from ledger_pipeline.cli.commands.verify import verify
from ledger_pipeline.cli.commands.workflow import workflow

COMMANDS: tuple[click.Command, ...] = (
    demo,
    up,
    migrate,
    seed,
    simulate,
    import_group,
    export_group,
    daily,
    roll,
    restore,
    prune,
    retention,
    query,
    events,
    replay,
    feed,
    verify,
    projections,
    adopt,
    recover,
    checkpoint,
    prove,
    prices,
    budgets,
    templates,
    workflow,
    people,
    members,
    report,
    notebook,
    api,
    sql,
    psql,
)
