"""Why a bundle is refused: the error codes of the Memory Interchange Protocol."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """What is wrong with a bundle. The codes are part of the protocol (MIP.md §9)."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNSAFE_NAME = "unsafe_name"
    MEMBERS_DIFFER = "members_differ"
    DIGEST_DIFFERS = "digest_differs"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"
    ALGORITHM = "algorithm"
    VERSION = "version"
    CAPABILITY = "capability"
    NOT_YOURS = "not_yours"
    PURPOSE = "purpose"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    REPLAYED = "replayed"
    RECORD = "record"
    LINEAGE = "lineage"
    TENSORS = "tensors"
    UNREADABLE = "unreadable"
    SEALED = "sealed"
    GAP = "gap"


class Declined(StrEnum):
    """Why one memory stays behind while the rest of a bundle goes or arrives."""

    NOT_SHARED = "not_shared"
    SOURCE_MISSING = "source_missing"
    REDACTED_AWAY = "redacted_away"
    FINGERPRINT = "fingerprint"
    NOT_YOURS = "not_yours"
    NOT_UNDERSTOOD = "not_understood"
    ADDRESS_TAKEN = "address_taken"
    ON_HOLD = "on_hold"
    FORGOTTEN = "forgotten"
    BEYOND_LIMITS = "beyond_limits"
    RESERVED = "reserved"
