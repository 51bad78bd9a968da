"""ClickHouse's error codes, sorted by what to do about them.

LATER    the server's or the network's trouble, which passes: the same insert again, after a pause
ASKS     somebody has to set something right (a right, a password, a table): also the same again, and it is told
NEVER    what was sent is at fault, and will be tomorrow: the record that holds it is looked for and set aside

A code that is not listed is LATER: to wait too long loses nothing. Names are those of `errorCodeToName`.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """What to do about an error."""

    LATER = "later"
    ASKS = "asks"
    NEVER = "never"


_LATER = {
    3: "UNEXPECTED_END_OF_FILE",
    23: "CANNOT_READ_FROM_ISTREAM",
    24: "CANNOT_WRITE_TO_OSTREAM",
    33: "CANNOT_READ_ALL_DATA",  # also of a request that was cut on its way
    49: "LOGICAL_ERROR",
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    173: "CANNOT_ALLOCATE_MEMORY",
    198: "DNS_ERROR",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",  # a replica that has lost its keeper
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",  # merges are behind
    254: "NO_ACTIVE_REPLICAS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    289: "REPLICA_IS_NOT_IN_QUORUM",
    319: "UNKNOWN_STATUS_OF_INSERT",  # the token tells, when it comes again
    341: "UNFINISHED",
    364: "RECEIVED_ERROR_TOO_MANY_REQUESTS",
    373: "SESSION_IS_LOCKED",
    394: "QUERY_WAS_CANCELLED",
    415: "ALL_REPLICAS_LOST",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    499: "S3_ERROR",
    519: "NO_REMOTE_SHARD_AVAILABLE",
    571: "DATABASE_REPLICATION_FAILED",
    574: "DISTRIBUTED_TOO_MANY_PENDING_BYTES",
    700: "USER_SESSION_LIMIT_EXCEEDED",
    722: "ASYNC_LOAD_WAIT_FAILED",
    733: "TABLE_IS_BEING_RESTARTED",
    735: "QUERY_WAS_CANCELLED_BY_CLIENT",
    745: "SERVER_OVERLOADED",
    762: "HTTP_CONNECTION_LIMIT_REACHED",
    999: "KEEPER_EXCEPTION",
    1000: "POCO_EXCEPTION",
    1001: "STD_EXCEPTION",
    1002: "UNKNOWN_EXCEPTION",
}
_ASKS = {
    16: "NO_SUCH_COLUMN_IN_TABLE",
    46: "UNKNOWN_FUNCTION",
    47: "UNKNOWN_IDENTIFIER",
    48: "NOT_IMPLEMENTED",
    50: "UNKNOWN_TYPE",
    60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR",
    73: "UNKNOWN_FORMAT",
    80: "INCORRECT_QUERY",
    81: "UNKNOWN_DATABASE",
    115: "UNKNOWN_SETTING",
    164: "READONLY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    195: "IP_ADDRESS_NOT_ALLOWED",
    218: "TABLE_IS_DROPPED",
    253: "REPLICA_ALREADY_EXISTS",
    291: "DATABASE_ACCESS_DENIED",
    336: "UNKNOWN_DATABASE_ENGINE",
    392: "QUERY_IS_PROHIBITED",
    452: "SETTING_CONSTRAINT_VIOLATION",
    478: "UNKNOWN_POLICY",
    497: "ACCESS_DENIED",
    501: "CANNOT_CREATE_DATABASE",
    514: "ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND",
    516: "AUTHENTICATION_FAILED",
    701: "CLUSTER_DOESNT_EXIST",
}
_NEVER = {
    6: "CANNOT_PARSE_TEXT",
    20: "NUMBER_OF_COLUMNS_DOESNT_MATCH",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    36: "BAD_ARGUMENTS",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    130: "CANNOT_READ_ARRAY_FROM_TEXT",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    376: "CANNOT_PARSE_UUID",
    407: "DECIMAL_OVERFLOW",
    441: "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
    467: "CANNOT_PARSE_BOOL",
    469: "VIOLATED_CONSTRAINT",
    675: "CANNOT_PARSE_IPV4",
    676: "CANNOT_PARSE_IPV6",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    760: "UNICODE_ERROR",
}

_SORTED = ((Kind.LATER, _LATER), (Kind.ASKS, _ASKS), (Kind.NEVER, _NEVER))
CODES = MappingProxyType({code: (kind, name) for kind, codes in _SORTED for code, name in codes.items()})
"""Every code that is sorted: what to do, and ClickHouse's name of it."""


def kind_of(code: int | None) -> Kind:
    """Say what to do about an error of this code; None is one that has no code, as the network's."""
    kind, _ = CODES.get(code or 0, (Kind.LATER, ""))
    return kind
