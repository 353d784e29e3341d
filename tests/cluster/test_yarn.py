"""Flows on YARN: one application per run, which ends with the run and for the same reason."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from nyc_taxi.storage.hadoop import hadoop_user
from nyc_taxi.storage.yarn import API, resourcemanager_urls, why_ended
from synthetic_tlc import Site, write_month
from tests.support.clusters import YEAR, Cluster
from tests.support.prefect_systems import System
from tests.support.processes import until
from tests.support.workers import worker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
FLOW = "flows/etl_web_to_bq.py"
MONTH = ("--color", "green", "--year", str(YEAR), "--months", "1")


@pytest.fixture
def slow_site(tmp_path: Path) -> Iterator[Site]:
    """A site that sends a month at 1 kB/s, so that a run waits with its application."""
    (tmp_path / "slow").mkdir()
    write_month(tmp_path / "slow", "green", YEAR, 1, 2000)
    with Site(tmp_path / "slow") as site:
        site.slow(1000)
        yield site


def test_plain_python_with_a_cluster_master_names_the_command(cluster: Cluster) -> None:
    known = cluster.applications()
    with pytest.raises(AssertionError, match=r"run bash scripts/spark_submit\.sh"):
        cluster.python(FLOW, *MONTH, SPARK_MASTER="yarn")
    assert cluster.applications().keys() == known.keys()


def test_flow_runs_on_yarn_and_names_its_application(cluster: Cluster) -> None:
    run = cluster.submit(FLOW, *MONTH)
    assert run.wait() == 0, run.output()
    found = re.search(r"Spark application (\S+) on yarn; YARN: (\S+), Spark", run.output())
    assert found, run.output()
    application = cluster.applications()[found[1]]
    assert application["finalStatus"] == "SUCCEEDED"
    assert found[2].endswith(f"/cluster/app/{found[1]}")


def test_killed_driver_ends_its_application_and_a_rerun_loads_the_month(
    cluster: Cluster, slow_site: Site
) -> None:
    known = cluster.applications()
    run = cluster.submit(FLOW, *MONTH, NYC_TAXI_SOURCE_URL=slow_site.url)
    application = cluster.new_application(known)
    run.process.kill()  # the flow alone: its JVM notices
    run.process.wait(30)
    assert until(lambda: cluster.applications()[application]["state"] == "FINISHED")
    slow_site.heal()
    again = cluster.submit(FLOW, *MONTH, NYC_TAXI_SOURCE_URL=slow_site.url)
    assert again.wait() == 0, again.output()
    assert "2000" in again.output()


def test_application_killed_on_yarn_fails_the_run_with_its_reason(
    cluster: Cluster, slow_site: Site
) -> None:
    known = cluster.applications()
    run = cluster.submit(FLOW, *MONTH, NYC_TAXI_SOURCE_URL=slow_site.url)
    application = cluster.new_application(known)
    assert until(lambda: "Spark application" in run.output())
    state = f"{resourcemanager_urls()[0]}{API}/apps/{application}/state?user.name={hadoop_user()}"
    httpx.put(state, json={"state": "KILLED"}, trust_env=False).raise_for_status()
    slow_site.heal()
    assert run.wait() == 1
    *_, last = run.output().splitlines()
    assert last.startswith("error: ")
    assert f"{application} is KILLED (KILLED): Application {application} was killed by" in last


def test_run_stopped_in_the_queue_leaves_no_application(cluster: Cluster, slow_site: Site) -> None:
    """Application masters may take 3 GB together, so the second one waits for the first."""
    slow = {"NYC_TAXI_SOURCE_URL": slow_site.url}
    cluster.submit(FLOW, *MONTH, **slow)
    cluster.new_application(cluster.applications())
    large = "--conf spark.yarn.am.memory=2600m"
    known = cluster.applications()
    waiting = cluster.submit(FLOW, *MONTH, SPARK_SUBMIT_OPTIONS=large, **slow)
    application = cluster.new_application(known, state="ACCEPTED")
    waiting.process.terminate()
    assert waiting.wait(30) == 143, waiting.output()
    assert until(lambda: cluster.applications()[application]["state"] == "KILLED", 10)


def test_application_that_yarn_refuses_is_one_line(cluster: Cluster) -> None:
    run = cluster.submit(FLOW, *MONTH, SPARK_SUBMIT_OPTIONS="--queue none")
    assert run.wait() == 1, run.output()
    *_, last = run.output().splitlines()
    assert last.startswith("error: Spark did not start on yarn: ")
    assert "none" in last
    assert "\tat " not in run.output()  # Spark's trace


@pytest.fixture
def yarn_pool(bare_system: System) -> System:
    pool = bare_system.shell(sys.executable, "blocks/make_yarn_pool.py")
    assert pool.returncode == 0, pool.stderr
    return bare_system


def test_cancelled_flow_run_ends_its_application(
    cluster: Cluster, yarn_pool: System, slow_site: Site, tmp_path: Path
) -> None:
    known = cluster.applications()
    env = yarn_pool.env | cluster.env | {"NYC_TAXI_SOURCE_URL": slow_site.url}
    with worker("yarn-pool", env, tmp_path) as log:
        run = yarn_pool.start(
            f"{FLOW}:etl_web_to_bq", "yarn-pool", color="green", year=YEAR, months=[1]
        )
        application = cluster.new_application(known)
        assert until(lambda: _artifact(run) != ""), log.read_text()
        assert application in _artifact(run)
        with yarn_pool.client as client:
            client.set_flow_run_state(run.id, Cancelling())
        assert until(lambda: cluster.applications()[application]["state"] != "RUNNING", 60)
        assert yarn_pool.wait_until_final(run.id).state_name == "Cancelled", log.read_text()
    assert application in why_ended(application)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_hourly_deployment_runs_on_yarn_and_is_deployed_once(
    cluster: Cluster, yarn_pool: System, tmp_path: Path
) -> None:
    deploy = ("flows/lakehouse/deploy.py", "--flow", "full-pipeline", "--work-pool", "yarn-pool")
    for changes in ("created", "unchanged"):
        done = yarn_pool.shell(sys.executable, *deploy)
        assert done.returncode == 0, done.stderr
        assert re.search(rf"full-pipeline/hourly .*\| {changes} ", done.stdout), done.stdout
    with yarn_pool.client as client:
        found = [one for one in client.read_deployments() if one.name == "hourly"]
        assert [one.work_pool_name for one in found] == ["yarn-pool"]
        run = client.create_flow_run_from_deployment(found[0].id)
    with worker("yarn-pool", yarn_pool.env | cluster.env, tmp_path) as log:
        assert until(lambda: _artifact(run) != "", 120), log.read_text()
        assert yarn_pool.wait_until_final(run.id, 800).state_name == "Completed", log.read_text()
    [application] = re.findall(r"application_\d+_\d+", _artifact(run))[:1]
    assert cluster.applications()[application]["finalStatus"] == "SUCCEEDED"


def _artifact(run: FlowRun) -> str:
    """The text of the artifact with the run's application."""
    wanted = ArtifactFilter.model_validate(
        {"flow_run_id": {"any_": [str(run.id)]}, "key": {"any_": ["spark-application"]}}
    )
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return str(found[0].data) if found else ""
