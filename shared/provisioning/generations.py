"""How an account row says with which configuration, and after which restart, it was applied. Pure.

The column `config` holds the hash of the configuration and, once the application was restarted, the number of the
restart: `<hash>` or `<hash>.<generation>`. A row that is behind is due, as one of an earlier configuration is; of an
application that was never restarted the rows look as ever.
"""

from __future__ import annotations

from datetime import datetime

from shared.provisioning.accounts import Account


def row_config(config_hash: str, generation: int) -> str:
    """What a row says that was applied with this configuration after so many restarts."""
    return f"{config_hash}.{generation}" if generation else config_hash


def next_generation(last: int, now: datetime) -> int:
    """The number of a restart that follows `last`.

    The first one that anybody remembers is the present second: whoever restarted before the number was lost began
    earlier, and not once a second since.
    """
    return last + 1 if last else int(now.timestamp())


def generation_of(config: str) -> int:
    """The restart after which a row was applied; what cannot be read is before the first."""
    _, _, text = config.partition(".")
    return int(text) if text.isascii() and text.isdigit() else 0


def is_behind(config: str, current: str) -> bool:
    """Whether a row was applied with another configuration, or before the last restart.

    A process that has not heard of the last restart finds rows ahead of it, and leaves them alone.
    """
    other = config.partition(".")[0] != current.partition(".")[0]
    return other or generation_of(config) < generation_of(current)


def is_distrusted(account: Account, asserted: int) -> bool:
    """Whether what was sent counts as unknown, because the restart `asserted` put no trust in it."""
    return bool(account.target_id) and generation_of(account.config) < asserted
