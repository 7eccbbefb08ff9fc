#!/usr/bin/env bash
# opentelemetry-instrumentation-httpx 0.66b2 with httpx 0.28.1: `HTTPXClientInstrumentor().instrument()` traces no
# client that stands on a transport of its own.
#
# The global `instrument()` wraps the methods of httpx's own transport classes. A client whose transport derives
# from `httpx.AsyncBaseTransport`, as on aiohttp, an ASGI application or a cache, never calls these: its requests
# get no span, and nothing says so. `instrument_client(client)` wraps the transport that the client has, whatever
# it is, and gives a span for each request from then on.
#
# Seen (spans of one request each):
#   httpx's own transport after instrument(): 1
#   a transport of one's own after instrument(): 0
#   a transport of one's own after instrument_client(): 1
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  "httpx==0.28.1" "opentelemetry-sdk==1.45.2" "opentelemetry-instrumentation-httpx==0.66b2" 2>/dev/null
cat >spans.py <<'PYTHON'
import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class OwnTransport(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request):
        return httpx.Response(200)


async def spans_of_one_request(client, url):
    spans.clear()
    async with client:
        await client.get(url)
    return len(spans.get_finished_spans())


async def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    found = [
        await spans_of_one_request(httpx.AsyncClient(trust_env=False), url),
        await spans_of_one_request(httpx.AsyncClient(transport=OwnTransport()), url),
    ]
    instrumentor.uninstrument()
    client = httpx.AsyncClient(transport=OwnTransport())
    HTTPXClientInstrumentor.instrument_client(client, tracer_provider=provider)
    found.append(await spans_of_one_request(client, url))
    server.shutdown()
    print("httpx's own transport after instrument():", found[0])
    print("a transport of one's own after instrument():", found[1])
    print("a transport of one's own after instrument_client():", found[2])
    raise SystemExit("this has changed" if found != [1, 0, 1] else 0)


asyncio.run(main())
PYTHON
env/bin/python spans.py
