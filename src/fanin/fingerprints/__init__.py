"""Fingerprints: which numbers a model has, in a few words that do not depend on shards, frameworks or hosts."""

from fanin.fingerprints.compute import fingerprint
from fanin.fingerprints.records import Fingerprint, Verification, Verified
from fanin.fingerprints.verify import verify

__all__ = ["Fingerprint", "Verification", "Verified", "fingerprint", "verify"]
