"""From what was read of a manifest to the platform's structs: no fault is left, so nothing is refused here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from faas.core import model
from faas.core.manifest import alarms as manifest_alarms

_NOT_OF_REVISIONS = ("source", "requirements", "alarms")


def project(declared: dict[str, Any], folder: Path) -> model.Project:
    """The project of a manifest that was read without a fault; paths are relative to ``folder``."""
    buckets = [
        model.Bucket(name=name, path=str((folder / given["path"]).resolve()) if "path" in given else None)
        for name, given in declared.get("buckets", {}).items()
    ]
    common = declared.get("tags", {})
    functions = [
        _spec(name, {**given, "tags": {**common, **given.get("tags", {})}}, folder)
        for name, given in declared["functions"].items()
    ]
    alarms = manifest_alarms.declared(declared, destination)
    return model.Project(functions=tuple(functions), buckets=tuple(buckets), alarms=alarms)


def _spec(name: str, given: dict[str, Any], folder: Path) -> model.FunctionSpec:
    renamed = {"memory": "memory_mb", "cpu": "cpu_milli", "timeout": "timeout_ms"}
    config = {renamed.get(key, key): value for key, value in given.items() if key not in _NOT_OF_REVISIONS}
    if "style" in config:
        config["style"] = model.Style(config["style"])
    if "network" in config:
        config["network"] = model.Network(config["network"])
    if "budget" in config:
        config["budget"] = _model_budget(config["budget"])
    if "buckets" in config:
        config["buckets"] = {bucket: model.Access(access) for bucket, access in config["buckets"].items()}
    retries = _model_retries(given.get("retries", {}), model.Retries())
    config["retries"] = retries
    config["triggers"] = tuple(_model_trigger(trigger, retries) for trigger in given.get("triggers", ()))
    for key in ("on_success", "on_failure"):
        if key in config:
            config[key] = destination(config[key])
    return model.FunctionSpec(
        name=name,
        source=str((folder / given.get("source", ".")).resolve()),
        requirements=given.get("requirements"),
        config=model.FunctionConfig(**config),
    )


def _model_budget(given: dict[str, Any]) -> model.CostBudget:
    per, then = model.Per(given.get("per", model.Per.MONTH)), model.Then(given.get("then", model.Then.WARN))
    return model.CostBudget(amount_pico=given["amount"], per=per, then=then)


def destination(given: dict[str, Any]) -> model.Destination:
    """A destination that was read without a fault."""
    kind = model.ToFunction if "function" in given else model.ToBucket if "bucket" in given else model.ToUrl
    return kind(**given)


def _model_retries(given: dict[str, Any], besides: model.Retries) -> model.Retries:
    renamed = {"maximum_event_age": "maximum_event_age_ms", "backoff": "backoff_ms"}
    values = {renamed.get(key, key): value for key, value in given.items()}
    if "on" in values:
        values["on"] = tuple(model.Status(status) for status in values["on"])
    return msgspec.structs.replace(besides, **values)


def _model_trigger(trigger: dict[str, Any], retries: model.Retries) -> model.Trigger:
    ((kind, given),) = trigger.items()
    if "retries" in given:
        given = {**given, "retries": _model_retries(given["retries"], retries)}
    if kind == "http":
        return _model_route(given)
    if kind == "upload":
        return model.UploadTrigger(**{**given, "existing": model.Existing(given.get("existing", "skip"))})
    return _model_timer(given)


def _model_route(given: dict[str, Any]) -> model.HttpTrigger:
    values = {"max_delay_ms" if key == "max_delay" else key: value for key, value in given.items()}
    if "cors" in values:
        cors = dict(values["cors"])
        age_ms = cors.pop("max_age", None)
        values["cors"] = model.Cors(**cors, max_age_s=None if age_ms is None else age_ms // 1000)
    return model.HttpTrigger(**values)


def _model_timer(given: dict[str, Any]) -> model.TimerTrigger:
    values = {"every_ms" if key == "every" else key: value for key, value in given.items()}
    values["on_missed"] = model.OnMissed(given.get("on_missed", "skip"))
    if "overlap" in values:
        values["overlap"] = model.Overlap(values["overlap"])
    if values.get("input") == msgspec.Raw(b"null"):
        del values["input"]
        values["is_input_null"] = True
    return model.TimerTrigger(**values)
