"""The command `faas`: the table of its commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from faas.cli import exits, failures, options, terminal
from faas.cli.lazy import Entry, LazyGroup

_PROJECT = "Project"
_FUNCTIONS = "Functions"
_PLATFORM = "Platform"

COMMANDS = {
    "init": Entry("faas.cli.init", "init_command", "Write a working project with a comment on every line.", _PROJECT),
    "schema": Entry("faas.cli.schema", "schema_command", "Print the JSON Schema of faas.yaml.", _PROJECT),
    "deploy": Entry("faas.cli.deploy", "deploy_command", "Deploy a project: a folder with a faas.yaml.", _PROJECT),
    "ls": Entry("faas.cli.functions", "ls_command", "List the functions, or the objects of a bucket.", _FUNCTIONS),
    "describe": Entry("faas.cli.functions", "describe_command", "Show everything about one function.", _FUNCTIONS),
    "invoke": Entry("faas.cli.invoke", "invoke_command", "Call a function and print its result.", _FUNCTIONS),
    "logs": Entry("faas.cli.logs", "logs_command", "Print and search what functions printed.", _FUNCTIONS),
    "records": Entry("faas.cli.ledger", "records_command", "List the records of attempts, newest first.", _FUNCTIONS),
    "invocations": Entry(
        "faas.cli.invocations", "invocations_group", "List, show, cancel and retry invocations.", _FUNCTIONS
    ),
    "trace": Entry("faas.cli.trace", "trace_command", "Show what an event led to, and what it cost.", _FUNCTIONS),
    "dlq": Entry("faas.cli.dlq", "dlq_group", "List, show, retry and drop dead letters.", _FUNCTIONS),
    "undelivered": Entry(
        "faas.cli.undelivered", "undelivered_group", "List, show, retry and drop undelivered records.", _FUNCTIONS
    ),
    "stats": Entry("faas.cli.stats", "stats_command", "Show calls, errors, durations and cold starts.", _FUNCTIONS),
    "bill": Entry("faas.cli.bill", "bill_command", "Add up billed milliseconds and cost.", _FUNCTIONS),
    "budget": Entry("faas.cli.budget", "budget_group", "Show budgets, and lift one that stops.", _FUNCTIONS),
    "alarms": Entry("faas.cli.alarms", "alarms_group", "List, show, test and silence alarms.", _FUNCTIONS),
    "buckets": Entry("faas.cli.buckets", "buckets_command", "List the buckets.", _FUNCTIONS),
    "cp": Entry("faas.cli.cp", "cp_command", "Copy files into and out of buckets.", _FUNCTIONS),
    "sbom": Entry("faas.cli.sbom", "sbom_command", "List what is installed with a function (CycloneDX).", _FUNCTIONS),
    "rm": Entry("faas.cli.rm", "rm_command", "Remove functions, or objects of buckets.", _FUNCTIONS),
    "up": Entry("faas.cli.up", "up_command", "Start the platform.", _PLATFORM),
    "open": Entry("faas.cli.open", "open_command", "Open the page in a browser, logged in.", _PLATFORM),
    "down": Entry("faas.cli.up", "down_command", "Stop the platform.", _PLATFORM),
    "status": Entry("faas.cli.status", "status_command", "Show where the invocations are, and the nodes.", _PLATFORM),
    "backup": Entry("faas.cli.backup", "backup_command", "Write a backup, while the platform runs.", _PLATFORM),
    "restore": Entry("faas.cli.backup", "restore_command", "Make a data directory from a backup.", _PLATFORM),
    "kept": Entry("faas.cli.kept", "kept_group", "Show and set what is kept, and for how long.", _PLATFORM),
    "doctor": Entry("faas.cli.doctor", "doctor_command", "Establish the facts, one line each.", _PLATFORM),
    "help": Entry("faas.cli.help", "help_command", "Show help, also of a command: faas help logs.", _PLATFORM),
    "version": Entry("faas.cli.version", "version_command", "Print the version.", _PLATFORM),
    "completion": Entry("faas.cli.completion", "completion_command", "Print the shell's completion script.", _PLATFORM),
    "image": Entry("faas.cli.image", "image_command", "Make the base image ready.", _PLATFORM, hidden=True),
    "node": Entry("faas.cli.processes", "node_command", "Run one node.", _PLATFORM, hidden=True),
    "scheduler": Entry("faas.cli.processes", "scheduler_command", "Run one scheduler.", _PLATFORM, hidden=True),
    "recorder": Entry("faas.cli.processes", "recorder_command", "Run one recorder.", _PLATFORM, hidden=True),
    "api": Entry("faas.cli.processes", "api_command", "Run one control API.", _PLATFORM, hidden=True),
    "builder": Entry("faas.cli.processes", "builder_command", "Run one builder.", _PLATFORM, hidden=True),
}

EPILOG = f"""\b
First steps:
  faas init hello && cd hello
  faas up --detach
  faas deploy
  faas invoke hello --data '{{"name": "Ada"}}'

\b
Exit codes:
{exits.lines()}
"""


def _version_option() -> click.Option:
    """The option ``--version`` of `faas` itself."""
    return click.Option(
        ["--version", "-V"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_show_version,
        help="Print the version and exit.",
    )


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from faas.cli import output, version

        output.line(version.line())
        ctx.exit()


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    epilog=EPILOG,
    params=[options.data_dir_option(), _version_option()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
def group() -> None:
    """Event-driven functions on one machine or many.

    Write a function, deploy it, and HTTP requests, timers and object uploads run it in warm containers, billed by the
    millisecond. Data goes to stdout, talk to stderr; --json turns tables into JSON and errors into one JSON object.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with one of the codes of `exits.TABLE`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors become one line (or one JSON object) on stderr."""
    chosen: dict[str, str] = {}
    terminal.open_streams()
    try:
        result = group.main(arguments, prog_name="faas", standalone_mode=False, obj=chosen)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  the command line is where every error ends, as a line and a code
        return failures.report(error, as_json=failures.wants_json(arguments), data_dir=chosen.get("data_dir"))
    return result if isinstance(result, int) else exits.OK


if __name__ == "__main__":
    main()
