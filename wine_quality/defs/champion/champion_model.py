"""``champion_model``: whether the new version takes the champion's place."""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    TableRecord,
    asset,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.defs.model.training_identity import require_same_split, require_version_of_model
from wine_quality.defs.model.training_steps import require_same_version
from wine_quality.defs.model.values import ChampionDecision, RegisteredVersion, TrainedModel
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.tracking.registry.champion import ChampionRegistry
from wine_quality.tracking.registry.contest import Contest, Metric
from wine_quality.tracking.registry.promotion_note import note_promotion
from wine_quality.tracking.registry.provenance import UntrustedModelError
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of
from wine_quality.tracking.tracker import Tracker
from wine_quality.wines.split import Split

if TYPE_CHECKING:
    from wine_quality.models.elastic_net.fit import LinearModel

TOLERANCE_CHECK = "no_worse_than_champion"


class PromotionPolicy(enum.Enum):
    """Whether a run or a person decides."""

    automatic = "automatic"
    manual = "manual"


class PromotionConfig(CheckedConfig):
    """Conditions on which a challenger becomes the champion."""

    policy: PromotionPolicy = Field(
        default=PromotionPolicy.automatic,
        description='"automatic": the better one is promoted. "manual": it stays the challenger '
        "until somebody launches wine_quality_promotion.",
    )
    min_improvement: float = Field(
        default=0.0, ge=0, description="How much lower than the champion's the new RMSE must be."
    )
    tolerance: float = Field(
        default=0.05,
        ge=0,
        description="How much higher than the champion's the new RMSE may be before the check "
        "no_worse_than_champion warns.",
    )


@asset(
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    code_version="1",
    op_tags=continues_mlflow_run_of("elasticnet_model"),
    check_specs=[
        AssetCheckSpec(
            TOLERANCE_CHECK,
            asset="champion_model",
            description="The new version's RMSE is at most the champion's plus the tolerance, on "
            "the same test rows.",
        )
    ],
)
@name_failing_server(retry_step=True)
def champion_model(
    context: AssetExecutionContext,
    config: PromotionConfig,
    mlflow: MlflowTracker,
    train_test_split: Split,
    elasticnet_model: TrainedModel,
    registered_model: RegisteredVersion,
):
    """The version that serves: the champion, or the new version if it is better.

    Both predict the same held-out rows. The previous champion stays registered;
    ``make rollback`` returns to it.
    """
    require_same_version(mlflow, elasticnet_model)
    require_same_split(elasticnet_model.data, train_test_split.data)
    registry = mlflow.tracker.registry(registered_model.name)
    require_version_of_model(registry, elasticnet_model, registered_model)
    tracker = mlflow.continue_run(context, elasticnet_model.its_training)
    decision = challenge(
        context,
        config,
        tracker,
        registry,
        registered_model.version,
        elasticnet_model.model,
        train_test_split,
    )
    context.log.info(decision.reason)
    return MaterializeResult(
        value=ChampionDecision(
            registry.name, decision.champion, decision.before, tracker.require_training()
        ),
        metadata={
            **decision.metadata(),
            "mlflow_run": mlflow_link(tracker.run_url),
            **(
                {
                    "champion_version": mlflow_link(
                        tracker.model_version_url(registry.name, decision.champion)
                    )
                }
                if decision.champion
                else {}
            ),
        },
        check_results=[decision.check(config.tolerance)],
    )


@dataclass(frozen=True)
class Decision:
    """The champion after a version has challenged the one before.

    Attributes:
        mine: The version that challenged.
        errors: RMSE on the same rows of each version that was compared, in units of quality.
        untrusted: Why the champion may not be compared with, and so not be replaced; or empty.
    """

    mine: str
    before: str | None
    champion: str | None
    errors: dict[str, float]
    reason: str
    untrusted: str = ""

    def check(self, tolerance: float) -> AssetCheckResult:
        """Whether its RMSE is at most ``tolerance`` more than that of the champion before."""
        if self.untrusted:
            return AssetCheckResult(
                check_name=TOLERANCE_CHECK,
                passed=False,
                severity=AssetCheckSeverity.WARN,
                description=self.untrusted,
            )
        mine = self.errors[self.mine]
        worse = mine - self.errors.get(self.before or self.mine, mine)
        return AssetCheckResult(
            check_name=TOLERANCE_CHECK,
            passed=worse <= tolerance,
            severity=AssetCheckSeverity.WARN,
            description=f"RMSE {mine:.6f}, {worse:+.6f} to the champion's; {tolerance:g} are "
            "tolerated.",
        )

    def metadata(self) -> dict[str, Any]:
        """Metadata for the UI: champion, reason, and the RMSE of each version on the same rows."""
        return {
            "champion": self.champion or "none",
            "decision": self.reason,
            "rmse_on_the_same_rows": MetadataValue.table(
                [
                    TableRecord({"version": version, "rmse": self.errors[version]})
                    for version in sorted(self.errors, key=int)
                ]
            ),
        }


def challenge(
    context: AssetExecutionContext | OpExecutionContext,
    config: PromotionConfig,
    tracker: Tracker,
    registry: ChampionRegistry,
    mine: str,
    model: dict[str, Any],
    split: Split,
) -> Decision:
    """Make version ``mine`` the challenger and, if the policy has it so, the better one champion.

    Args:
        model: The version's model in plain numbers.
        split: The rows on which all are compared are those held out here.

    Raises:
        RoleConflictError: alias and stage name two champions, and a person must decide.
    """
    from wine_quality.models.elastic_net.fit import LinearModel

    linear = LinearModel.from_json(json.dumps(model))
    contest = Contest(
        registry,
        mine,
        Metric("RMSE", higher_is_better=False, min_improvement=config.min_improvement),
        lambda one: _error_of(tracker, registry, one, split, linear, context.log.warning),
        context.log,
        automatic=config.policy == PromotionPolicy.automatic,
        compared={mine: split.rmse(linear)},
    )
    reason = contest.decide(
        lambda best, before: note_promotion(context, tracker, registry.name, best, before)
    )
    if contest.refusal:
        reason += f" To replace it all the same: make promote VERSION={mine}."
    elif not contest.automatic and contest.champion != mine:
        reason += " Launch wine_quality_promotion to make it the champion."
    return Decision(
        mine, contest.before, contest.champion, contest.compared, reason, contest.refusal
    )


def _error_of(
    tracker: Tracker,
    registry: ChampionRegistry,
    version: str,
    split: Split,
    mine: "LinearModel",
    warn: Callable[[str], None],
) -> float | None:
    """RMSE of a version on the held-out rows; None when it cannot be loaded any more.

    Raises:
        UntrustedModelError: this pipeline did not register it, or not as it is now.
    """
    from wine_quality.models.elastic_net.fit import LinearModel

    found = registry.version(version)
    if found is None:
        return None
    plain = tracker.load_training_record(found)
    if plain is not None and "model" in plain:
        return split.rmse(LinearModel.from_json(json.dumps(plain["model"])))
    try:
        shown = len(split.examples("test"))
        if shown < split.test_rows:
            warn(
                f"{registry.name} version {version} left no record of its training: its error is "
                f"estimated on a sample of {shown} of the {split.test_rows} test rows."
            )
        return split.rmse_of(lambda rows: tracker.predict(registry.name, version, rows), mine)
    except UntrustedModelError:
        raise
    except Exception as error:
        warn(f"{registry.name} version {version} cannot be loaded, so it is skipped: {error}")
        return None
