"""The errors that a person is meant to read: each says what is wrong, where, and what to do."""


class MedlstmError(ValueError):
    """A failure with a message for the user; it is never retried."""


class ConfigError(MedlstmError):
    """The workspace or its medlstm.toml is wrong: the message names key, value and allowed range."""


class LandingError(MedlstmError):
    """The landing folder of a date is missing, or a source cannot be read at all."""


class ContractStopped(MedlstmError):
    """A contract with the action `stop`, or too large a share of quarantined rows, halts the night."""


class NobodyScored(MedlstmError):
    """A night ended without a prediction because of what arrived for it, or did not; its page says so too."""


class ModelUnavailable(MedlstmError):
    """No champion model exists to score with, or too few stays exist to train one."""
