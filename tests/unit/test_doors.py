"""Every error that the two libraries can raise: what it means to us, and its exit code."""

import inspect
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import errors as kafka_errors
from redis import exceptions as redis_errors

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from servers import kafka, redis

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = (
    "contract",
    "media",
    "producer",
    "seedstream",
    "segmentation",
    "stack",
    "viewer",
    "workers",
)

INVALID = """
InvalidRecordError InvalidTimestampError MessageSizeTooLargeError RecordListTooLargeError
"""
REBALANCING = """
CommitFailedError FencedMemberEpochError IllegalGenerationError MemberIdRequiredError
RebalanceInProgressError StaleMemberEpochError UnknownMemberIdError
"""
REFUSED = """
AuthorizationError ClusterAuthorizationFailedError DelegationTokenAuthDisabledError
DelegationTokenAuthorizationFailedError DelegationTokenExpiredError DelegationTokenNotFoundError
DelegationTokenOwnerMismatchError DelegationTokenRequestNotAllowedError
GroupAuthorizationFailedError IllegalSaslStateError IncompatibleBrokerVersion
InconsistentGroupProtocolError InvalidConfigurationError InvalidGroupIdError
InvalidPartitionsError InvalidReplicationAssignmentError InvalidReplicationFactorError
InvalidRequiredAcksError InvalidSessionTimeoutError InvalidTopicError KafkaConfigurationError
PolicyViolationError SaslAuthenticationFailedError SecurityDisabledError
TopicAuthorizationFailedError TransactionalIdAuthorizationFailedError UnacceptableCredentialError
UnrecognizedBrokerVersion UnsupportedAssignorError UnsupportedCodecError
UnsupportedCompressionTypeError UnsupportedSaslMechanismError UnsupportedVersionError
"""
AWAY = """
Cancelled ConcurrentTransactionsError CoordinatorLoadInProgressError CoordinatorNotAvailableError
CorrelationIdError ElectionNotNeededError EligibleLeadersNotAvailableError FencedLeaderEpochError
FetchSessionIdNotFoundError FetchSessionTopicIdError InconsistentTopicIdError
InvalidFetchSessionEpochError InvalidMetadataError InvalidShareSessionEpochError
KafkaConnectionError KafkaStorageError KafkaTimeoutError LeaderNotAvailableError
ListenerNotFoundError MetadataEmptyBrokerList NetworkExceptionError NodeNotReadyError
NotControllerError NotCoordinatorError NotEnoughReplicasAfterAppendError NotEnoughReplicasError
NotLeaderForPartitionError OffsetNotAvailableError PreferredLeaderNotAvailableError
ReplicaNotAvailableError RequestTimedOutError RetriableError ShareSessionNotFoundError
StaleMetadata ThrottlingQuotaExceededError TooManyInFlightRequests UnjoinedGroupException
UnknownLeaderEpochError UnknownTopicIdError UnknownTopicOrPartitionError UnstableOffsetCommitError
"""
BROKEN = """
BrokerIdNotRegisteredError BrokerNotAvailableError BrokerResponseError CorruptRecordError
DuplicateBrokerRegistrationError DuplicateResourceError DuplicateSequenceNumberError
DuplicateVoterError FeatureUpdateFailedError FencedInstanceIdError FencedStateEpochError
GroupIdNotFoundError GroupMaxSizeReachedError GroupSubscribedToTopicError IllegalArgumentError
IllegalStateError InconsistentClusterIdError InconsistentVoterSetError IneligibleReplicaError
InvalidCommitOffsetSizeError InvalidFetchRequestError InvalidPrincipalTypeError
InvalidProducerEpochError InvalidProducerIdMappingError InvalidReceiveError
InvalidRecordStateError InvalidRegistrationError InvalidRequestError
InvalidTransactionTimeoutError InvalidTxnStateError InvalidUpdateVersionError InvalidVoterKeyError
KafkaError KafkaProtocolError LogDirNotFoundError LogTruncationError MismatchedEndpointTypeError
NewLeaderElectedError NoError NoOffsetForPartitionError NoReassignmentInProgressError
NonEmptyGroupError OffsetMetadataTooLargeError OffsetMovedToTieredStorageError
OffsetOutOfRangeError OperationNotAttemptedError OutOfOrderSequenceNumberError
PositionOutOfRangeError PrincipalDeserializationFailureError ProducerFencedError
QuotaViolationError ReassignmentInProgressError RecordTooLargeError ResourceNotFoundError
SnapshotNotFoundError StaleBrokerEpochError StaleControllerEpochError TelemetryTooLargeError
TopicAlreadyExistsError TopicDeletionDisabledError TransactionAbortableError
TransactionAbortedError TransactionCoordinatorFencedError TransactionalIdNotFoundError
UnknownBrokerIdError UnknownControllerIdError UnknownError UnknownProducerIdError
UnknownSubscriptionIdError UnreleasedInstanceIdError UnsupportedEndpointTypeError
UnsupportedForMessageFormatError VoterNotFoundError
"""
KAFKA = {
    name: meaning
    for names, meaning in (
        (INVALID, kafka.Meaning.INVALID),
        (REBALANCING, kafka.Meaning.REBALANCING),
        (REFUSED, kafka.Meaning.REFUSED),
        (AWAY, kafka.Meaning.AWAY),
        (BROKEN, kafka.Meaning.BROKEN),
    )
    for name in names.split()
}

