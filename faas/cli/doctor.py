"""`faas doctor`: the facts about a platform, one line each.

Where a platform runs its control API establishes them, and they are what `GET /api/v1/health` answers; where none runs,
or that does not answer, this process looks itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from faas.cli import endpoint, options, output, platform_dir
from faas.core import errors
from faas.core import settings as settings_module

if TYPE_CHECKING:
    from faas.health import facts as health_facts

_ANSWERS_WITHIN_S = 5.0


@click.command()
@options.json_option
def doctor_command(*, as_json: bool) -> int:
    """Establish the facts: processes, Redis, bounds, Docker, base image, disk, clock, conservation, nodes, objects,
    ledger.

    The control API of a running platform looks (its /api/v1/health answers the same); without one this command does.
    Everything that waits is counted one by one, which takes seconds for hundreds of thousands, and holds up no call.

    Exits 0 when nothing failed (a warning is no failure), 9 when something did or could not be found out.

    \b
    faas doctor
    faas doctor --json | jq '.facts[] | select(.state != "ok")'
    """
    from faas.health import facts as health_facts

    found = _facts(options.settings())
    is_well = health_facts.all_is_well(found)
    if as_json:
        output.emit({"ok": is_well, "facts": [msgspec.structs.asdict(fact) for fact in found]})
    else:
        width = max(len(fact.name) for fact in found)
        output.facts(
            (
                (f"{fact.state:<8} {fact.name:<{width}} ", fact.text + (f"  ({fact.hint})" if fact.hint else ""))
                for fact in found
            ),
            indent=8 + 1 + width + 1,
        )
    return 0 if is_well else errors.Unavailable.exit_code


def _facts(settings: settings_module.Settings) -> list[health_facts.Fact]:
    from faas.cli import machine
    from faas.health import facts as health_facts

    found = health_facts.established(health_facts.Check("platform", machine.platform), settings)
    if not health_facts.all_is_well(found):
        return found + _looked(settings)
    try:
        return found + _asked(settings)
    except errors.FaasError as error:
        hint = f"see {settings.data.root / 'logs' / 'api.log'}; what follows this command found out itself"
        found.append(health_facts.Fact("control api", health_facts.Severity.FAILED, error.message, hint))
        return found + _looked(settings)


def _asked(settings: settings_module.Settings) -> list[health_facts.Fact]:
    """What the control API says. Raises `errors.FaasError`."""
    from faas.cli import client
    from faas.health import facts as health_facts

    control = client.Client(endpoint.find(settings.data.root))
    control.require(_ANSWERS_WITHIN_S)
    answer = control.get("/api/v1/health", thorough="true")
    return msgspec.convert(answer["facts"], list[health_facts.Fact])


def _looked(settings: settings_module.Settings) -> list[health_facts.Fact]:
    from faas.cli import machine
    from faas.health import checks
    from faas.health import facts as health_facts

    facts = platform_dir.published(settings.data.root) if platform_dir.running(settings.data.root) else None
    known = settings_module.changed(settings, redis_url=str((facts or {}).get("redis_url") or settings.redis.redis_url))
    all_checks = checks.CHECKS.beside(machine.BESIDE).of(thorough=True)
    return [fact for check in all_checks for fact in health_facts.established(check, known)]
