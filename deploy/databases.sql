-- The store's database is made by the image; Dagster and MLflow have their own beside it.
CREATE DATABASE dagster OWNER continuum;
CREATE DATABASE mlflow OWNER continuum;
