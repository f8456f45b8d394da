"""SageMaker: an endpoint with two production variants, of which each holds one checkpoint, merged with its base.

The endpoint is the user's: its instances, its container, its role. Continuum puts packages into the bucket that the endpoint's
models lie in, runs them in the variant that is free, and tells the endpoint the weights.
"""

import asyncio
import logging
import tarfile
from pathlib import Path

from continuum.config import Settings
from continuum.deployment.backends.calls import Unreachable
from continuum.deployment.backends.merging import merged_weights
from continuum.deployment.backends.protocol import Health, Warmed
from continuum.deployment.backends.sagemaker_door import place_of
from continuum.deployment.backends.sagemaker_slots import CHANGES, SERVES, Endpoint, Found, Slot, free_slot, model_name
from continuum.errors import DeploymentError
from continuum.records import Checkpoint

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
CHANGED_WITHIN_S = 3600.0
"""An endpoint has started its instances within this."""
PACKED = (".safetensors", ".json", ".model", ".jinja")


class SageMakerBackend:
    """A SageMaker endpoint at `sagemaker://REGION/ENDPOINT`, asked with boto3's own credentials.

    Args:
        url: the endpoint; a variant after it is passed over.
        settings: where files are put on the way.
        look_every_s: while the endpoint changes.

    Raises:
        ConfigurationError: the address is none.
    """

    name = "sagemaker"

    def __init__(self, url: str, settings: Settings, *, look_every_s: float = LOOK_EVERY_S) -> None:
        place = place_of(url)
        self.url = f"sagemaker://{place.region}/{place.endpoint}"
        self._endpoint = Endpoint(place.region, place.endpoint)
        self._settings = settings
        self._look_every_s = look_every_s

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        """Run the checkpoint in the endpoint's free slot, unless it runs; waits until its instances answer.

        Whoever waits may stop: the endpoint goes on changing, and warming again goes on waiting.

        Raises:
            DeploymentError: AWS refuses, no slot is free, or the instances did not come up.
        """
        try:
            found = await self._settled(create=True)
            slot = found.running(model_name(checkpoint))
            if slot is None:
                slot = await self._filled(checkpoint, found)
            elif slot.checkpoint != checkpoint.name:
                await asyncio.to_thread(self._endpoint.give, found, slot, checkpoint.name)
        except Unreachable as error:
            logger.info("%s", error)
            return Warmed(False, str(error))
        words = f"{checkpoint.name} runs in {slot.variant} of the endpoint {self._endpoint.name}"
        return Warmed(True, words, url=f"{self.url}/{slot.variant}")

    async def unload(self, model: str) -> None:
        """Free a checkpoint's slot; its instances run on, without traffic, until another checkpoint has the slot.

        Raises:
            DeploymentError: AWS does not answer, or refuses.
        """
        found = await self._found()
        slot = None if found is None else found.holding(model)
        if found is None or slot is None:
            return
        try:
            if slot.weight > 0:
                await asyncio.to_thread(self._endpoint.weigh, found, slot, 0.0)
            await asyncio.to_thread(self._endpoint.release, found, slot)
        except Unreachable as error:
            raise DeploymentError(f"{model} is not unloaded: {error}") from error

    async def health(self) -> Health:
        """Whether the endpoint answers; one that changes does."""
        try:
            found = await self._found()
        except DeploymentError as error:
            return Health(False, str(error))
        if found is None:
            return Health(False, f"there is no SageMaker endpoint {self._endpoint.name} in {self._endpoint.region}")
        return Health(found.status in SERVES, f"{found.status} {found.failure}".strip())

    async def models(self) -> tuple[str, ...]:
        """The checkpoints that run in a slot of theirs.

        Raises:
            DeploymentError: AWS does not answer, or refuses.
        """
        found = await self._found()
        slots = () if found is None else found.slots
        return tuple(slot.checkpoint for slot in slots if slot.checkpoint is not None and slot.is_filled)

    async def traffic(self, model: str, share: float) -> None:
        """Give a checkpoint's slot its share of the traffic that names no variant, and the other slot the rest.

        Raises:
            DeploymentError: AWS does not answer or refuses, as it does while the endpoint changes.
        """
        found = await self._found()
        slot = None if found is None else found.holding(model)
        if found is not None and slot is not None:
            try:
                await asyncio.to_thread(self._endpoint.weigh, found, slot, share)
            except Unreachable as error:
                raise DeploymentError(f"the weight of {model} is not changed: {error}") from error
        elif share > 0:
            raise DeploymentError(f"{model} has no slot of the endpoint {self._endpoint.name}; it is warmed first")

    async def _filled(self, checkpoint: Checkpoint, before: Found) -> Slot:
        """A slot that runs the checkpoint, once its instances answer."""
        model, slot = model_name(checkpoint), before.holding(checkpoint.name) or free_slot(before)
        place = await asyncio.to_thread(self._endpoint.package_place, slot, model)
        if not await asyncio.to_thread(self._endpoint.has, place):
            async with merged_weights(checkpoint, self._settings) as folder:
                package = await asyncio.to_thread(packed, folder)
                await asyncio.to_thread(self._endpoint.send, package, place)
        # Given first: nobody else takes the slot while its instances start.
        await asyncio.to_thread(self._endpoint.give, before, slot, checkpoint.name)
        begun = False
        try:
            begun = await asyncio.to_thread(self._endpoint.fill, before, slot, model, place)
        except DeploymentError:
            found = await asyncio.to_thread(self._endpoint.look)
            if found is None or (found.status not in CHANGES and found.config == before.config):
                await self.unload(checkpoint.name)
                raise
            # Somebody else changes the endpoint or has changed it, perhaps to run the same checkpoint.
        after = await self._settled()
        filled = after.running(model)
        if filled is None:
            await self.unload(checkpoint.name)
            why = "AWS went back to what ran before; the endpoint's logs in CloudWatch say why"
            why = after.failure or (why if begun else "somebody else changed the endpoint meanwhile; deploy it again")
            raise DeploymentError(f"{checkpoint.name} did not come up in {slot.variant} of {self._endpoint.name}: {why}")
        if begun:
            await asyncio.to_thread(self._endpoint.tidy, before, slot)
        return filled

    async def _settled(self, *, create: bool = False) -> Found:
        """The endpoint, once it has stopped changing."""
        for _ in range(max(1, round(CHANGED_WITHIN_S / self._look_every_s))):
            found = await asyncio.to_thread(self._endpoint.look)
            if found is None:
                if not create:
                    raise DeploymentError(f"the SageMaker endpoint {self._endpoint.name} has been deleted")
                await asyncio.to_thread(self._endpoint.create)
            elif found.status == "InService":
                return found
            elif found.status not in CHANGES:
                raise DeploymentError(f"the SageMaker endpoint {self._endpoint.name} is {found.status}: {found.failure}")
            await asyncio.sleep(self._look_every_s)
        raise DeploymentError(f"the SageMaker endpoint {self._endpoint.name} has been changing for {CHANGED_WITHIN_S:.0f} s")

    async def _found(self) -> Found | None:
        try:
            return await asyncio.to_thread(self._endpoint.look)
        except Unreachable as error:
            raise DeploymentError(str(error)) from error


def packed(folder: Path) -> Path:
    """A model's folder as the archive that SageMaker unpacks for its containers; it lies in the folder."""
    package = folder / "model.tar.gz"
    files = sorted(path for path in folder.iterdir() if path.suffix in PACKED)
    # Weights hardly shrink; more effort would only take longer.
    with tarfile.open(package, "w:gz", compresslevel=1) as archive:
        for path in files:
            archive.add(path, arcname=path.name)
    return package
