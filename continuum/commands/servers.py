"""The servers, and the demo."""

from typing import Annotated

import typer

from continuum.commands.completing import task_names
from continuum.commands.terminal import Port, console, run


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8787,
    task: Annotated[str | None, typer.Option(help="Task of requests that name none.", autocompletion=task_names)] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the port.")] = 1,
    keys: Annotated[
        bool | None,
        typer.Option(
            "--keys/--no-keys",
            help="Ask everybody for a key, or nobody; when left out, as soon as one was made, and always beyond loopback.",
        ),
    ] = None,
    override: Annotated[
        bool, typer.Option(help="On loopback, let requests without a key name the arm that answers (x-continuum-arm).")
    ] = False,
) -> None:
    """Serve the gateway: split traffic between production and the tuned models, and capture it."""
    from continuum.deployment.serving import run_server

    if workers == 1:
        from continuum.deployment.gateway.alone import serve_gateway

        run_server(serve_gateway(host, port, default_task=task, keys=keys, override=override))
    else:
        from continuum.deployment.gateway.workers import Plan, serve_workers

        run_server(serve_workers(Plan(host, port, workers, task, keys, override)))


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8790,
) -> None:
    """Serve the tuned models: each base once, adapters loaded as they are asked for."""
    from continuum.deployment.backends.local import serve_local

    run(serve_local(host, port))


def demo(
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; CONTINUUM_SEED when left out.")] = None,
) -> None:
    """Turn the wheel twice on made-up support traffic, offline, and tell the story."""
    from continuum.demo.story import tell

    run(tell(console, seed=seed))
