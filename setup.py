"""Packaging. The environments themselves are locked in deploy/requirements."""

from setuptools import find_packages, setup

setup(
    name="wine_quality",
    version="0.1.0",
    description="A wine-quality model as Dagster assets, with dual MLflow back ends",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["wine_quality", "wine_quality.*"]),
    package_data={"wine_quality.datasets": ["*.csv", "*.md"]},
    install_requires=[
        "alembic>=1.11",
        "dagster>=1.13",
        "matplotlib",
        "mlflow>=1.26",
        "pandera",
        "psycopg2-binary",
        "pyarrow",
        "pydantic>=2",
        "requests",
        "s3fs",
        "scikit-learn",
        "sqlalchemy>=1.4.24",
    ],
    extras_require={"slack": ["dagster-slack"], "spark": ["pyspark>=3.5"]},
)
