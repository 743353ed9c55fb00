"""What each error of kafka-python 3 asks for."""

import enum
import re
import ssl

from kafka import errors


class Meaning(enum.Enum):
    """What an error of Kafka's client asks for."""

    AWAY = "away"
    """Kafka does not answer for now: the client tries again by itself, within a bound."""
    BROKEN = "broken"
    """The client does not recover: replace it, or end the process."""
    REBALANCING = "rebalancing"
    """The group is changing: what was to be committed belongs to another member."""
    REFUSED = "refused"
    """Kafka does not let us, or does not know how: a person must change a setting or a right."""
    INVALID = "invalid"
    """This one record cannot be written."""


TOO_LARGE = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
)
INVALID = (*TOO_LARGE, errors.InvalidRecordError, errors.InvalidTimestampError)
REBALANCING = (
    errors.CommitFailedError,
    errors.FencedMemberEpochError,
    errors.IllegalGenerationError,
    errors.MemberIdRequiredError,
    errors.RebalanceInProgressError,
    errors.StaleMemberEpochError,
    errors.UnknownMemberIdError,
)
DENIED = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
)
"""The refusals that are about who we are."""

REFUSED = (
    *DENIED,
    errors.DelegationTokenAuthDisabledError,
    errors.DelegationTokenExpiredError,
    errors.DelegationTokenNotFoundError,
    errors.DelegationTokenOwnerMismatchError,
    errors.DelegationTokenRequestNotAllowedError,
    errors.IllegalSaslStateError,
    errors.IncompatibleBrokerVersion,
    errors.InconsistentGroupProtocolError,
    errors.InvalidConfigurationError,
    errors.InvalidGroupIdError,
    errors.InvalidPartitionsError,
    errors.InvalidReplicationAssignmentError,
    errors.InvalidReplicationFactorError,
    errors.InvalidRequiredAcksError,
    errors.InvalidSessionTimeoutError,
    errors.InvalidTopicError,
    errors.KafkaConfigurationError,
    errors.PolicyViolationError,
    errors.SecurityDisabledError,
    errors.UnacceptableCredentialError,
    errors.UnrecognizedBrokerVersion,
    errors.UnsupportedAssignorError,
    errors.UnsupportedCodecError,
    errors.UnsupportedCompressionTypeError,
    errors.UnsupportedVersionError,
)


PASSING = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedVersionError,
)
"""The refusals that may pass by themselves, see ``may_pass``."""


def meaning(error: BaseException) -> Meaning:
    """Return what an error of kafka-python, or of the arguments given to it, asks for."""
    if isinstance(error, INVALID):
        return Meaning.INVALID
    if isinstance(error, REBALANCING):
        return Meaning.REBALANCING
    if isinstance(error, REFUSED):
        return Meaning.REFUSED
    if not isinstance(error, errors.KafkaError):
        # The client checks its arguments and files itself, with Python's own errors. What the
        # system says of names, addresses and descriptors passes.
        lasting = (FileNotFoundError, PermissionError, ssl.SSLError)
        passes = isinstance(error, OSError) and not isinstance(error, lasting)
        return Meaning.AWAY if passes else Meaning.REFUSED
    if refusal_within(error) is not None:
        return Meaning.REFUSED
    # A closed or failed client calls everything illegal, the tries of others among it.
    if isinstance(error, errors.IllegalStateError):
        return Meaning.BROKEN
    retriable = isinstance(error, errors.RetriableError) or getattr(error, "retriable", False)
    return Meaning.AWAY if retriable else Meaning.BROKEN


def may_pass(error: BaseException) -> bool:
    """Return whether Kafka may refuse so for a moment and then not any more.

    Users and rights reach one broker after the other, and versions change while brokers are
    updated one by one.
    """
    found = refusal_within(error) or error
    return isinstance(found, PASSING)


def within_broker(error: BaseException) -> bool:
    """Return whether something failed within a broker, which it does not explain.

    It is often of one partition alone, and may pass.
    """
    return isinstance(error, errors.UnknownError)


def refusal_within(error: BaseException) -> errors.KafkaError | None:
    """Return the refusal that kafka-python has wrapped into an error of another kind, if any.

    Its producer, once it is not allowed something, answers every call with a plain ``KafkaError``
    that has the refusal in its arguments or, mostly, only by name in its text.
    """
    for each in (error.__cause__, *error.args):
        if isinstance(each, REFUSED):
            return each
    # Only this kind is a wrapper: another one may quote what somebody else has sent.
    if type(error) is not errors.KafkaError:
        return None
    for name in re.findall(r"\b[A-Z]\w*(?:Error|Version)\b", str(error)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, REFUSED):
            return kind(str(error))
    return None
