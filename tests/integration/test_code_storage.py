"""Flow code in S3 and GCS, with servers of both, a Prefect server, and a worker without a checkout
that fetches the code and runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.schemas.actions import DeploymentUpdate

from local_services import client_environment, gcs, running
from nyc_taxi.errors import StorageError
from nyc_taxi.orchestration.work_pools import save_pool
from scripts.prefect_build.buckets.gcs import GcsBucket
from scripts.prefect_build.buckets.s3 import S3Bucket
from scripts.prefect_build.bundles import build_bundle
from scripts.prefect_build.code_store import CodeStore
from scripts.prefect_build.projects import FlowFile
from scripts.prefect_build.verify import verify_bucket
from synthetic_tlc import write_zones
from tests.support.aws import moto_server
from tests.support.code_buckets import POOL, S3, Builder, Gcs, Place
from tests.support.prefect_systems import System
from tests.support.project_factory import BUILD, ROOT, Checkout, rows
from tests.support.workers import worker as start_worker

FLOW = """
from pathlib import Path
from prefect import flow
from shared.words import WORD
from .tasks import read

@flow(name="greeting")
def greeting(target: str = "", name: str = "you") -> None:
    from shared.late import MARK
    Path(target).write_text(f"{WORD} {name}{MARK} {read()}")
"""
TASKS = """
from pathlib import Path
def read():
    return (Path(__file__).parent / "config" / "place.yaml").read_text()
"""

BOTH = pytest.mark.parametrize("place", [S3, Gcs], indirect=True)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """S3 and GCS on this machine; returns the environment that leads their clients to them."""
    folder = tmp_path_factory.mktemp("clouds")
    with (
        moto_server() as aws,
        running(gcs(folder)) as google,
        pytest.MonkeyPatch.context() as patch,
    ):
        env = aws | client_environment(google, None) | {"AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in env.items():
            patch.setenv(name, value)
        yield env


@pytest.fixture(scope="module")
def worker(
    bare_system: System, clouds: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system with a worker whose runs can reach both and start in an empty folder."""
    save_pool(POOL, "process")
    folder = tmp_path_factory.mktemp("worker")
    env = bare_system.env | clouds | {"NYC_TAXI_SOURCE_URL": f"{bare_system.site.url}/trip-data"}
    with start_worker(POOL, env, folder):
        yield bare_system


@pytest.fixture
def place(request: pytest.FixtureRequest, clouds: dict[str, str], tmp_path: Path) -> Place:
    """An empty bucket: S3, or the kind that the test requests."""
    kind: Callable[[str], Place] = getattr(request, "param", S3)
    return kind(f"code-{tmp_path.name.strip('_').replace('_', '-').lower()[-40:]}")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path / "checkout")
    checkout.flow("hello", "greeting", FLOW)
    checkout.write("flows/hello/greeting/tasks.py", TASKS)
    checkout.write("flows/hello/greeting/config/place.yaml", "world")
    checkout.write("flows/hello/greeting/.env", "SECRET=1")
    checkout.write("flows/shared/words.py", "WORD = 'hello'")
    checkout.write("flows/shared/late.py", "MARK = ','")
    return checkout


@pytest.fixture
def builder(worker: System, checkout: Checkout, place: Place) -> Iterator[Builder]:
    yield Builder(worker, checkout, place)
    with worker.client as client:
        for found in client.read_deployments():
            if found.work_pool_name == POOL:
                client.delete_deployment(found.id)


@pytest.mark.slow_on("Gcs")
@BOTH
def test_worker_fetches_the_code_and_runs_it(builder: Builder, tmp_path: Path) -> None:
    built = builder()
    assert built.returncode == 0, built.stdout + built.stderr
    found = builder.deployment
    assert found.path == "greeting/flow"
    assert found.entrypoint == "flow.py:greeting"
    entrypoint, code, pool, _, status = rows(built.stdout)["greeting/default"]
    assert (entrypoint, pool, status) == ("flow.py:greeting", POOL, "created")
    assert code == f"{builder.place.url}/greeting/flow/{found.version}"
    assert {key.removeprefix(f"{builder.folder}/") for key in builder.place.objects()} == {
        "__init__.py",
        "config/place.yaml",
        "flow.py",
        "manifest.json",
        "shared/__init__.py",
        "shared/late.py",
        "shared/words.py",
        "tasks.py",
    }
    assert "skipped (looks like a secret): " in built.stdout
    target = tmp_path / "greeting"
    run = builder.system.run("greeting/default", target=str(target), name="you")
    assert run.state_name == "Completed"
    assert target.read_text() == "hello you, world"


