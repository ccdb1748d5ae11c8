"""A certificate for this machine, so that storage can be spoken to with TLS and verification stays on."""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate for 127.0.0.1, signed by itself, and its key; both PEM."""

    path: Path
    key_path: Path

    @property
    def trust(self) -> dict[str, str]:
        """Answers with the environment of a process that shall trust it, beside nothing else."""
        return {"SSL_CERT_FILE": str(self.path)}


def make_certificate(folder: Path) -> Certificate:
    """Makes one in a folder; its key is no secret of anybody's."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Certificates of one name would be taken for each other by a process that trusts several.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"storage {secrets.token_hex(8)}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(path=folder / "certificate.pem", key_path=folder / "key.pem")
    made.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
