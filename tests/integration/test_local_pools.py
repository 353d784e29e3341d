"""The process and Docker pools, and one-line errors of the scripts that save pools."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.variables import Variable

from blocks.make_docker_block import main as docker_pool
from blocks.make_process_pool import main as process_pool
from nyc_taxi.orchestration.work_pools import DOCKER_FLOW_POOL
from tests.support.processes import start
from tests.support.work_pools import SavePool


def test_docker_flow_moves_to_an_existing_pool(save_pool: SavePool) -> None:
    """If its pool was deleted, make_process_pool.py sets its own pool and says so."""
    save_pool(docker_pool)
    assert save_pool(process_pool).startswith("work pool process-pool")
    assert Variable.get(DOCKER_FLOW_POOL) == "docker-pool"
    with get_client(sync_client=True) as client:
        client.delete_work_pool("docker-pool")
    message = "docker-flow now runs in process-pool: the work pool docker-pool no longer exists\n"
    assert save_pool(process_pool).startswith(message)
    assert Variable.get(DOCKER_FLOW_POOL) == "process-pool"
    assert "docker-flow" not in save_pool(process_pool)


@pytest.mark.parametrize("script", ["make_ecs_pool", "make_cloud_run_pool", "make_docker_block"])
def test_an_invalid_environment_name_is_a_one_line_error(script: str) -> None:
    with start(f"blocks/{script}.py", NYC_TAXI_ENV="No Name") as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert (
        output
        == "error: 'No Name' is not a valid environment name; use a-z, 0-9, - and _, such as prod\n"
    )


@pytest.mark.slow
def test_an_unreachable_server_is_a_one_line_error() -> None:
    with start("blocks/make_process_pool.py", PREFECT_API_URL="http://127.0.0.1:9/api") as run:
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert output.startswith("error: the Prefect server at http://127.0.0.1:9/api does not respond")
    assert output.count("\n") == 1
