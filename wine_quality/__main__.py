"""Train, promote, serve and deploy the wine-quality model; in a checkout, see `make help` too."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any, NoReturn

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.deployment.targets import target_names
from wine_quality.engines.choice import EngineChoice
from wine_quality.environments.mlflow_versions import (
    DEFAULT_VERSION,
    MLFLOW_VERSIONS,
    reexec_by_usable_path,
)
from wine_quality.execution import startup
from wine_quality.terminal import print_anything

_OF_SOME_COMMANDS = (
    *("csv_url", "training_data", "training_engine", "alpha", "l1_ratio", "experiment"),
    *("alphas", "l1_ratios", "folds", "promote", "return_to", "deploy", "target", "context"),
    *("days", "delete"),
)


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 0.1,1") from None


def _days(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return number


class _OneVersion(argparse.Action):
    """Refuses a second version, as of MLFLOW=3 and ARGS="--mlflow 2.1.1"."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest, None)
        if before not in (None, values):
            raise argparse.ArgumentError(self, f"{before} and {values} are two. Give one.")
        setattr(namespace, self.dest, values)


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="python -m wine_quality", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="materialize all assets and print the result")
    run.add_argument("--alpha", type=float, help="strength of the penalty, at least 0 (0.5)")
    run.add_argument("--l1-ratio", type=float, help="share of L1 in the penalty, 0 to 1 (0.5)")
    sweep = commands.add_parser("sweep", help="cross-validate a grid and offer the best point")
    sweep.add_argument("--alphas", type=_numbers, help="to try: 0.01,0.1 (ten, 0.0001 to 1)")
    sweep.add_argument("--l1-ratios", type=_numbers, help="to try: 0.2,0.8 (ten, 0.1 to 1)")
    sweep.add_argument("--folds", type=int, help="number of folds of the cross-validation (5)")
    for command in (run, sweep):
        command.add_argument(
            "--csv-url", help="data: https://, s3://, file:// or a path (red wine)"
        )
        command.add_argument(
            "--training-data",
            choices=[choice.value for choice in TrainingData],
            help="newest: the file of this run (default); accumulated: all files accepted so far",
        )
        command.add_argument(
            "--training-engine",
            choices=[choice.value for choice in EngineChoice],
            help="in_memory: one CSV file (default); duckdb, spark: Parquet or CSV of any size",
        )
        command.add_argument("--experiment", help="MLflow experiment (wine_quality_experiment1)")
    promote = commands.add_parser("promote", help="make the challenger, or a version, the champion")
    promote.add_argument("--version", dest="promote", help="number of the version (the challenger)")
    rollback = commands.add_parser("rollback", help="withdraw the champion for the one before")
    rollback.add_argument(
        "--version", dest="return_to", help="number of the version (the one before)"
    )
    deploy = commands.add_parser(
        "deploy", help="write model repository and manifests of a version; apply them to a target"
    )
    deploy.add_argument("--version", dest="deploy", help="number of a version (the champion)")
    deploy.add_argument(
        "--target",
        choices=["none", "local", *target_names()],
        help="what it is applied to (none: only files); local: wait for `make serve`",
    )
    deploy.add_argument("--context", help="Kubernetes context")
    retention = commands.add_parser(
        "retention", help="show, or remove, old runs and versions that were never promoted"
    )
    retention.add_argument("--days", type=float, help="age in days of what is old (90)")
    retention.add_argument(
        "--delete", action="store_true", help="remove them (without it: only show)"
    )
    retention.add_argument("--experiment", help="MLflow experiment (wine_quality_experiment1)")
    gc = commands.add_parser("gc", help="show, or remove, files of deleted runs and without a run")
    gc.add_argument("--days", type=_days, default=7, help="age in days of what is old (7)")
    gc.add_argument("--delete", action="store_true", help="remove them (without it: only show)")
    metrics = commands.add_parser(
        "metrics", help="show, upgrade or fill the metrics history in $WINE_QUALITY_METRICS_URL"
    )
    metrics.add_argument(
        "doing",
        choices=["status", "upgrade", "backfill"],
        help="status: show revision and rows; upgrade: migrate the schema (and use TimescaleDB, if "
        "it was installed later); backfill: write what only MLflow's registry has",
    )
    metrics.add_argument("--model", help="registered model to backfill (ElasticnetWineModel)")
    serve = commands.add_parser("serve", help="serve the champion over REST and gRPC (V2 protocol)")
    serve.add_argument("--version", help="number of the version to serve (the champion)")
    serve.add_argument("--model", help="registered model (ElasticnetWineModel)")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="of REST (8080; a free one if that is taken)")
    serve.add_argument("--grpc-port", type=int, help="of gRPC (8081; a free one if that is taken)")
    serve.add_argument("--every", type=float, default=2, help="seconds between looks at MLflow (2)")
    image = commands.add_parser("image", help="image that serves a version, or its build context")
    image.add_argument("--version", default="champion", help="number of a version (champion)")
    image.add_argument("--model", help="registered model (ElasticnetWineModel)")
    image.add_argument("--output", help="folder of the build context (build/image/MODEL-VERSION)")
    image.add_argument("--tag", help="name of the image (localhost/wine-quality-model:VERSION)")
    image.add_argument("--no-build", action="store_true", help="only write the build context")
    trust = commands.add_parser(
        "trust", help="sign versions registered before versions were signed"
    )
    trust.add_argument("--version", default="champion", help="a number, or all (the champion)")
    trust.add_argument("--yes", action="store_true", help="sign what is shown without asking")
    trust.add_argument(
        "--unknown-runs",
        action="store_true",
        help="also versions whose Dagster run is not known here",
    )
    trust.add_argument("--model", help="registered model (ElasticnetWineModel)")
    for command in (run, sweep, promote, rollback, deploy, retention, metrics, serve, image, trust):
        command.add_argument("--tracking-uri", help="MLflow server; default: an embedded store")
        command.add_argument("--registry-uri", help="MLflow server that has the models, if another")
    for command in (run, sweep, promote, rollback, deploy, retention):
        command.add_argument("--config", help="YAML file of run config; options win over it")
        command.add_argument("--verbose", action="store_true", help="Dagster's whole log")
    compare = commands.add_parser("compare", help="runs of several MLflow versions side by side")
    compare.add_argument(
        "runs", nargs="*", help="ids in MLflow or Dagster, VERSION:ID or links; none: the best ones"
    )
    compare.add_argument("--out", help="the HTML page ($WINE_QUALITY_HOME/compare.html)")
    compare.add_argument("--json", action="store_true", help="print JSON in place of the table")
    compare.add_argument("--experiment", help="of the best runs (wine_quality_experiment1)")
    compare.add_argument(
        "--tracking-uri", action="append", help="a further server; may be repeated"
    )
    forget = commands.add_parser("forget", help="list the files to train on, or forget one")
    forget.add_argument("file", nargs="?", help="key, name or URL (without it: list all)")
    up = commands.add_parser("up", help="start the Dagster and MLflow UIs; Ctrl-C stops all")
    up.add_argument("--port", type=int, help="of the Dagster UI (5000, or a free one)")
    up.add_argument(
        "--mlflow-port", type=int, help="of the first MLflow UI (5100; the next ones follow)"
    )
    stack = commands.add_parser("stack", help="start, stop or show the platform as local processes")
    stack.add_argument("action", choices=["up", "down", "status", "env"], help="env: make .env")
    stack.add_argument("--versions", nargs="+", default=[DEFAULT_VERSION], help="MLflow servers")
    stack.add_argument("--detach", action="store_true", help="return when all is ready")
    backup = commands.add_parser("backup", help="copy the local stack's databases and buckets")
    backup.add_argument("folder", help="folder to write to, new or empty")
    restore = commands.add_parser("restore", help="restore a backup into a stopped stack")
    restore.add_argument("folder", help="folder that `backup` wrote")
    restore.add_argument("--overwrite", action="store_true", help="replace the stack's data")
    for command in (backup, restore, gc, retention):
        command.add_argument(
            "--on",
            choices=["stack", "compose"],
            default="stack",
            help="compose: on the platform in containers (else: on this machine's stores)",
        )
        command.add_argument("--project", default="dh", help="of compose (dh)")
    upgrade = commands.add_parser(
        "upgrade", help="take a version's store over to a newer version; without --apply: a dry run"
    )
    upgrade.add_argument("source", choices=list(MLFLOW_VERSIONS), help="MLflow version that has it")
    upgrade.add_argument("target", choices=list(MLFLOW_VERSIONS), help="MLflow version to get it")
    doing = upgrade.add_mutually_exclusive_group()
    doing.add_argument("--apply", action="store_true", help="do it, on a copy; else: only show")
    doing.add_argument("--undo", action="store_true", help="put the new store aside, go back")
    upgrade.add_argument(
        "--store", choices=["embedded", "stack"], default="embedded", help="which one (embedded)"
    )
    upgrade.add_argument("--with-open-runs", action="store_true", help="also while runs go on")
    upgrade.add_argument(
        "--accept-differences", action="store_true", help="also where a model predicts otherwise"
    )
    upgrade.add_argument("--with-new-runs", action="store_true", help="undo what is new, too")
    stack.add_argument("--quietly", action="store_true", help=argparse.SUPPRESS)
    for command in (
        run,
        sweep,
        promote,
        rollback,
        deploy,
        retention,
        metrics,
        up,
        serve,
        image,
        trust,
    ):
        command.add_argument(
            "--mlflow",
            action=_OneVersion,
            choices=list(MLFLOW_VERSIONS),
            help=f"MLflow version (--config's, else $WINE_QUALITY_MLFLOW, else {DEFAULT_VERSION})",
        )
    return main


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments, argparse.Namespace(**dict.fromkeys(_OF_SOME_COMMANDS)))
    if importlib.util.find_spec("dagster") is None:
        print(
            f"error: {sys.executable} has no dagster. `make {options.command}` builds the "
            "project's environment and uses it.",
            file=sys.stderr,
        )
        return 2
    if options.command == "stack":
        from wine_quality.cli.stack import stack

        return stack(options)
    if options.command == "retention" and options.on == "compose":
        from wine_quality.cli.containers import retention

        return retention(options)
    if options.command in ("backup", "restore"):
        from wine_quality.cli.backup import backup

        return backup(options)
    if options.command == "upgrade":
        from wine_quality.cli.upgrade import upgrade

        return upgrade(options)
    if options.command == "gc":
        from wine_quality.cli.gc import gc

        return gc(options)
    if options.command == "forget":
        from wine_quality.cli.forget import forget

        return forget(options.file)
    if options.command == "compare":
        from wine_quality.cli.compare import compare

        return compare(options)
    if options.command == "metrics":
        from wine_quality.cli.metrics import metrics

        return metrics(options)
    if options.command == "serve":
        from wine_quality.cli.serve import serve

        return serve(options)
    if options.command == "image":
        from wine_quality.cli.image import image

        return image(options)
    if options.command == "trust":
        from wine_quality.cli.trust import trust

        return trust(options)
    if options.command == "up":
        from wine_quality.cli.up import up

        return up(options)
    from wine_quality.cli.run import run

    return run(options)


def command() -> NoReturn:
    """The console script ``wine-quality``; ends the process with the command's exit code."""
    reexec_by_usable_path()
    print_anything()
    try:
        code = main()
        startup.end()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    command()
