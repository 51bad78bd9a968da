"""Words that say what a key or a result is about, whatever the domain."""

from __future__ import annotations

_CALLING = """
request req trace span correlation nonce uuid guid timestamp ts now idempotency attempt attempts retry retries
invocation salt cachebuster cachebust issued requested elapsed latency
"""
_TRACKING = """
token stamp tick clock rand random sent generated duration ms call client caller ref reference session sess run seed
checksum signature sig etag version rev seq sequence cid rid tid sid cache buster bust txn transaction tracking op
operation event log job
"""
_PLACING = """
page next cursor offset continuation start end from to since until before after begin stop limit zone
"""
_NAMING = """
id ids key name path file filename dir folder url uri link item sku product order ticket issue case user customer
account email mail reservation booking invoice commit branch sha hash doc document record row message thread
channel device host node target resource number no code pattern query text title page cursor start end from to
since until before after date day
"""
_NOTHING = """
no not none nothing null nil empty nowhere never without unable cannot couldn same already again missing unknown
kein keine keinen nichts nicht leer aucun aucune rien vide ninguno ninguna nada sin nessun nessuno niente vuoto
nenhum nenhuma não 无 没有 なし 없음 нет ничего
"""
_JOINING = """
the and for are was were but not you your our its his her who how why what when where which that this these those with
from into have has had can could will would should may might shall must does did done been being about also just very
any all some more most once there here then than them they their let get got der die das den dem des ein eine und mit
von für auf ist sind wie was les des une est sur par pour dans que qui del los las una por con para che per il di da
"""

CALLING_WORDS = frozenset(_CALLING.split())
"""Words of a key that tell how and when a call was made rather than what it is about."""
TRACKING_WORDS = frozenset(_TRACKING.split())
"""Words of a key that tell it only where the value is drawn: a client reference, a seed."""
PLACING_WORDS = frozenset(_PLACING.split())
"""Words that make such a key matter after all: it says where to go on, or which stretch is meant."""
NAMING_WORDS = frozenset(_NAMING.split())
"""Last words of keys that name the thing a call is about: what looks random under them is that thing."""
NOTHING_WORDS = frozenset(_NOTHING.split())
"""Words with which a result says that it brings nothing."""
JOINING_WORDS = frozenset(_JOINING.split())
"""Words that hold a sentence together and are about nothing."""
EMPTY_RESULTS = frozenset(("[]", "{}", "false", "0"))
"""Results that are nothing by themselves. No result at all is not among them: a command that did its work is silent."""
