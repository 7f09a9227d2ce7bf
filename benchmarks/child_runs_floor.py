"""The floor of a sweep: 100 child runs by ``log_batch`` from one process, and nothing else.

Runs in the environment of each MLflow version: ``child_runs_floor.py STORE_URI EXPERIMENT``; prints
the seconds from the first request to the last.
"""

import sys
import time

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

uri, name = sys.argv[1:3]
client = MlflowClient(uri)
experiment = client.get_experiment_by_name(name).experiment_id
parent = client.create_run(experiment).info.run_id
started = time.perf_counter()
for number in range(100):
    point = f"point {number}"
    run = client.create_run(
        experiment, tags={"mlflow.parentRunId": parent, "mlflow.runName": point}
    ).info.run_id
    now = int(time.time() * 1000)
    client.log_batch(
        run,
        params=[Param("alpha", "0.1"), Param("l1_ratio", "0.5")],
        metrics=[
            Metric("cv_rmse", 0.7, now, 0),
            Metric("cv_rmse_std", 0.02, now, 0),
            *(Metric("fold_rmse", 0.7, now, fold) for fold in range(5)),
        ],
    )
    client.set_terminated(run)
print(time.perf_counter() - started)
client.set_terminated(parent)
