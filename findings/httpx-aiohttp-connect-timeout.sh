#!/usr/bin/env bash
# httpx-aiohttp 0.2.0 with httpx 0.28.1 and aiohttp 3.14.5: a request that the server answers with nothing but the end of
# the connection raises `httpx.ConnectTimeout`, and so does one to a port where nobody listens.
#
# Neither timed out, and in the first case there was a connection, over which the whole request had gone. httpx's
# own transport says `RemoteProtocolError` and `ConnectError`. Whoever decides by the class whether a request may
# have had an effect, or whether anybody is there, decides wrongly; the `__cause__`, an error of aiohttp, tells.
#
# Seen:
#   httpx's own, hung up on: RemoteProtocolError
#   httpx's own, nobody there: ConnectError
#   httpx-aiohttp, hung up on: ConnectTimeout, because of ServerDisconnectedError
#   httpx-aiohttp, nobody there: ConnectTimeout, because of ClientConnectorError
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
  "httpx==0.28.1" "aiohttp==3.14.5" "httpx-aiohttp==0.2.0" 2>/dev/null
cat >names.py <<'PYTHON'
import asyncio
import socket

import httpx
from httpx_aiohttp import AiohttpTransport


async def hang_up(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def name_of(transport, url):
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        try:
            await client.get(url)
        except httpx.TransportError as error:
            cause = type(error.__cause__)
            why = f", because of {cause.__name__}" if cause.__module__.startswith("aiohttp") else ""
            return type(error).__name__ + why
    return "an answer"


async def main():
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, and nobody listens
        addresses = {"hung up on": server.sockets[0], "nobody there": reserved}
        for library, make in (("httpx's own", httpx.AsyncHTTPTransport), ("httpx-aiohttp", AiohttpTransport)):
            for what, bound in addresses.items():
                url = f"http://127.0.0.1:{bound.getsockname()[1]}"
                print(f"{library}, {what}: {await name_of(make(), url)}")
    server.close()


asyncio.run(main())
PYTHON
env/bin/python names.py | tee seen
diff seen - <<'SEEN'
httpx's own, hung up on: RemoteProtocolError
httpx's own, nobody there: ConnectError
httpx-aiohttp, hung up on: ConnectTimeout, because of ServerDisconnectedError
httpx-aiohttp, nobody there: ConnectTimeout, because of ClientConnectorError
SEEN
