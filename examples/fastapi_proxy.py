"""A proxy for chat completions: what comes in, what goes to the provider, and metrics for Prometheus.

Run it with ``uvicorn --app-dir examples fastapi_proxy:app``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response
from prometheus_client import make_asgi_app

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument
from bamboo_logmetrics.instrument.asgi import MetricsMiddleware
from bamboo_logmetrics.instrument.prometheus import export_metrics

PROVIDER = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the log and the client, and close them when the server ends."""
    blm.configure("logs/proxy.jsonl", close_on_sigterm=True)
    export_metrics()
    async with httpx.AsyncClient(timeout=600) as client:
        app.state.client = instrument(client, provider="openai")
        yield
    blm.close()


app = FastAPI(lifespan=lifespan)
app.add_middleware(MetricsMiddleware)
app.mount("/metrics", make_asgi_app())


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    """Pass a request on to the provider, with the client's own key."""
    answer = await request.app.state.client.post(
        f"{PROVIDER}/chat/completions",
        content=await request.body(),
        headers={"authorization": request.headers.get("authorization", ""), "content-type": "application/json"},
    )
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
