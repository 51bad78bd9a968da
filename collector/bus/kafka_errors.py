"""What Kafka's errors mean to those who use a bus: later, never, or stop."""

from __future__ import annotations

from aiokafka import errors

from collector.bus.protocol import BusError, BusUnavailable, Fenced, RecordTooLarge

FENCING = (errors.ProducerFenced, errors.InvalidProducerEpoch)
TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
REFUSED = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
)


def sorted_error(error: BaseException, doing: str) -> BusError:
    """Tell what an error means; `doing` says what was tried."""
    if isinstance(error, BusError):
        return error
    if isinstance(error, FENCING):
        return Fenced(f"{doing}: another member took over")
    if isinstance(error, REFUSED):
        return BusUnavailable(f"{doing}: the broker refuses it ({error!r}): check the user, its rights and the secret")
    if isinstance(error, TimeoutError):
        return BusUnavailable(f"{doing}: the broker did not answer in time")
    return BusUnavailable(f"{doing}: {type(error).__name__}: {error}")


def is_too_large(error: BaseException) -> bool:
    """Say whether a record is larger than the broker, or the client for its sake, takes."""
    return isinstance(error, TOO_LARGE)


def too_large(topic: str, size: int, limit: int) -> RecordTooLarge:
    """Say which record it was."""
    return RecordTooLarge(topic, size, limit)
