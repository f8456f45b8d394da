"""The servers, and the demo.

A server says where it is found once it listens, in one line and no more.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from continuum.commands.completing import task_names
from continuum.commands.terminal import Json, Port, console, print_json, run, stderr

if TYPE_CHECKING:
    from continuum.deployment.gateway.alone import Announcement


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
    as_json: Json = False,
) -> None:
    """Serve the gateway: split traffic between production and the tuned models, and capture it."""
    from continuum.deployment.serving import run_server

    def on_ready(announced: "Announcement") -> None:
        _found_at(announced, announced.words(), as_json)

    if workers == 1:
        from continuum.deployment.gateway.alone import serve_gateway

        run_server(serve_gateway(host, port, default_task=task, keys=keys, override=override, on_ready=on_ready))
    else:
        from continuum.deployment.gateway.workers import Plan, serve_workers

        run_server(serve_workers(Plan(host, port, workers, task, keys, override), on_ready))


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8790,
    as_json: Json = False,
) -> None:
    """Serve the tuned models: each base once, adapters loaded as they are asked for."""
    from continuum.deployment.backends.local import serve_local

    def on_ready(base_url: str) -> None:
        _found_at({"base_url": base_url}, f"tuned models are served at {base_url}", as_json)

    run(serve_local(host, port, on_ready=on_ready))


def demo(
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; CONTINUUM_SEED when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Turn the wheel twice on made-up support traffic, offline, and tell the story.

    With --json the story goes to stderr, and stdout has its figures.
    """
    from continuum.demo.story import tell

    figures = run(tell(stderr if as_json else console, seed=seed))
    if as_json:
        print_json(figures)


def _found_at(document: object, words: str, as_json: bool) -> None:
    if as_json:
        print_json(document, in_a_line=True)
    else:
        print(words, flush=True)
