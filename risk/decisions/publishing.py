"""A challenger made a release: its files, the record of its data and its scores, signed."""

from __future__ import annotations

from risk import store
from risk.config import Config
from risk.data import drops
from risk.ledger.ledger import Ledger
from risk.models import evaluation, model, releases, shared_releases, signing, watched
from risk.models.evaluation import Scorecard
from risk.models.model import Manifest, Model


def publish(config: Config, ledger: Ledger, challenger: Model, version: int) -> dict[str, object]:
    """Publish the challenger with the record of its data and its score; return its ledger row.

    Predictions made elsewhere have no test data, so their score is that of the reference.
    """
    folder, manifest = config.model_folder, challenger.manifest
    estimates = manifest.held_out_scores
    if not manifest.is_watched:
        rows = drops.read_whole(config, config.test_data)
        estimates = evaluation.score(challenger, rows, config=config)
    scores = Scorecard(f"release {version}", tested_on(config, manifest), estimates)
    record = config.ingested_folder / config.compilation_record_filename
    files = {name: model.read_checked(folder, name, manifest) for name in manifest.files}
    files[config.score_filename] = scores.to_csv().encode()
    if record.exists():  # a model may be adopted before the first ingestion
        files[config.compilation_record_filename] = store.read(record)
    digests = {name: model.digest(content) for name, content in files.items()}
    complete = manifest.model_copy(
        update={"version": version, "files": digests, "test_scores": estimates}
    )
    files[model.MANIFEST] = model.sign(complete, signing.key(config)).encode()
    recorded = complete.model_dump_json()
    shared_releases.keep(config, ledger, version, recorded, files)
    releases.publish(config.deployment_folder, version, files)
    return {
        "model_sha256": challenger.sha256,
        "rows_trained": manifest.rows_trained,
        "manifest": recorded,
    }


def tested_on(config: Config, manifest: Manifest) -> str:
    """Return the name of the rows that a release was scored on before it went live."""
    return watched.REFERENCE_ROWS if manifest.is_watched else config.name_of(config.test_data)
