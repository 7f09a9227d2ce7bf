"""MLflow's elastic-net wine tutorial as a plain script: what ``make bench`` compares with.

Runs in the environment of each MLflow version: ``plain_tutorial.py CSV STORE_URI EXPERIMENT``.
After https://mlflow.org/docs/2.1.1/tutorials-and-examples/tutorial.html (Apache-2.0).
"""

import sys

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

csv, store, experiment = sys.argv[1:4]
mlflow.set_tracking_uri(store)
mlflow.set_experiment(experiment)

data = pd.read_csv(csv, sep=";")
train, test = train_test_split(data, random_state=40)
train_x, test_x = train.drop(["quality"], axis=1), test.drop(["quality"], axis=1)
train_y, test_y = train[["quality"]], test[["quality"]]
alpha = l1_ratio = 0.5

with mlflow.start_run():
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    model.fit(train_x, train_y)
    predicted = model.predict(test_x)
    rmse = float(np.sqrt(mean_squared_error(test_y, predicted)))
    mae = float(mean_absolute_error(test_y, predicted))
    r2 = float(r2_score(test_y, predicted))
    print(f"RMSE {rmse!r} MAE {mae!r} R2 {r2!r}")
    mlflow.log_param("alpha", alpha)
    mlflow.log_param("l1_ratio", l1_ratio)
    mlflow.log_metric("rmse", rmse)
    mlflow.log_metric("r2", r2)
    mlflow.log_metric("mae", mae)
    mlflow.sklearn.log_model(model, "model", registered_model_name="ElasticnetWineModel")
