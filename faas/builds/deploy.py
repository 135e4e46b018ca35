"""One deployment from its uploaded sources to functions that serve, all of them or none.

What survives a crash at each step::

    unpacked, resolved, compiled    nothing but layers and artifacts that are whole: the next run finds them
    revision added                  it serves nothing; pending.json named it before, the next run or sweep discards it
    activated                       it serves; the next run finds it unchanged and announces the catalog again
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from faas import artifacts
from faas.builds import alarms, bundle, checks, folders, ports, progress, runtimes, sources
from faas.core import bucket_places, clock, errors, groups, model
from faas.core.processes import locks
from faas.core.values import unreadable
from faas.runtimes import bounds, children
from faas.store import alarm_changes

_PLATFORMS_OWN = "Platform."
_NAMED = 5
JOURNAL = "pending.json"
"""In a deployment's folder while revisions of it may have to be discarded."""


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was uploaded: the project, and by function the tar in the deployment's folder.

    A function without a tar has the SHA-256 of one that was built before as its ``source``.
    """

    project: model.Project
    tars: dict[str, str]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A function with its artifact, and the configuration that its revision gets."""

    spec: model.FunctionSpec
    artifact: str
    config: model.FunctionConfig


class Pending(msgspec.Struct, frozen=True):
    """A revision that is about to be added. It is told from a later one of the same number by what it holds."""

    ref: str
    artifact: str
    config: model.FunctionConfig

    @property
    def function(self) -> str:
        """Whose revision it is."""
        return self.ref.rpartition("@")[0]

    def is_in(self, catalog: Mapping[str, model.Revision]) -> bool:
        """Whether the revision of that name is this one, and not another that was given the number later."""
        held = catalog.get(self.ref)
        return held is not None and (held.artifact, held.config) == (self.artifact, self.config)


