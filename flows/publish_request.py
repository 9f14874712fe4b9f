"""What the deployment ``publish`` does."""

from __future__ import annotations

from pathlib import Path

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact
from prefect.states import Completed, Failed, State

from flows.publishing import PUBLISHED, publish_site, remove_old_runs
from tandem.errors import TandemError


def publish_request(root: Path, target: str, keep: int | None) -> State:
    """Bring all published runs to a folder or URL, inside a flow.

    Args:
        root: the project's folder.
        target: relative to ``root`` if it is a relative folder.
        keep: how many of the newest runs stay there; None: all.

    Returns:
        Completed, or Failed with a message that says why in a line.
    """
    logger = get_run_logger()
    place = target if "://" in target else str((root / target).resolve())
    try:
        publication = publish_site(root / PUBLISHED, place)
        removed = remove_old_runs(place, keep) if keep else []
    except TandemError as error:
        logger.error("%s", error)
        return Failed(message=str(error))
    message = f"{publication.runs} runs published to {publication.address}"
    if removed:
        message += f", {len(removed)} old ones removed there"
    logger.info("%s", message)
    create_link_artifact(link=publication.address, key="site", description=message)
    return Completed(message=message)
