"""The certificates that TLS connections to providers trust."""

import os
import platform
import ssl
from pathlib import Path

# The usual paths of trusted certificates, for an OpenSSL that was built without a default path.
TRUSTED = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def trusting_context(ca_file: str = "") -> ssl.SSLContext:
    """Return a TLS context that trusts SSL_CERT_FILE or SSL_CERT_DIR, else the system's certificates, and those of
    `ca_file`. Raises ValueError if `ca_file` can't be read or has no certificate."""
    context = _trusting_the_system()
    if ca_file:
        _add(context, ca_file)
    return context


def check_ca_file(ca_file: str) -> None:
    """Raise ValueError if a file can't be read or has no certificate. The system's certificates are not loaded."""
    _add(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca_file)


def _add(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(Path(ca_file))
    except ssl.SSLError:
        raise ValueError("ca_file has no certificate: it must be a file with certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"ca_file can't be read: {error.strerror}") from None


def _trusting_the_system() -> ssl.SSLContext:
    if platform.system() == "Darwin" and not os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        import truststore  # macOS keeps its certificates where OpenSSL does not look

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath and (found := next(filter(os.path.isfile, TRUSTED), None)):
        context.load_verify_locations(Path(found))
    return context