class PendingRevisions:
    """The revisions of a deployment that do not serve yet, on disk, so that whoever comes after a crash finds them.

    Change and discard only while holding the functions' locks.
    """

    def __init__(self, folder: Path, catalog: ports.Functions) -> None:
        self._file = folder / JOURNAL
        self._catalog = catalog

    def add_revisions(self, built: Sequence[Built]) -> list[model.Revision]:
        """Add revisions to the catalog; they are written down first, so no crash leaves one that nobody knows of."""
        # The numbers that they will get: the functions' locks keep others from taking them.
        last = self._catalog.last_numbers([entry.spec.name for entry in built])
        pending = [
            Pending(f"{entry.spec.name}@{last.get(entry.spec.name, 0) + 1}", entry.artifact, entry.config)
            for entry in built
        ]
        self._file.write_bytes(msgspec.json.encode(pending))
        return self._catalog.add_revisions([(entry.spec.name, entry.artifact, entry.config) for entry in built])

    def discard(self) -> None:
        """Discard all that are not current."""
        pending = self.pending()
        if pending:
            held = {found.ref: found for found in self._catalog.revisions(*(each.function for each in pending))}
            current = {revision.ref for revision in self._catalog.list_current()}
            self._catalog.discard([each.ref for each in pending if each.ref not in current and each.is_in(held)])
        self.close()

    def close(self) -> None:
        """Forget them: they serve, or have gone."""
        self._file.unlink(missing_ok=True)

    def pending(self) -> list[Pending]:
        """What was written down."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Pending])
        except FileNotFoundError:
            return []
        except unreadable.ERRORS:  # a crash while it was written: then nothing was added yet
            return []


class Deployer:
    """Runs deployments of one data directory."""

    def __init__(
        self,
        data: groups.Data,
        building: groups.Building,
        destinations: groups.Destinations,
        catalog: ports.Functions,
        nodes: ports.Nodes,
        place: children.ProgramPlace | None = None,
    ) -> None:
        self._data = data
        self._building = building
        self._destinations = destinations
        self._catalog = catalog
        self._nodes = nodes
        self._place = place
        self._places = folders.BuildFolders(data.root)
        self._store = artifacts.Artifacts(data.root)
        self._bundler = bundle.Bundler(self._places, self._store, building.max_artifact_bytes)

    def deploy(self, request: Uploaded, folder: Path, steps: progress.Progress) -> list[progress.Deployed]:
        """Build, load and activate a project. After any error what served before serves on, and nothing is left."""
        project = bucket_places.settled(request.project, self._data)
        request = msgspec.structs.replace(request, project=project)
        names = sorted(function.name for function in project.functions)
        journal = PendingRevisions(folder, self._catalog)
        with self._functions_held(names) as stack:
            # A run before this one, of a builder that was killed, has left them.
            journal.discard()
            made = _Made(self._places, self._store, self._catalog, names, stack)
            served = {revision.function: revision for revision in self._catalog.list_current()}
            try:
                built = self._build_all(request, folder, steps, made, list(served.values()))
                changed = self._load_all(built, served, journal, steps)
                self._activate(changed, project, self._alarm_changes(project, served, changed), steps)
            # Also when the builder is asked to stop: the next run begins anew.
            except BaseException:
                journal.discard()
                made.discard()
                self._bundler.forget_removed()
                raise
            journal.close()
        new = {revision.function: revision for revision in changed}
        return [_deployed(entry, new, served) for entry in built]

    @contextlib.contextmanager
    def _functions_held(self, names: Sequence[str]) -> Iterator[contextlib.ExitStack]:
        """Hold the functions' locks, always in one order, so that deploys of one function follow one another."""
        with contextlib.ExitStack() as stack:
            # A set, because functions may share a lock file, and to wait for one that is held here would never end.
            for lock in sorted({self._places.lock("function", name) for name in names}):
                stack.enter_context(folders.held(lock))
            yield stack

    def _build_all(
        self,
        request: Uploaded,
        folder: Path,
        steps: progress.Progress,
        made: _Made,
        deployed: Sequence[model.Revision],
    ) -> list[Built]:
        work = folder / "work"
        uploads = sources.Sources(work, self._building)
        available = self._nodes.runtimes()
        names = {function.name for function in request.project.functions}
        known = names.union(revision.function for revision in deployed)
        owned = checks.owners(deployed, names)
        checks.check_alarms(request.project, known, self._destinations.destination_secret)
        # Said before anything is built: an alarm's name may be another manifest's.
        self._alarm_changes(request.project, {revision.function: revision for revision in deployed}, ())
        checks.check_buckets(request.project.buckets, self._catalog.buckets(), checks.buckets_of(deployed, but=names))
        built = []
        for function in request.project.functions:
            with _named(function.name):
                with steps.step(function.name, "validate") as note:
                    checks.check_routes(function, owned)
                    checks.check_destinations(function, known, self._destinations.destination_secret)
                    runtime = runtimes.choose(function.config.runtime, available)
                    upload = uploads.of(function, folder, request.tars)
                    # Only to say here what is wrong with the tar; it is unpacked once, whoever asks.
                    if self._bundler.known(function, upload.sha256, runtime) is None:
                        uploads.unpack(upload)
                    note(str(runtime))
                build = _Build(self._building, self._bundler, function, runtime, uploads, work, self._place)
                # Called before the loop goes on, so that it sees this function's names.
                digest = made.keep(lambda: build.artifact(upload, steps))  # noqa: B023
            config = msgspec.structs.replace(function.config, runtime=runtime.name)
            built.append(Built(spec=function, artifact=digest, config=config))
        return built

    def _load_all(
        self,
        built: Sequence[Built],
        served: Mapping[str, model.Revision],
        journal: PendingRevisions,
        steps: progress.Progress,
    ) -> list[model.Revision]:
        same = {entry.spec.name: served[entry.spec.name] for entry in built if _is_served(entry, served)}
        steps.skip({(name, "load"): f"unchanged: {revision.ref} serves on" for name, revision in same.items()})
        changed = [entry for entry in built if entry.spec.name not in same]
        if not changed:
            return []
        revisions = journal.add_revisions(changed)
        by_ref = {revision.ref: revision for revision in revisions}
        self._nodes.load(list(by_ref), self._building.load_timeout_ms, lambda ref: _loading(by_ref[ref], steps))
        return revisions

    def _alarm_changes(
        self, project: model.Project, served: Mapping[str, model.Revision], changed: Sequence[model.Revision]
    ) -> alarm_changes.AlarmChanges:
        numbers = {revision.function: revision.number for revision in (*served.values(), *changed)}
        return alarms.changes(project, self._catalog.declared_alarms(), served.keys(), numbers, clock.now_ms())

    def _activate(
        self,
        changed: Sequence[model.Revision],
        project: model.Project,
        of_alarms: alarm_changes.AlarmChanges,
        steps: progress.Progress,
    ) -> None:
        existing = self._catalog.buckets()
        new_buckets = [bucket for bucket in project.buckets if bucket not in existing]
        with steps.step(None, "activate") as note:
            if changed or new_buckets or of_alarms != alarm_changes.NONE:
                version = self._catalog.activate(changed, new_buckets, of_alarms)
                told = [_named_refs(changed) or ("buckets only" if new_buckets else ""), alarms.note(of_alarms)]
                note("; ".join(filter(None, told)))
            else:
                version = self._catalog.catalog_version()
                note("nothing changed")
            try:
                seen = self._nodes.announce(version)
            # The functions serve already. Nodes look at the catalog by themselves, too.
            except errors.Unavailable:
                seen = False
            if not seen:
                note("not every node has said yet that it knows")

    def forget(self, folder: Path) -> None:
        """Discard the revisions of a deployment that will not run again."""
        journal = PendingRevisions(folder, self._catalog)
        with self._functions_held([pending.function for pending in journal.pending()]):
            journal.discard()

    def sweep(self) -> None:
        """Remove what killed processes left half-written, and caches that nothing uses any more."""
        self._store.sweep()
        self._bundler.sweep()


