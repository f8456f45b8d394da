"""The code location: what Dagster shows of Continuum, in the order data flows."""

import dagster as dg

from continuum_pipelines.assets.curated_dataset import curated_dataset
from continuum_pipelines.assets.deployment import deployment
from continuum_pipelines.assets.guard_verdict import guard_verdict
from continuum_pipelines.assets.judged_annotations import judged_annotations
from continuum_pipelines.assets.learning_curve import learning_curve
from continuum_pipelines.assets.lora_checkpoint import lora_checkpoint
from continuum_pipelines.assets.raw_interactions import raw_interactions
from continuum_pipelines.backfills import backfill, requested_backfills, requested_turns
from continuum_pipelines.batches import batch_collection, poll_batches
from continuum_pipelines.deployments import deployment_watch, lead_deployments
from continuum_pipelines.describing import described
from continuum_pipelines.erasures import quarantined_models, rebuilding
from continuum_pipelines.jobs import anchors, annotation, curve, flywheel, retention
from continuum_pipelines.late_feedback import late_feedback, late_verdicts
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.resources.training import training_resource
from continuum_pipelines.retries import overlooked_retries
from continuum_pipelines.schedules import anchors_when_due, nightly_annotation, nightly_learning_curve, nightly_retention
from continuum_pipelines.sensors import bootstrap_new_tasks, enough_new_data, new_tasks

defs = dg.Definitions(
    assets=described(
        [
            raw_interactions,
            judged_annotations,
            curated_dataset,
            lora_checkpoint,
            guard_verdict,
            deployment,
            learning_curve,
        ]
    ),
    jobs=[
        flywheel,
        annotation,
        anchors,
        retention,
        curve,
        batch_collection,
        deployment_watch,
        backfill,
        late_verdicts,
        rebuilding,
    ],
    schedules=[nightly_annotation, anchors_when_due, nightly_retention, nightly_learning_curve],
    sensors=[
        new_tasks,
        bootstrap_new_tasks,
        enough_new_data,
        poll_batches,
        lead_deployments,
        requested_backfills,
        requested_turns,
        late_feedback,
        quarantined_models,
        overlooked_retries,
    ],
    resources={"store": StoreResource(), "tracker": TrackerResource(), "training": training_resource()},
    # A turn is one process: starting another for each asset costs more than most assets do.
    executor=dg.in_process_executor,
)
