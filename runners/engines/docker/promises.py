"""Which promises of the threat model hold on this host, by what its engine has and who the platform is."""

from __future__ import annotations

import msgspec

from runners.engines.docker import abilities, confinement


class BrokenPromise(msgspec.Struct, frozen=True):
    """A promise that does not hold here, and what to do about it."""

    text: str
    hint: str


def gaps(has: abilities.Abilities, is_root: bool, runtime: str = "") -> list[BrokenPromise]:
    """What does not hold here with a runtime; empty is the engine's default."""
    found = []
    if not has.shares_kernel(runtime):
        text = f"calls are answered by the kernel that {runtime or has.default_runtime} brings: our filter is not used"
        found.append(BrokenPromise(text, "see docs/how-to/other-engines.md"))
    if not has.has_seccomp:
        found.append(BrokenPromise("calls of the kernel are not filtered", "use an engine with seccomp"))
    elif not confinement.knows(has):
        found.append(BrokenPromise(f"the filter of calls is the engine's own: ours does not know {has.machine}", ""))
    if not has.has_cpu_shares:
        found.append(BrokenPromise("functions that compute at once are not given processors by their size", ""))
    if "swap" in has.cannot_limit:
        found.append(
            BrokenPromise("a function may take swap beside its memory", "boot with swapaccount=1, or turn swap off")
        )
    if has.remaps_users:
        text = "one function can use up the inotify instances of all others, and of whoever the engine runs as"
        found.append(
            BrokenPromise(text, "raise fs.inotify.max_user_instances, or use an engine that does not map users")
        )
    if not is_root:
        text = "functions of one source see one another's locks on it: the platform does not run as root"
        found.append(BrokenPromise(text, "see docs/explanation/security.md"))
        found.append(BrokenPromise("sandboxes are not frozen between attempts: the platform does not run as root", ""))
        if has.cgroups == 1:
            found.append(
                BrokenPromise("what lies unread in sockets is not limited", "use version 2 of cgroups, or run as root")
            )
    return found


def described(has: abilities.Abilities, runtime: str) -> str:
    """The engine in one line."""
    parts = [
        f"{has.maker} {has.version} answers",
        f"runtime {runtime or has.default_runtime} (of {', '.join(has.runtimes) or 'unknown'})",
        f"cgroup v{has.cgroups}",
        "seccomp" if has.has_seccomp else "no seccomp",
        "rootless" if has.is_rootless else "users mapped" if has.remaps_users else "no user namespaces",
    ]
    return ", ".join(parts)
