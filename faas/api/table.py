"""Every route of the control API, one row each: the router and the OpenAPI document are made from it."""

from __future__ import annotations

from typing import Any

from faas import builds
from faas.api import routes, schemas
from faas.api.prometheus import scraping
from faas.api.resources import (
    alarms,
    bills,
    buckets,
    budgets,
    dead_letters,
    deployments,
    events,
    functions,
    health,
    inquiries,
    invocations,
    keeping,
    ledger,
    login,
    logs,
    overview,
    revisions,
    stats,
    status,
    traces,
    undelivered,
)
from faas.core.calls import tracing
from faas.core.http import headers

_V1 = "/api/v1"
_INVOKE_HEADERS = {
    headers.INVOCATION_TYPE: "`sync` (the default) answers when the attempt has ended, `async` at once with 202.",
    headers.IDEMPOTENCY_KEY: "The same key and event give the same invocation and answer, for 24 h by default.",
    headers.DELAY: "How long an async call waits before it runs: `90s`, `10m`, `31d` at most. Implies async.",
    tracing.PARENT: "The W3C trace context that the invocation belongs to; `tracestate` goes along.",
    headers.CLIENT_CONTEXT: "JSON in base64: what the handler sees as `context.client_context`.",
}


_OBJECT = "/buckets/{bucket}/{key:[^\\0]+}"
_BYTES = "application/octet-stream"
_CONTENT = (
    routes.Response(media=_BYTES, description="The object; `ETag`, `Content-Type` and `Last-Modified` say what it is."),
    routes.Response(status=206, media=_BYTES, description="The range that was asked for."),
    routes.Response(status=304, media=_BYTES, description="It still has the `ETag` that is known."),
)
_READ_HEADERS = {
    "Range": "One range of bytes.",
    "If-Range": "The `ETag` that the range is of; the whole object when it has another by now.",
    "If-None-Match": "An `ETag` that is known; 304 when the object still has it.",
}


def _gives(kind: object, description: str, status: int = 200) -> routes.Response:
    return routes.Response(status=status, type=kind, description=description)


