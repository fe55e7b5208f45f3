"""The type checker of the tests: beartype, which takes an integer where a float is meant."""

from beartype import BeartypeConf, beartype

watched = beartype(conf=BeartypeConf(is_pep484_tower=True))
