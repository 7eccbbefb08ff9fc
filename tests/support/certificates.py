"""What a server needs to speak TLS with a certificate of `trustme`."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Serve with a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