REDIS_REFUSED = """
AuthenticationError AuthenticationWrongNumberOfArgsError AuthorizationError
ExternalAuthProviderError MovedError NoPermissionError
"""
REDIS_INVALID = """
ChildDeadlockedError ClusterCrossSlotError CrossSlotTransactionError DataError ExecAbortError
IncorrectPolicyType InvalidPipelineStack LockError LockNotOwnedError ModuleError NoScriptError
NoSuchFieldsetError PubSubError WatchError
"""
REDIS_AWAY = """
AskError BusyLoadingError ClusterDownError ClusterError ConnectionError InvalidResponse
MasterDownError MaxConnectionsError OutOfMemoryError ReadOnlyError RedisClusterException
RedisError ResponseError SlotNotCoveredError TimeoutError TryAgainError
"""
REDIS = {
    name: meaning
    for names, meaning in (
        (REDIS_REFUSED, redis.Meaning.REFUSED),
        (REDIS_INVALID, redis.Meaning.INVALID),
        (REDIS_AWAY, redis.Meaning.AWAY),
    )
    for name in names.split()
}


def _kinds(base: type[Exception]) -> Iterator[type[Exception]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)


def kafka_kinds() -> dict[str, type[Exception]]:
    return {
        kind.__name__: kind
        for kind in _kinds(kafka_errors.KafkaError)
        if kind.__module__.startswith("kafka.")
    }


