"""The name of every durable write: what may have happened, and what not, when a process dies.

The numbers are the steps of the account protocol. A test kills the process before and after each of these and shows
that the end state is the same, so a write without a name here does not exist: `Tables.commit` and `Queues.send` ask
for one.
"""

from collections.abc import Callable
from enum import StrEnum


class DurableWrite(StrEnum):
    """One place in the code where state outlives the process."""

    PULLER_LEASE = "3 puller lease and epoch"
    MIRROR = "5 mirror rows of a page"
    RAISE = "7 raise the account rows"
    RAISE_LIST = "7 list accounts that are raised when their queue has room"
    TAKE_UP = "7 raise accounts from a list and shorten it"
    MARK_MEMBERS = "7 note the memberships that a group has to look at"
    ENQUEUE = "8 enqueue a message per account"
    CHECKPOINT = "9 checkpoint the page"
    WATERMARK = "10 save the delta link at the end of a round"
    PULLER_RELEASE = "10 give the puller lease back"
    GUARD_RELEASE = "13 permit the staged rows"
    GUARD_ENQUEUE = "13 enqueue the released rows"
    GUARD_HOLD = "14 hold the staged rows"
    GUARD_APPROVE = "15 end the hold of what was approved"
    GUARD_REJECT = "15 reject staged rows"
    PUT_BACK = "17 put the message back, hidden"
    NOTE_REFERENCES = "20 note who refers to whom"
    RESOLVE_CREATE = "21 claim or clear a lost create"
    SAVE_NOTHING = "23 save: nothing to write"
    STAGE = "24 stage a destructive plan"
    LEASE_AND_INTENT = "27 lease and intent, or the claim of an adopted account"
    UNDO_INTENT = "28 take the intent back, nothing was sent"
    MEMBERS = "30 note the memberships that were sent"
    SAVE = "30 save what was sent"
    ENQUEUE_AGAIN = "31 enqueue again, raised meanwhile"
    WAKE = "30 raise who refers to an account that has its link now"
    WAKE_ENQUEUE = "30 enqueue who was woken"
    SAVE_WOKEN = "30 everybody who refers to the account was told"
    SAVE_IN_DOUBT = "32 ambiguous answer: intent stays"
    SAVE_LATER = "32 clear refusal: try later"
    ENQUEUE_LATER = "32 the hidden message of a later try"
    SAVE_WAITING = "33 wait for the holder of a name"
    ENQUEUE_HOLDER = "33 bring the holder of a name to the front"
    UNLINK = "34 drop the link of an account that is gone"
    MISSED = "34 note the first 404 of a linked account"
    ESCROW = "35 escrow the account"
    QUARANTINE = "35 quarantine the application"
    SWEEP_STAMP = "37 stamp the rows that are queued again"
    SWEEP_ENQUEUE = "37 enqueue due rows"
    DRIFT_ROUND = "39 save how far the verification has come"
    DRIFT_PAGE = "39 note what a page of the vendor's accounts showed"
    DRIFT_NOTE = "39 note what one account, or one without an owner, turned out to be"
    DRIFT_REPAIR = "39 raise an account that differs"
    NOTICE_DUE = "notices: note what is to be told, and who tells it"
    NOTICE_TOLD = "notices: strike off what was told, or wait for another try"
    NOTICE_DIGEST = "notices: note how far the day's digest is"
    SYNC_AGAIN = "notified: put the message back while somebody else reads the directory"
    WISH_AGAIN = "notified: put back what Graph wishes for a subscription, unsaved as it is"
    SUBSCRIPTION_CLAIM = "notified: say what Graph wishes, and who looks after the subscriptions"
    SUBSCRIPTION_SAVE = "notified: note which subscriptions there are"
    POISON_ESCROW = "poison: record on the account row"
    CRASH_NOTE = "poison: note on the account row what failed"
    RAISE_ASKED = "operator: raise one account"
    RESTART_MARK = "operator: ask the puller to look for who has no row"
    RESTART_BEGIN = "operator: begin a new generation of account rows"
    RESTART_END = "7 everybody a restart is about was raised"
    RETRY = "operator: begin a new series of attempts"
    RETRY_ENQUEUE = "operator: enqueue an account"
    TABLE_COPY = "operator: copy rows into another storage account"
    AUDIT = "operator: note who does what, before and after"
    APPLICATION_STATE = "application status"
    LIMITER = "26 reserve slots of the vendor's rate"
    LOG = "provisioning log without a save"
    CENSUS = "figures: how many accounts are in which state"
    ACTIVITY = "figures: results by the hour, and how far the log was counted"
    CYCLE = "figures: what the sync did last"
    LISTING = "25 page of a vendor's accounts listed for matching"


class Moment(StrEnum):
    """Where, relative to the write, the observer is called."""

    BEFORE = "before"
    AFTER = "after"


Observer = Callable[[DurableWrite, Moment], None]
"""Called around every durable write. Deployed code passes `unobserved`; the crash sweep passes one that kills."""


def unobserved(write: DurableWrite, moment: Moment) -> None:
    """Observe nothing."""
