"""nginx as the service: the same static answer to every request, over http and https on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trustme

from common import answer_with, real_like_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSING = "these benchmarks need nginx, which plays the service: apt install nginx-light"

# A static file answers no POST: the refusal, 404 or 405, is turned into the file.
CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 25m;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  open_file_cache max=8;
  server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.pem;
    root {folder}/www;
    error_page 404 405 =200 /answer.json;
  }}
}}
"""


class Nginx(NamedTuple):
    """The addresses of the service, and the file of the authority that signed its certificate."""

    http: str
    https: str
    ca_file: Path


def command(folder: Path) -> list[str]:
    """Return the command that runs nginx on a folder.

    Raises:
        SystemExit: with 2, if nginx is not installed.
    """
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found:
        print(MISSING, file=sys.stderr)
        raise SystemExit(2)
    return [found, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def write_configuration(folder: Path) -> Nginx:
    """Write all that nginx needs to a folder."""
    (folder / "www").mkdir()
    (folder / "www" / "answer.json").write_bytes(answer_with(real_like_vectors(1)[0]))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    http, https = free_ports(2)
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(
            folder=folder, http=http, https=https, user="user root;" if os.geteuid() == 0 else ""
        )
    )
    return Nginx(f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", folder / "ca.pem")


def free_ports(count: int) -> list[int]:
    """Return ports that are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def nginx() -> Iterator[Nginx]:
    """Run nginx, and stop it at the end of the block, whatever happened.

    Raises:
        SystemExit: with 2, if nginx is not installed.
        RuntimeError: it does not start; the message has its log.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started = command(folder)
        service = write_configuration(folder)
        with subprocess.Popen(started) as process:
            try:
                wait_for(process, int(service.http.rpartition(":")[2]), folder / "error.log")
                yield service
            finally:
                process.terminate()


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the process listens on a port."""
    give_up_at = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx does not start: {log.read_text() if log.exists() else 'its log is empty'}")