@contextlib.contextmanager
def _loading(revision: model.Revision, steps: progress.Progress) -> Iterator[Callable[[ports.LoadReport], None]]:
    """One load, as a step; what is yielded takes the report of it, and raises when the handler does not load."""
    with _named(revision.function), steps.step(revision.function, "load") as note:
        try:
            yield lambda report: note(_loaded(revision, report))
        except asyncio.CancelledError:
            note("given up, as the deployment has failed")
            raise


def _loaded(revision: model.Revision, report: ports.LoadReport) -> str:
    if report.ok:
        return f"{revision.ref} in {report.init_us / 1000:.1f} ms"
    failure = report.error or model.Failure("Runtime.ExitError", f"the sandbox ended ({report.status})")
    if failure.type.startswith(_PLATFORMS_OWN):
        raise errors.Unavailable(f"no node could load {revision.ref}: {failure.message}")
    raise errors.BuildFailed(
        f"{revision.function}: the handler {revision.config.handler} does not load: {failure.type}: {failure.message}",
        error_type=failure.type,
        stack=list(failure.stack),
        # The agent has printed the error too, and it is told above.
        logs=[line.text for line in report.logs if line.text != f"[ERROR] {failure.type}: {failure.message}"],
    )


def _is_served(entry: Built, served: Mapping[str, model.Revision]) -> bool:
    current = served.get(entry.spec.name)
    return current is not None and (current.artifact, current.config) == (entry.artifact, entry.config)


def _deployed(
    entry: Built, new: Mapping[str, model.Revision], served: Mapping[str, model.Revision]
) -> progress.Deployed:
    name = entry.spec.name
    number = (new.get(name) or served[name]).number
    return progress.Deployed(function=name, revision=number, artifact=entry.artifact, changed=name in new)


def _named_refs(revisions: Sequence[model.Revision]) -> str:
    more = len(revisions) - _NAMED
    return ", ".join(revision.ref for revision in revisions[:_NAMED]) + (f" and {more} more" if more > 0 else "")


class _Build:
    """From one function to its artifact, by the shortest way that there is."""

    def __init__(
        self,
        building: groups.Building,
        bundler: bundle.Bundler,
        function: model.FunctionSpec,
        runtime: runtimes.Available,
        uploads: sources.Sources,
        work: Path,
        place: children.ProgramPlace | None,
    ) -> None:
        self._bundler = bundler
        self._function = function
        self._runtime = runtime
        self._uploads = uploads
        self._work = work
        self._programs = children.Programs(
            children.Deadline(function.name, building.build_timeout_s),
            bounds.Bound(max_bytes=building.max_artifact_bytes, max_files=building.max_artifact_files),
            place,
        )

    def artifact(self, upload: sources.Upload, steps: progress.Progress) -> str:
        """The artifact's digest. Raises what building it raises, and `errors.SourceMissing`."""
        function, runtime = self._function, self._runtime
        known = self._bundler.known(function, upload.sha256, runtime)
        if known is not None:
            steps.skip({(function.name, step): "unchanged" for step in ("resolve", "compile", "pack")})
            return known
        source = self._uploads.unpack(upload)
        order = bundle.BundleOrder(function, source, runtime, self._work, steps, self._programs)
        made = self._bundler.bundle(order)
        self._bundler.remember(function, upload.sha256, runtime, made)
        return made.artifact


class _Made:
    """The artifacts of a deployment: held while it runs, and removed after a failure if nothing refers to them."""

    def __init__(
        self,
        places: folders.BuildFolders,
        store: artifacts.Artifacts,
        catalog: ports.Functions,
        names: Sequence[str],
        stack: contextlib.ExitStack,
    ) -> None:
        self._places = places
        self._store = store
        self._catalog = catalog
        self._names = names
        self._stack = stack
        self._held: dict[Path, int] = {}
        self._digests: set[str] = set()

    def keep(self, make: Callable[[], str]) -> str:
        """Make an artifact and hold it."""
        digest = make()
        lock = self._places.lock("artifact", digest)
        if lock not in self._held:
            self._held[lock] = self._stack.enter_context(folders.held(lock, shared=True))
        if not self._store.has(digest):  # another deployment failed and removed it just before we held it
            digest = make()
        self._digests.add(digest)
        return digest

    def discard(self) -> None:
        """Remove those that no revision has and no other deployment holds."""
        # Of all functions, as two may have the same artifact.
        names = {revision.function for revision in self._catalog.list_current()}.union(self._names)
        referred = {revision.artifact for revision in self._catalog.revisions(*names)}
        for digest in self._digests - referred:
            # Shared by whoever builds with it: that it can be had alone means that nobody else does.
            if locks.taken(self._held[self._places.lock("artifact", digest)]):
                self._store.remove(digest)


@contextlib.contextmanager
def _named(function: str) -> Iterator[None]:
    """Let every error say whose it is."""
    try:
        yield
    except errors.FaasError as error:
        error.data.setdefault("function", function)
        raise
