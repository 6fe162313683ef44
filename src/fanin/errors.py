"""What fanin raises: one clear sentence that names the argument, what was given and what is accepted."""


class FaninError(Exception):
    """The base of every error that fanin raises on purpose."""


class FaninValueError(FaninError, ValueError):
    """An argument of the right type with a value that cannot be used."""


class FaninTypeError(FaninError, TypeError):
    """An argument of a type that cannot be used."""
