"""Whole deployments with the real store, artifacts and uv; the loads are `ImportingNodes`' fresh interpreters."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from faas import artifacts
from faas.builds import checks, deploy, progress
from faas.cluster import demand
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.store import database, functions
from tests.importing_nodes import ImportingNodes
from tests.project_files import function, project, tar

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
APP = {"app.py": "def handler(event, context):\n    return event\n"}


class Platform:
    """One data directory with its catalog."""

    def __init__(self, settings: settings_module.Settings, catalog: functions.Functions) -> None:
        self.settings = settings
        self.catalog = catalog
        self.nodes = ImportingNodes(settings.data.root, catalog)
        self.told: list[progress.Deployment] = []
        self.changes: list[progress.Change] = []
        self._count = 0

    def deploy(
        self, made: model.Project, files: dict[str, str | bytes] | bytes, nodes: ImportingNodes | None = None
    ) -> list[progress.Deployed]:
        """Deploy a project whose functions share one source."""
        self._count += 1
        folder = self.settings.data.root / "builds" / f"{self._count}-{threading.get_ident()}"
        folder.mkdir(parents=True)
        if isinstance(files, bytes):
            (folder / "0.tar").write_bytes(files)
        else:
            tar(folder / "0.tar", files)
        names = [one.name for one in made.functions]
        checks.check(made, names)
        changes: list[progress.Change] = []
        request = deploy.Uploaded(project=made, tars=dict.fromkeys(names, "0.tar"))
        deployer = deploy.Deployer(
            self.settings.data, self.settings.building, self.settings.destinations, self.catalog, nodes or self.nodes
        )
        try:
            return deployer.deploy(request, folder, progress.Progress(changes.extend))
        finally:
            self.changes += changes
            self.told.append(progress.changed(progress.planned(ids.new_id(), names), changes))

    def states(self) -> dict[str, str]:
        """How the steps of the last deployment ended."""
        return {step.name: step.state.value for step in self.told[-1].steps}

    def left(self) -> list[str]:
        """Artifacts on disk."""
        return sorted(path.name for path in (self.settings.data.root / "artifacts").glob("*"))


@pytest.fixture
def faas(settings: settings_module.Settings) -> Iterator[Platform]:
    engine = database.open_database(settings.data)
    yield Platform(settings, functions.Functions(engine))
    engine.dispose()


def current(faas: Platform, name: str = "hello") -> model.Revision:
    found = faas.catalog.current(name)
    assert found is not None
    return found


def test_a_deployed_function_serves_what_was_uploaded(faas: Platform) -> None:
    (deployed,) = faas.deploy(project(function()), {**APP, ".hidden": "x", "run.sh": "#!/bin/sh\n"})
    assert (deployed.revision, deployed.changed) == (1, True)
    code = artifacts.Artifacts(faas.settings.data.root).unpack(current(faas).artifact)
    names = sorted(path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file())
    assert names[:2] == [".hidden", f"__pycache__/app.{sys.implementation.cache_tag}.pyc"]
    assert faas.nodes.loaded == ["hello@1"]
    assert faas.nodes.announced == [faas.catalog.catalog_version()]
    assert set(faas.states().values()) == {"done", "skipped"}


def test_python3_is_pinned_to_what_the_bundle_was_built_for(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    assert current(faas).config.runtime == f"python{PYTHON}"


def test_an_unchanged_function_makes_no_new_revision_and_is_not_loaded_again(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    (again,) = faas.deploy(project(function()), APP)
    assert (again.revision, again.changed) == (1, False)
    assert faas.nodes.loaded == ["hello@1"]
    assert faas.states() | {"pack": "skipped", "load": "skipped"} == faas.states()


def test_changed_code_or_configuration_makes_a_new_revision(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    assert faas.deploy(project(function(memory_mb=512)), APP)[0].revision == 2
    assert faas.deploy(project(function(memory_mb=512)), {**APP, "data.txt": "x"})[0].revision == 3
    assert faas.deploy(project(function()), APP)[0].revision == 4


def test_functions_that_share_a_source_share_its_artifact(faas: Platform) -> None:
    one, two = faas.deploy(project(function("one"), function("two")), APP)
    assert one.artifact == two.artifact
    assert len(faas.left()) == 1


def test_a_source_that_was_built_before_is_not_unpacked_again_and_need_not_be_there(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    faas.deploy(project(function(memory_mb=512), function("other")), APP)
    assert list(faas.settings.data.root.glob("builds/2-*/work")) == []
    assert {step.note for step in faas.told[-1].steps if step.name in ("resolve", "compile", "pack")} == {"unchanged"}
    folder = faas.settings.data.root / "builds/unsent"
    folder.mkdir()
    sha256 = hashlib.sha256(next(faas.settings.data.root.glob("builds/1-*/0.tar")).read_bytes()).hexdigest()
    third = msgspec.structs.replace(function("third"), source=sha256)
    deployer = deploy.Deployer(
        faas.settings.data, faas.settings.building, faas.settings.destinations, faas.catalog, faas.nodes
    )
    steps = progress.Progress(lambda told: None)
    deployer.deploy(deploy.Uploaded(project=project(third), tars={}), folder, steps)
    assert current(faas, "third").artifact == current(faas).artifact


def test_a_source_whose_artifact_has_gone_is_asked_for(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    artifacts.Artifacts(faas.settings.data.root).remove(current(faas).artifact)
    unsent = msgspec.structs.replace(function(memory_mb=512), source="0" * 64)
    deployer = deploy.Deployer(
        faas.settings.data, faas.settings.building, faas.settings.destinations, faas.catalog, faas.nodes
    )
    folder = faas.settings.data.root / "builds/unsent"
    folder.mkdir()
    with pytest.raises(errors.SourceMissing) as caught:
        deployer.deploy(deploy.Uploaded(project=project(unsent), tars={}), folder, progress.Progress(lambda told: None))
    assert caught.value.data == {"missing": ["0" * 64], "function": "hello"}
    faas.deploy(project(function(memory_mb=512)), APP)
    assert len(faas.left()) == 1


def test_other_requirements_of_the_same_tar_are_another_artifact(faas: Platform) -> None:
    files = {**APP, "six.txt": "six==1.17.0\n", "idna.txt": "idna==3.10\n"}
    plain, six, idna = faas.deploy(
        project(function("plain"), function("six", requirements="six.txt"), function("idna", requirements="idna.txt")),
        files,
    )
    assert len({plain.artifact, six.artifact, idna.artifact}) == 3
    again = faas.deploy(project(function("new", requirements="idna.txt")), files)
    assert again[0].artifact == idna.artifact


def test_code_that_changed_alone_installs_no_requirements_again(faas: Platform) -> None:
    made = project(function(requirements="requirements.txt"))
    needs = {"requirements.txt": "six==1.17.0\n"}
    faas.deploy(made, {"app.py": "import six\n\n\ndef handler(e, c): ...\n", **needs})
    faas.deploy(made, {"app.py": "import six\n\n\ndef handler(event, c): ...\n", **needs})
    notes = {step.name: step.note for step in faas.told[-1].steps}
    assert notes["resolve"] == "1 packages, cached"
    assert current(faas).number == 2


def test_the_users_own_traceback_comes_back_and_what_served_before_serves_on(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    before, artifacts_before = current(faas), faas.left()
    with pytest.raises(errors.BuildFailed) as caught:
        faas.deploy(project(function()), {"app.py": "print('hi')\nraise RuntimeError('no luck')\n"})
    assert "app.handler does not load: RuntimeError: no luck" in caught.value.message
    assert "raise RuntimeError('no luck')" in "".join(caught.value.data["stack"])
    assert (caught.value.data["logs"], caught.value.data["function"]) == (["hi"], "hello")
    assert current(faas) == before
    assert [one.number for one in faas.catalog.revisions("hello")] == [1]
    assert faas.left() == artifacts_before
    assert faas.states()["load"] == "failed"


def test_the_number_of_a_failed_revision_is_never_given_again(faas: Platform) -> None:
    with pytest.raises(errors.BuildFailed):
        faas.deploy(project(function()), {"app.py": "raise RuntimeError('no luck')\n"})
    assert faas.catalog.revisions("hello") == []
    assert faas.deploy(project(function()), APP)[0].revision == 2  # a node knows hello@1 as what failed


def test_a_load_that_the_platform_failed_is_not_put_down_to_the_user(faas: Platform) -> None:
    refused = demand.LoadReport(ok=False, init_us=0, error=model.Failure("Platform.NoRoom", "no memory is left"))
    with pytest.raises(errors.Unavailable, match="no node could load hello@1: no memory is left"):
        faas.deploy(project(function()), APP, ImportingNodes(faas.settings.data.root, faas.catalog, answer=refused))


def test_a_handler_that_does_not_exist_is_one_clear_line(faas: Platform) -> None:
    with pytest.raises(errors.BuildFailed, match=r"the handler app\.main does not load: AttributeError"):
        faas.deploy(project(function(handler="app.main")), APP)
    with pytest.raises(errors.BuildFailed, match=r"the handler other\.handler does not load: ModuleNotFoundError"):
        faas.deploy(project(function(handler="other.handler")), APP)
    assert faas.catalog.revisions("hello") == []
    assert faas.left() == []


def test_a_syntax_error_in_the_handlers_module_is_told_with_line_and_caret(faas: Platform) -> None:
    with pytest.raises(errors.BuildFailed, match=r"hello: app\.py:2 does not compile: SyntaxError") as caught:
        faas.deploy(project(function()), {"app.py": "x = 1\ndef handler(event context):\n    pass\n"})
    stack = "\n".join(caught.value.data["stack"])
    assert 'File "app.py", line 2' in stack
    assert "^" in stack
    assert faas.nodes.loaded == []


def test_a_module_that_no_handler_imports_may_be_broken(faas: Platform) -> None:
    faas.deploy(project(function()), {**APP, "template.py": "class {{ name }}:\n"})
    assert "template.py: SyntaxError" in {step.name: step.note for step in faas.told[-1].steps}["compile"]


def test_a_requirement_that_does_not_exist_is_told_with_its_line_and_leaves_nothing(faas: Platform) -> None:
    made = project(function(requirements="requirements.txt"))
    with pytest.raises(
        errors.BuildFailed, match=r"^requirements\.txt:2: the package index has no package faas-no-such"
    ):
        faas.deploy(made, {**APP, "requirements.txt": "six\nfaas-no-such-package-zzz\n"})
    assert faas.left() == []
    assert faas.catalog.revisions("hello") == []


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, b"\x1f\x8b" + bytes(600)])
def test_a_malformed_tar_is_refused_in_one_clear_line(faas: Platform, content: bytes) -> None:
    with pytest.raises(errors.BadRequest, match="the source is not a"):
        faas.deploy(project(function()), content)
    assert faas.states()["validate"] == "failed"


def test_a_runtime_that_no_node_has_is_refused_with_those_that_exist(faas: Platform) -> None:
    with pytest.raises(errors.BuildFailed, match=r"runtime python3\.99 is not available; the sandboxes have python3"):
        faas.deploy(project(function(runtime="python3.99")), APP)


def test_a_function_that_is_too_large_is_refused_and_told_what_is_large(
    faas: Platform, settings: settings_module.Settings
) -> None:
    faas.settings = settings_module.changed(settings, max_artifact_bytes=50_000)
    with pytest.raises(errors.TooLarge):
        faas.deploy(project(function()), {**APP, "model.bin": bytes(60_000)})
    made = project(function(requirements="requirements.txt"))
    with pytest.raises(errors.TooLarge, match=r"most of it: (six\.py|idna)"):
        faas.deploy(made, {**APP, "requirements.txt": "idna==3.10\nsix==1.17.0\n"})
    assert faas.left() == []


def test_all_functions_of_a_project_are_deployed_or_none(faas: Platform) -> None:
    faas.deploy(project(function("good"), function("bad")), APP)
    with pytest.raises(errors.BuildFailed):
        faas.deploy(project(function("good", memory_mb=512), function("bad", handler="app.nothing")), APP)
    assert current(faas, "good").number == 1
    assert [one.number for one in faas.catalog.revisions("good")] == [1]


def test_when_no_node_answers_nothing_changes(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    away = ImportingNodes(faas.settings.data.root, faas.catalog, away=True)
    with pytest.raises(errors.Unavailable):
        faas.deploy(project(function(memory_mb=512)), APP, away)
    assert [one.number for one in faas.catalog.revisions("hello")] == [1]


def test_an_artifact_that_another_revision_has_is_kept_when_a_deploy_fails(faas: Platform) -> None:
    faas.deploy(project(function("good")), APP)
    with pytest.raises(errors.BuildFailed):
        faas.deploy(project(function("bad", handler="app.nothing")), APP)
    assert len(faas.left()) == 1


def test_buckets_come_into_being_with_the_functions_that_use_them(faas: Platform) -> None:
    made = project(function(buckets={"photos": model.Access.READ}), buckets=(model.Bucket(name="photos"),))
    faas.deploy(made, APP)
    assert faas.catalog.buckets() == [model.Bucket(name="photos")]
    version = faas.catalog.catalog_version()
    faas.deploy(made, APP)
    assert faas.catalog.catalog_version() == version


def test_deploys_of_one_function_at_once_end_with_one_of_them_whole(faas: Platform) -> None:
    contents = [{"app.py": f"def handler(event, context):\n    return {number}\n"} for number in range(4)]
    threads = [threading.Thread(target=faas.deploy, args=(project(function()), content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.number for one in faas.catalog.revisions("hello")] == [1, 2, 3, 4]
    assert current(faas).number == 4


def test_deploys_of_the_same_input_at_once_do_the_work_once(faas: Platform) -> None:
    threads = [threading.Thread(target=faas.deploy, args=(project(function(f"f{number}")), APP)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({current(faas, f"f{number}").artifact for number in range(4)}) == 1
    packed = [
        change
        for change in faas.changes
        if change.step is not None and (change.step.name, change.step.state.value) == ("pack", "running")
    ]
    assert len(packed) == 1


def test_a_revision_left_pending_by_a_killed_run_is_discarded_and_nothing_else(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    served = current(faas)
    folder = faas.settings.data.root / "builds/killed"
    folder.mkdir(parents=True)
    journal = deploy.PendingRevisions(folder, faas.catalog)
    journal.add_revisions([deploy.Built(spec=function(), artifact="0" * 64, config=served.config)])
    deployer = deploy.Deployer(
        faas.settings.data, faas.settings.building, faas.settings.destinations, faas.catalog, faas.nodes
    )
    deployer.forget(folder)
    assert [one.number for one in faas.catalog.revisions("hello")] == [1]
    assert journal.pending() == []


def test_a_crash_before_the_revision_was_added_costs_no_later_one_of_its_number(faas: Platform) -> None:
    folder = faas.settings.data.root / "builds/killed"
    folder.mkdir(parents=True)
    noted = [deploy.Pending("hello@1", "0" * 64, function().config)]
    (folder / "pending.json").write_bytes(msgspec.json.encode(noted))
    other = faas.catalog.add_revision("hello", "1" * 64, function().config)
    deploy.Deployer(
        faas.settings.data, faas.settings.building, faas.settings.destinations, faas.catalog, faas.nodes
    ).forget(folder)
    assert faas.catalog.get(other.ref) == other


def test_a_full_disk_fails_the_deploy_with_one_clear_line_and_what_served_serves_on(faas: Platform) -> None:
    faas.deploy(project(function()), APP)
    folder = faas.settings.data.root / "builds/full"
    folder.mkdir(parents=True)
    tar(folder / "0.tar", {**APP, "big.bin": bytes(range(256)) * 2000})
    request = deploy.Uploaded(project=project(function()), tars={"hello": "0.tar"})
    program = """