FUNCTIONS = (
    routes.Route(
        method="GET",
        path=f"{_V1}/functions",
        handler=functions.list_functions,
        summary="List the functions.",
        responses=(_gives(schemas.functions.FunctionList, "All functions, by name."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/functions/{{name}}",
        handler=functions.describe_function,
        summary="Describe a function.",
        responses=(_gives(schemas.functions.Description, "Its configuration, revisions and places."),),
        errors=(404,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/functions/{{name}}/sbom",
        handler=functions.bill_of_materials,
        summary="List what is installed with a function, as CycloneDX.",
        responses=(_gives(dict[str, Any], "The CycloneDX 1.6 document of the current revision."),),
        errors=(404,),
    ),
    routes.Route(
        method="DELETE",
        path=f"{_V1}/functions/{{name}}",
        handler=functions.remove_function,
        summary="Remove a function.",
        responses=(_gives(schemas.functions.Removed, "It is gone; its records and logs stay."),),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/functions/{{name}}/invocations",
        handler=invocations.invoke,
        summary="Call a function.",
        headers=_INVOKE_HEADERS,
        body=routes.Body(required=False, description="The event: any JSON; `{}` when empty."),
        responses=(
            _gives(
                schemas.invocations.Report,
                "The attempt has ended; `status` says how. `Faas-Error` says whose fault it was.",
            ),
            _gives(schemas.invocations.Accepted, "Accepted; it will run.", status=202),
        ),
        errors=(404, 413, 422, 504),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/functions/{{name}}/invocations:batch",
        handler=invocations.invoke_batch,
        summary="Send many events at once, async.",
        headers={name: _INVOKE_HEADERS[name] for name in (headers.DELAY, tracing.PARENT)},
        body=routes.Body(description="A JSON array of at most 1,000 events."),
        responses=(_gives(schemas.invocations.Batch, "One outcome for each event, in order.", status=202),),
        errors=(404, 413),
    ),
)

DEPLOYMENTS = (
    routes.Route(
        method="POST",
        path=f"{_V1}/deployments",
        handler=deployments.create_deployment,
        summary="Deploy a project.",
        body=routes.Body(
            media="multipart/form-data",
            description="Part `project` (JSON), then a part `source` for each source: a tar, whose file name is a"
            " function, or the `source` that functions have. One may be left out that has been built before and is"
            " called by the SHA-256 of its tar.",
        ),
        responses=(_gives(schemas.deployments.DeploymentId, "Queued; read its progress.", status=202),),
        errors=(409, 413, 422),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/deployments/{{id}}",
        handler=deployments.deployment,
        summary="Read the progress of a deployment.",
        query=deployments.ProgressQuery,
        responses=(_gives(builds.Deployment, "How far it is."),),
        errors=(404,),
    ),
)

LEDGER = (
    routes.Route(
        method="GET",
        path=f"{_V1}/invocations",
        handler=ledger.list_records,
        summary="List records, newest first.",
        query=ledger.RecordsQuery,
        responses=(_gives(schemas.attempts.Attempts, "The records that fit."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/invocations/{{id}}",
        handler=inquiries.invocation,
        summary="Ask where an invocation is, and for its records and result.",
        responses=(
            _gives(schemas.invocations.InvocationState, "Its place, its records (one per attempt), its result."),
        ),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/invocations/{{id}}/cancel",
        handler=inquiries.cancel_invocation,
        summary="Take an async invocation back that is waiting or due later.",
        responses=(_gives(schemas.invocations.Moved, "It will not run (again)."),),
        errors=(404, 409),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/invocations/{{id}}/retry",
        handler=inquiries.retry_invocation,
        summary="Let an invocation that is due later run now.",
        responses=(_gives(schemas.invocations.Moved, "It is due."),),
        errors=(404, 409),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/functions/{{name}}/invocations",
        handler=inquiries.list_invocations,
        summary="List the newest invocations of a function.",
        query=inquiries.ListQuery,
        responses=(
            _gives(schemas.invocations.InvocationList, "The newest that are in their queues or in the ledger."),
        ),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/dead-letters",
        handler=dead_letters.list_dead_letters,
        summary="List what failed for good, newest first.",
        query=dead_letters.LettersQuery,
        responses=(_gives(schemas.dead_letters.DeadLetterList, "The dead letters that fit, without their events."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/dead-letters/{{id}}",
        handler=dead_letters.dead_letter,
        summary="Look at a dead letter.",
        responses=(_gives(schemas.dead_letters.DeadLetter, "Its event, its error, its records."),),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/dead-letters/{{id}}/retry",
        handler=dead_letters.retry_dead_letter,
        summary="Send a dead letter's event to the function again, once.",
        responses=(_gives(schemas.dead_letters.Retried, "The same new invocation however often this is asked."),),
        errors=(404,),
    ),
    routes.Route(
        method="DELETE",
        path=f"{_V1}/dead-letters/{{id}}",
        handler=dead_letters.drop_dead_letter,
        summary="Forget a dead letter.",
        responses=(_gives(schemas.invocations.Moved, "It is forgotten; its records stay."),),
        errors=(404,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/undelivered",
        handler=undelivered.list_undelivered,
        summary="List records that could not be delivered to their destination, newest first.",
        query=dead_letters.LettersQuery,
        responses=(_gives(schemas.undelivered.UndeliveredList, "Those that fit, without their events."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/undelivered/{{id}}",
        handler=undelivered.undelivered_record,
        summary="Look at an undelivered record, by its invocation.",
        responses=(_gives(schemas.undelivered.Undelivered, "Why, the event, the result."),),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/undelivered/{{id}}/retry",
        handler=undelivered.retry_undelivered,
        summary="Try to deliver it again.",
        responses=(_gives(schemas.invocations.Moved, "It is on its way."),),
        errors=(404,),
    ),
    routes.Route(
        method="DELETE",
        path=f"{_V1}/undelivered/{{id}}",
        handler=undelivered.drop_undelivered,
        summary="Forget an undelivered record.",
        responses=(_gives(schemas.invocations.Moved, "It is forgotten."),),
        errors=(404,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/stats",
        handler=stats.stats,
        summary="Counts and percentiles, also over time.",
        query=stats.StatsQuery,
        responses=(_gives(schemas.stats.StatsAnswer, "One entry per function, or per name of what `by` says."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/bill",
        handler=bills.bill,
        summary="Add up what is billed.",
        query=bills.BillQuery,
        responses=(_gives(schemas.bills.Bill, "The statement."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/budgets",
        handler=budgets.list_budgets,
        summary="What is spent of every budget.",
        responses=(_gives(schemas.budgets.BudgetList, "The budgets in their periods of now."),),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/budgets/{{name}}/lift",
        handler=budgets.lift_budget,
        summary="Let what a budget stops run on until its period is over.",
        responses=(_gives(schemas.budgets.Lifted, "It stops nothing for the rest of these periods."),),
        errors=(404,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/kept",
        handler=keeping.list_kept,
        summary="What is kept, for how long, and how much room it takes.",
        query=keeping.KeptQuery,
        responses=(_gives(schemas.kept.KeptReport, "Every kind, and functions, what keeps most first."),),
        errors=(404,),
    ),
    routes.Route(
        method="PUT",
        path=f"{_V1}/kept/{{kind}}",
        handler=keeping.set_rule,
        summary="Set for how long a kind is kept, of all functions or of one.",
        body=routes.Body(type=schemas.kept.KeepChange, description="How long, and of which function."),
        responses=(_gives(schemas.kept.KeepTerm, "What counts from the next look on."),),
        errors=(404,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/logs",
        handler=logs.log_lines_of,
        summary="Read log lines and search them; follow them by long poll.",
        query=logs.LogsQuery,
        responses=(_gives(schemas.logs.LogLines, "Lines in order."),),
    ),
)

BUCKETS = (
    routes.Route(
        method="GET",
        path="/buckets",
        handler=buckets.list_buckets,
        summary="List the buckets, and who uses them.",
        responses=(_gives(schemas.buckets.BucketList, "All buckets, by name."),),
    ),
    routes.Route(
        method="GET",
        path="/buckets/{bucket}",
        handler=buckets.list_objects,
        summary="List objects in the order of their keys.",
        query=buckets.ObjectsQuery,
        responses=(_gives(schemas.buckets.ObjectList, "The objects that fit."),),
        errors=(404,),
    ),
    routes.Route(
        method="PUT",
        path=_OBJECT,
        handler=buckets.put_object,
        summary="Write an object.",
        body=routes.Body(media=_BYTES, description="The object. Slashes in its key may stand as they are."),
        responses=(_gives(schemas.buckets.Object, "It is written, in place of any other of its key."),),
        errors=(404, 409, 413),
    ),
    routes.Route(
        method="GET",
        path=_OBJECT,
        handler=buckets.get_object,
        summary="Read an object.",
        headers=_READ_HEADERS,
        responses=_CONTENT,
        errors=(404, 416),
    ),
    routes.Route(
        method="HEAD",
        path=_OBJECT,
        handler=buckets.head_object,
        summary="Look at an object.",
        headers=_READ_HEADERS,
        responses=_CONTENT,
        errors=(404, 416),
    ),
    routes.Route(
        method="DELETE",
        path=_OBJECT,
        handler=buckets.delete_object,
        summary="Remove an object.",
        responses=(routes.Response(status=204, description="It is gone."),),
        errors=(404,),
    ),
)

TRACES = (
    routes.Route(
        method="GET",
        path=f"{_V1}/traces",
        handler=traces.list_traces,
        summary="List chains of invocations that follow from one another.",
        query=traces.TracesQuery,
        responses=(_gives(schemas.traces.TraceList, "The chains that fit."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/traces/{{id}}",
        handler=traces.trace,
        summary="Show the chain that an invocation belongs to.",
        responses=(
            _gives(schemas.traces.Trace, "All that followed from its first invocation, as far as it is known."),
        ),
        errors=(404,),
    ),
)

PLATFORM = (
    routes.Route(
        method="GET",
        path=f"{_V1}/status",
        handler=status.platform_status,
        summary="Where all invocations are, and the nodes.",
        query=status.StatusQuery,
        responses=(_gives(schemas.status.PlatformStatus, "One instant."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/health",
        handler=health.platform_health,
        summary="How everything is: facts, and what to do about them.",
        query=health.HealthQuery,
        responses=(_gives(schemas.status.Facts, "The facts. Something may have failed all the same: see `ok`."),),
    ),
    routes.Route(
        method="GET",
        path="/metrics",
        handler=scraping.prometheus,
        summary="Metrics for Prometheus.",
        responses=(routes.Response(media="text/plain", description="The Prometheus text format."),),
    ),
    routes.Route(
        method="GET",
        path="/healthz",
        handler=status.health,
        summary="Whether the control API answers. Needs no token.",
        responses=(_gives(schemas.status.Health, "It does."),),
    ),
)

PAGE = (
    routes.Route(
        method="GET",
        path=f"{_V1}/overview",
        handler=overview.overview,
        summary="The functions with figures of a time, what is at work and a line each; sorted and searched.",
        query=overview.OverviewQuery,
        responses=(_gives(schemas.stats.Overview, "Those that fit."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/events",
        handler=events.events,
        summary="What happens from now on, as server-sent events: `record`, `log`, `status`, `alarm`, `missed`.",
        query=events.EventsQuery,
        responses=(routes.Response(media="text/event-stream", description="Until the client goes."),),
        errors=(403,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/functions/{{name}}/revisions/{{pair}}",
        handler=revisions.difference,
        summary="What differs between two revisions, written as `3..5`: configuration and files.",
        responses=(_gives(schemas.functions.Difference, "What is not the same."),),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/login",
        handler=login.log_in,
        summary="Begin a session of the page, by the token or a one-time code. Sets its cookie.",
        body=routes.Body(type=schemas.sessions.Login),
        responses=(_gives(schemas.sessions.Session, "It has begun."),),
        errors=(401, 403, 413, 421, 429, 503),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/login-codes",
        handler=login.offer_code,
        summary="Make a one-time code by which a browser logs in within a minute. Takes the token, no session.",
        responses=(_gives(schemas.sessions.LoginCode, "The code; `/login#code=CODE` of the page takes it."),),
        errors=(403,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/session",
        handler=login.session,
        summary="Whether and until when the caller is logged in.",
        responses=(_gives(schemas.sessions.Session, "Logged in, or with the token."),),
        errors=(403,),
    ),
    routes.Route(
        method="DELETE",
        path=f"{_V1}/session",
        handler=login.log_out,
        summary="End the session: its cookie is good for nothing from here on.",
        responses=(routes.Response(status=204, description="It has ended."),),
        errors=(403,),
    ),
)

ALARMS = (
    routes.Route(
        method="GET",
        path=f"{_V1}/alarms",
        handler=alarms.list_alarms,
        summary="List the alarms as they stand, those that fire first.",
        query=alarms.AlarmsQuery,
        responses=(_gives(schemas.alarms.AlarmList, "The alarms that fit."),),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/alarms/{{name}}",
        handler=alarms.describe_alarm,
        summary="Describe an alarm.",
        responses=(_gives(schemas.alarms.AlarmDescription, "As it was declared, and as it stands."),),
        errors=(404,),
    ),
    routes.Route(
        method="GET",
        path=f"{_V1}/alarms/{{name}}/history",
        handler=alarms.alarm_history,
        summary="Read what came to pass with an alarm.",
        query=alarms.HistoryQuery,
        responses=(_gives(schemas.alarms.AlarmHistory, "The newest first."),),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/alarms/{{name}}/silence",
        handler=alarms.silence_alarm,
        summary="Let an alarm tell nobody for a while.",
        body=routes.Body(type=alarms.Silence, description="For how long."),
        responses=(_gives(schemas.alarms.AlarmSilence, "It is silent."),),
        errors=(404,),
    ),
    routes.Route(
        method="DELETE",
        path=f"{_V1}/alarms/{{name}}/silence",
        handler=alarms.unsilence_alarm,
        summary="Let an alarm tell again.",
        query=alarms.FunctionQuery,
        responses=(_gives(schemas.alarms.AlarmSilence, "It tells."),),
        errors=(404,),
    ),
    routes.Route(
        method="POST",
        path=f"{_V1}/alarms/{{name}}/test",
        handler=alarms.try_alarm,
        summary="Send a test to wherever an alarm is told.",
        responses=(_gives(schemas.alarms.AlarmTest, "It is on its way."),),
        errors=(404,),
    ),
)

ROUTES = FUNCTIONS + DEPLOYMENTS + LEDGER + TRACES + BUCKETS + ALARMS + PLATFORM + PAGE
