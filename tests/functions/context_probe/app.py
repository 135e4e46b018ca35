"""Every attribute of the context that handlers use."""


def handler(event, context):
    given = context.client_context
    was_there = hasattr(context, "of_my_own") or hasattr(context.identity, "of_my_own")
    context.identity.of_my_own = True
    context.of_my_own = "handlers may put things on it"
    return {
        "aws_request_id": context.aws_request_id,
        "invocation_id": context.invocation_id,
        "function_name": context.function_name,
        "function_version": context.function_version,
        "invoked_function_arn": context.invoked_function_arn,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "log_group_name": context.log_group_name,
        "log_stream_name": context.log_stream_name,
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
        "client_context": given
        and {"custom": given.custom, "env": given.env, "app_title": given.client and given.client.app_title},
        "tenant_id": context.tenant_id,
        "remaining": [context.get_remaining_time_in_millis() for _ in range(2)],
        "attempt": context.attempt,
        "depth": context.depth,
        "text": repr(context),
        "was_there": was_there,
        "all": sorted(name for name in vars(context) if not name.startswith("_")),
    }