import resource, sys
from pathlib import Path
import msgspec
from faas.builds import deploy, progress
from faas.core import errors
from faas.core import settings as settings_module
from faas.store import database, functions
from tests.importing_nodes import ImportingNodes
settings = settings_module.of(data_dir=sys.argv[1])
catalog = functions.Functions(database.open_database(settings.data))
request = msgspec.json.decode(sys.argv[2], type=deploy.Uploaded)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    steps = progress.Progress(lambda told: None)
    nodes = ImportingNodes(settings.data.root, catalog)
    deployer = deploy.Deployer(settings.data, settings.building, settings.destinations, catalog, nodes)
    deployer.deploy(request, Path(sys.argv[3]), steps)
except errors.Unavailable as error:
    print(error.message)
"""
    # A limit on the size of files stands for the full disk: both end a write with an OSError half way.
    done = subprocess.run(
        [sys.executable, "-c", program, str(faas.settings.data.root),
         msgspec.json.encode(request).decode(), str(folder)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "no space left on the platform's disk" in done.stdout, done.stderr
    assert current(faas).number == 1
    assert len(faas.left()) == 1


def test_a_destination_must_be_of_the_project_or_deployed(faas: Platform) -> None:
    to = model.ToFunction(function="after")
    with pytest.raises(errors.BadRequest, match="after is no function of this project"):
        faas.deploy(project(function(on_success=to)), APP)
    faas.deploy(project(function("after")), APP)
    faas.deploy(project(function(on_success=to)), APP)
    assert current(faas).config.on_success == to
    faas.deploy(project(function("both", on_failure=model.ToFunction(function="both"))), APP)


def test_a_url_that_nothing_signs_is_refused(faas: Platform) -> None:
    plain = model.ToUrl(url="https://example.com/hook")
    with pytest.raises(errors.BadRequest, match="nothing to sign"):
        faas.deploy(project(function(on_failure=plain)), APP)
    own = model.ToUrl(url="https://example.com/hook", secret="KEY")
    faas.deploy(project(function(on_failure=own, env={"KEY": "s3cret"})), APP)
    faas.settings = settings_module.changed(faas.settings, destination_secret="of all")
    faas.deploy(project(function(on_failure=plain)), APP)
    assert current(faas).config.on_failure == plain


def test_the_bucket_of_a_destination_must_be_of_the_project(faas: Platform) -> None:
    to = model.ToBucket(bucket="records")
    with pytest.raises(errors.BadRequest, match="no bucket records"):
        faas.deploy(project(function(on_success=to)), APP)
    faas.deploy(project(function(on_success=to), buckets=(model.Bucket(name="records"),)), APP)


@pytest.mark.parametrize(
    "path", ["{root}", "{root}/journals", "{root}/..", "/", "/etc", "/proc/self/root", "relative", ""]
)
def test_a_bucket_where_none_may_be_is_refused_before_anything_is_built(path: str, faas: Platform) -> None:
    made = project(function("hello"))
    bucket = model.Bucket(name="own", path=path.format(root=faas.settings.data.root))
    with pytest.raises((errors.Conflict, errors.BadRequest), match="own"):
        faas.deploy(msgspec.structs.replace(made, buckets=(bucket,)), APP)
    assert faas.catalog.buckets() == []
    assert faas.catalog.list_current() == []
    assert faas.left() == []


def test_the_folder_that_a_bucket_really_is_stands_in_the_catalog(faas: Platform, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    allowing = settings_module.changed(faas.settings, bucket_roots=str(tmp_path))
    made = Platform(allowing, faas.catalog)
    bucket = model.Bucket(name="own", path=str(tmp_path / "link"))
    made.deploy(msgspec.structs.replace(project(function("hello")), buckets=(bucket,)), APP)
    assert [each.path for each in made.catalog.buckets()] == [str(tmp_path / "real")]