@pytest.mark.slow
def test_zones_flow_runs_from_a_bucket(builder: Builder) -> None:
    builder.checkout, system = Checkout(ROOT), builder.system
    write_zones(system.folder / "site" / "misc")
    built = builder("--projects", "reference")
    assert built.returncode == 0, built.stdout + built.stderr
    assert system.run("zones/zones").state_name == "Completed"
    assert system.lake() == ["zones.parquet"]
    assert system.query("SELECT count(*) FROM dezoomcamp.zones") == [(265,)]


def test_build_is_idempotent_and_a_change_makes_a_new_version(
    builder: Builder, tmp_path: Path
) -> None:
    with builder.system.client as client:
        before = len(client.read_deployments()), len(client.read_flows())
        planned = builder("--dry-run")
        assert rows(planned.stdout)["greeting/default"][-1] == "created"
        assert planned.stdout.endswith("\n1 created (dry run: nothing was changed)\n")
        assert not builder.place.objects()
        assert (len(client.read_deployments()), len(client.read_flows())) == before

    builder()
    first, created = builder.place.objects(), builder.deployment
    assert rows(builder().stdout)["greeting/default"][-1] == "unchanged"
    assert builder.place.objects() == first
    assert builder.deployment.updated == created.updated

    builder.checkout.write("flows/shared/words.py", "WORD = 'goodbye'")
    assert rows(builder().stdout)["greeting/default"][-1] == "updated (version, pull_steps)"
    both = builder.place.objects()
    [marker] = [key for key in both if key.endswith("/.replaced")]
    del both[marker]
    assert len(both) == 2 * len(first)
    assert both.items() > first.items()
    target = tmp_path / "greeting"
    assert builder.system.run("greeting/default", target=str(target)).state_name == "Completed"
    assert target.read_text() == "goodbye you, world"
    # Without a server, both versions may be in use.
    assert builder.verify(PREFECT_API_URL="") == "2 checked, none broken\n"

    builder("--prune-after", "0")
    assert builder.place.objects().keys() == both.keys() - first.keys()


@pytest.mark.slow
def test_build_killed_during_the_upload(builder: Builder, tmp_path: Path) -> None:
    """The deployment always references a complete version; the next build completes the upload."""
    builder()
    before = builder.deployment
    for number in range(150):
        builder.checkout.write(f"flows/shared/part_{number}.py", f"x = {number}")
    start = [sys.executable, str(BUILD), "--root", str(builder.checkout.root), *builder.options]
    building = subprocess.Popen(start, stdout=subprocess.DEVNULL)
    while len(builder.place.objects()) < 30:
        assert building.poll() is None
        time.sleep(0.01)
    building.kill()
    building.wait()
    assert len(builder.place.objects()) < 150
    assert builder.deployment.updated == before.updated
    target = tmp_path / "greeting"
    assert builder.system.run("greeting/default", target=str(target)).state_name == "Completed"
    assert "incomplete upload, the manifest is missing; rerun build.py" in builder.verify()

    assert rows(builder().stdout)["greeting/default"][-1] == "updated (version, pull_steps)"
    assert len(builder.place.objects()) > 150
    assert builder.verify() == "1 checked, none broken\n"


@pytest.mark.slow_on("Gcs")
def test_verify_finds_what_would_make_a_run_fail(builder: Builder) -> None:
    builder()
    place, folder = builder.place, builder.folder
    place.write("my_flow_2025_12_23.py", "x = 1")
    place.write(f"{folder}/config/place.yaml", "a: [")
    place.delete(f"{folder}/shared/__init__.py")
    place.delete(f"{folder}/tasks.py")
    output = builder.verify()
    for finding in (
        f"{place.url}/my_flow_2025_12_23.py: orphaned: no deployment references it; delete it",
        "config/place.yaml was changed in the bucket; delete it there and rerun build.py",
        "place.yaml is not valid YAML",
        "incomplete upload, shared/__init__.py is missing; rerun build.py",
        "the package shared has no __init__.py",
        "ModuleNotFoundError: No module named 'flow.tasks'",
    ):
        assert finding in output
    place.delete("my_flow_2025_12_23.py")
    place.delete(f"{folder}/config/place.yaml")
    assert rows(builder().stdout)["greeting/default"][-1] == "unchanged"

    with builder.system.client as client:
        wrong = DeploymentUpdate(entrypoint="flows.py:greeting", path="greeting")
        client.update_deployment(builder.deployment.id, wrong)
    output = builder.verify()
    assert "its entrypoint flows.py:greeting is not a file; rerun build.py" in output
    assert "deployment greeting/default has the path greeting" in output
    assert rows(builder().stdout)["greeting/default"][-1] == "updated (path, entrypoint)"
    assert builder.verify() == "1 checked, none broken\n"


