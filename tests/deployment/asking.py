"""Asking a gateway as an application does, and waiting until it knows what the store says."""

import asyncio
from typing import Any

import aiohttp

from continuum.deployment.gateway.gateway import Gateway
from continuum.deployment.handle import Deployment
from continuum.deployment.routing import RouteTable
from continuum.records import Interaction
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.store.database import Store

QUESTION = {"model": "gpt-4", "messages": [{"role": "user", "content": "Where is my order?"}]}


def deploy_row(store: Store, base_url: str, traffic: float, **fields: Any) -> Deployment:
    """A deployment without a checkpoint behind it, for tests of the gateway alone."""
    record = DeploymentRecord(
        task="support",
        checkpoint_id="c",
        model="support-v1",
        stable_model="production",
        backend_url=base_url,
        traffic=traffic,
        ramp_schedule=(0.05, 0.25, 1.0),
        **fields,
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="deploy", to_traffic=traffic))
    return Deployment(record, store=store)


async def routes_are_read(gateway: Gateway, store: Store) -> None:
    """Wait until the gateway routes as the store says."""
    async with asyncio.timeout(10):
        while gateway.routes.routes != RouteTable.of(store.deployments.serving()).routes:
            await asyncio.sleep(0.02)


async def store_is_missed(client: aiohttp.ClientSession, gateway: Gateway) -> None:
    """Wait until the gateway has tried to read the routes in vain."""
    async with asyncio.timeout(10):
        while (await health(client, gateway))["store"] == "ok":
            await asyncio.sleep(0.02)


async def health(client: aiohttp.ClientSession, gateway: Gateway) -> dict[str, Any]:
    async with client.get(gateway.base_url.removesuffix("/v1") + "/healthz") as response:
        return await response.json()


async def ask(client: aiohttp.ClientSession, gateway: Gateway, body: Any = QUESTION, **headers: str) -> aiohttp.ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await client.post(f"{gateway.base_url}/chat/completions", json=body, headers=named)
    await response.read()
    return response


async def the_interaction(store: Store, gateway: Gateway, response: aiohttp.ClientResponse) -> Interaction:
    assert await gateway.flush()
    found = store.interactions.get(response.headers["x-continuum-interaction-id"])
    assert found is not None
    return found