def redis_kinds() -> dict[str, type[Exception]]:
    return {
        name: kind
        for name, kind in vars(redis_errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }


def example(kind: type[Exception]) -> Exception:
    """Make an exception without its constructor, which may want an answer of the server."""
    error = kind.__new__(kind)
    error.args = ("it says so",)
    return error


def not_enabled(answer: str) -> Exception:
    """Make what redis-py says of a node that has answered so when it was asked for its slots."""
    error = redis_errors.RedisClusterException("Cluster mode is not enabled on this node")
    error.__context__ = redis_errors.ResponseError(answer)
    return error


def exit_code(error: SeedstreamError) -> int:
    """As the processes' entry points do it."""
    return 2 if isinstance(error, ConfigurationError) else 1


def test_every_error_of_kafkas_client_has_a_meaning_that_was_chosen_for_it() -> None:
    seen = {name: kafka.meaning(example(kind)) for name, kind in kafka_kinds().items()}
    assert seen == KAFKA


@pytest.mark.parametrize("name", REFUSED.split())
@pytest.mark.parametrize("wrap", ["in the text", "as an argument", "as the cause"])
def test_a_refusal_that_kafkas_client_wraps_stays_one(name: str, wrap: str) -> None:
    refusal = example(kafka_kinds()[name])
    if wrap == "as an argument":
        error = kafka_errors.KafkaError(refusal)
    elif wrap == "in the text":
        error = kafka_errors.KafkaError(f"Cannot execute, we are in an error state: {refusal}")
    else:
        error = kafka_errors.KafkaError("it failed")
        error.__cause__ = refusal
    assert kafka.meaning(error) is kafka.Meaning.REFUSED


def test_what_is_wrapped_and_no_refusal_does_not_become_one() -> None:
    text = "Cannot execute, we are in an error state: ProducerFencedError: SomeError"
    assert kafka.meaning(kafka_errors.KafkaError(text)) is kafka.Meaning.BROKEN
    quoted = kafka_errors.InvalidReceiveError("InvalidTopicError")
    assert kafka.meaning(quoted) is kafka.Meaning.BROKEN


def test_every_error_of_redis_client_has_a_meaning_that_was_chosen_for_it() -> None:
    seen = {}
    for name, kind in redis_kinds().items():
        assert issubclass(kind, redis.ERRORS), f"{name} would not be caught"
        seen[name] = redis.meaning(example(kind))
    assert seen == REDIS


@pytest.mark.parametrize(
    ("error", "ours", "code"),
    [
        (kafka_errors.TopicAuthorizationFailedError("frames"), ConfigurationError, 2),
        (kafka_errors.SaslAuthenticationFailedError("no"), ConfigurationError, 2),
        (ValueError("no such option"), ConfigurationError, 2),
        (FileNotFoundError("ca.crt"), ConfigurationError, 2),
        (socket.gaierror(-3, "Temporary failure in name resolution"), UnavailableError, 1),
        (OSError(24, "Too many open files"), UnavailableError, 1),
        (kafka_errors.KafkaTimeoutError("slow"), UnavailableError, 1),
        (kafka_errors.CoordinatorNotAvailableError("gone"), UnavailableError, 1),
        (kafka_errors.IllegalStateError("closed"), UnavailableError, 1),
        (kafka_errors.UnknownProducerIdError("lost"), UnavailableError, 1),
        (kafka_errors.RecordListTooLargeError("17 MB"), InvalidMessageError, 1),
    ],
)
def test_an_error_of_kafka_becomes_ours(
    error: Exception, ours: type[SeedstreamError], code: int
) -> None:
    connection = kafka.KafkaConnection(bootstrap_servers="broker:9092")
    made = kafka.failed(error, connection, "reading the topic 'frames'")
    assert type(made) is ours
    assert exit_code(made) == code
    assert "broker:9092" in str(made)
    assert "reading the topic 'frames'" in str(made)


@pytest.mark.parametrize(
    ("error", "ours", "code"),
    [
        (redis_errors.AuthenticationError("no"), ConfigurationError, 2),
        (redis_errors.NoPermissionError("no"), ConfigurationError, 2),
        (redis_errors.ConnectionError("gone"), UnavailableError, 1),
        (redis_errors.RedisClusterException("All slots are not covered"), UnavailableError, 1),
        (not_enabled("This instance has cluster support disabled"), ConfigurationError, 2),
        # redis-py says the same of a node that has answered anything else than its slots.
        (not_enabled("BUSY Redis is busy running a script"), UnavailableError, 1),
        (redis_errors.ResponseError("WRONGTYPE Operation"), ConfigurationError, 2),
        (redis_errors.SlotNotCoveredError("Slot 7"), UnavailableError, 1),
        (redis_errors.OutOfMemoryError("maxmemory"), UnavailableError, 1),
        (redis_errors.DataError("no number"), InvalidMessageError, 1),
    ],
)  # fmt: skip
def test_an_error_of_redis_becomes_ours(
    error: Exception, ours: type[SeedstreamError], code: int
) -> None:
    connection = redis.RedisConnection(redis_url="redis://:secret@store:6379/0")
    made = redis.failed(error, connection, "read from")
    assert type(made) is ours
    assert exit_code(made) == code
    assert "store:6379" in str(made)
    assert "secret" not in str(made)


def test_a_cluster_whose_nodes_refuse_the_user_is_refused() -> None:
    wrapped = redis_errors.RedisClusterException("Redis Cluster cannot be connected")
    wrapped.__cause__ = redis_errors.AuthenticationError("WRONGPASS")
    assert redis.meaning(wrapped) is redis.Meaning.REFUSED


def test_nobody_opens_a_server_or_reads_its_errors_beside_the_doors() -> None:
    forbidden = re.compile(
        r"^\s*(?:import redis\b|from redis\b|from kafka\.errors\b|from kafka import errors\b)"
        r"|\bKafka(?:Producer|Consumer|AdminClient)\(",
        re.MULTILINE,
    )
    found = [
        f"{path.relative_to(REPOSITORY)}: {match[0].strip()}"
        for room in ROOMS
        for path in (REPOSITORY / room).rglob("*.py")
        for match in forbidden.finditer(path.read_text())
    ]
    assert found == []