@pytest.mark.slow
def test_prune_counts_age_from_the_replacement(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the upload: a version may be replaced by a rollback to an older one."""
    checkout, words = builder.checkout, "flows/shared/words.py"
    checkout.write(words, "WORD = 'old'")
    builder()
    old = builder.folder
    checkout.write(words, "WORD = 'new'")
    builder()
    new = builder.folder
    assert old != new

    def remaining() -> set[str]:
        return {key.rpartition("/")[0] for key in builder.place.objects() if "manifest" in key}

    store = CodeStore(S3Bucket(builder.place.options[1], None))
    store.keys = {key: found - timedelta(days=30) for key, found in store.keys.items()}
    store.mark_replaced({old}, {new})  # as a build with the old code does before it deploys
    store.prune({old}, {old}, timedelta(hours=24))
    assert remaining() == {old, new}

    checkout.write(words, "WORD = 'old'")
    rolled_back = builder()
    assert rolled_back.returncode == 0, rolled_back.stdout
    assert builder.folder == old
    replaced = f"{new}/.replaced"
    assert replaced in builder.place.objects()
    builder("--prune-after", "1")
    assert remaining() == {old, new}
    builder("--prune-after", "0")
    assert remaining() == {old}


@pytest.mark.slow_on("Gcs")
@BOTH
def test_prune_keeps_referenced_and_recently_replaced_versions(
    place: Place, checkout: Checkout, tmp_path: Path
) -> None:
    flow = FlowFile(checkout.root, checkout.root / "flows/hello/greeting/flow.py")
    name = place.options[1]
    bucket = S3Bucket(name, None) if isinstance(place, S3) else GcsBucket(name)
    store, folders = CodeStore(bucket), []
    for number in range(3):
        checkout.write("flows/shared/words.py", f"WORD = {number}")
        bundle = build_bundle(flow)
        folders.append(f"greeting/flow/{bundle.version}")
        store.upload(folders[-1], "flow.py:greeting", bundle)
    old, before, now = folders
    ages = {old: 30, before: 20, now: 1}
    for key in store.keys:
        folder = key[: len(old)]
        store.keys[key] = datetime.now(UTC) - timedelta(days=ages[folder])

    def remaining() -> set[str]:
        return {key[: len(old)] for key in place.objects()}

    store.prune({now}, set(), timedelta(days=21))
    assert remaining() == {old, before, now}
    store.prune({now}, {old}, timedelta(hours=24 - 0.1))
    assert remaining() == {old, now}
    store.prune({now}, {old}, timedelta(0))
    store.prune({now}, set(), timedelta(0))  # another build has deleted them
    assert remaining() == {now}

    place.write(f"{now}/manifest.json", "{")
    ((where, findings),) = verify_bucket(CodeStore(bucket), None)
    assert where.endswith(now)
    assert findings == ["incomplete upload, the manifest is missing; rerun build.py"]


def test_a_denied_deletion_is_reported(place: S3) -> None:
    place.write("old/flow.py", "x = 1")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}
    policy = {"Version": "2012-10-17", "Statement": [deny | {"Resource": "arn:aws:s3:::*"}]}
    place.bucket.Policy().put(Policy=json.dumps(policy))
    with pytest.raises(StorageError, match=r"old/flow\.py cannot be deleted: Access Denied"):
        S3Bucket(place.options[1], None).delete(["old/flow.py"])


@pytest.mark.parametrize(("kind", "options"), [(S3, ()), (Gcs, ("--verify",))])
def test_a_missing_bucket_is_a_one_line_error(
    kind: Callable[..., Place], options: tuple[str, ...], worker: System, checkout: Checkout
) -> None:
    builder = Builder(worker, checkout, kind("no-such-bucket", make=False))
    built = builder(*options)
    assert built.returncode == 1
    assert built.stderr.startswith(
        f"error: the bucket {builder.place.url} does not exist; create it: "
    )
    assert built.stderr.count("\n") == 1


def test_build_rejects_two_buckets(checkout: Checkout) -> None:
    built = checkout.build("--s3-bucket", "a", "--gcs-bucket", "b")
    assert built.stderr == (
        "error: code is stored in one bucket; give either --s3-bucket or --gcs-bucket\n"
    )


def test_an_unknown_aws_profile_is_reported(clouds: dict[str, str], checkout: Checkout) -> None:
    without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": ""}
    built = checkout.build("--s3-bucket", "a", "--verify", "--aws-profile", "unknown", **without)
    assert "error: s3://a: The config profile (unknown) could not be found" in built.stderr
