"""Every Redis key: its type, its shape and how long it lives. No other module spells one."""

from __future__ import annotations

import msgspec

from faas.core import model

GROUP = "runners"
"""The consumer group of every queue stream, created at 0 so that no entry is ever before it. Consumers are nodes."""

FORMAT = "6"
"""Version of what the keys hold. A platform refuses a Redis that holds a later one, and brings an earlier one up.

2: `Keys.held` counts what the queues hold. 3: and what the records stream holds; a handed-off call is counted as
accepted when it is settled; `Keys.outbox` holds what is for destinations; invocations know their parent and root.
4: `Keys.held` counts what waits until it is due, too; `Keys.kept` knows sizes. 5: what is handed off is in a journal,
and no hash of the calls that run on a node any more; entries of the records stream may hold several. 6: beside
`Keys.held` stands what of it each function and caller has.
"""


class Keys(msgspec.Struct, frozen=True):
    """The keys of one platform. All start with the prefix, so that several platforms may share a server."""

    prefix: str

    def queue(self, ref: str, mode: model.Mode | str) -> str:
        """Stream of waiting and claimed invocations of one revision and mode.

        Field ``i`` is the msgpack of `model.Invocation`. An entry leaves by XACK and XDEL when it is finished, only.
        """
        return f"{self.prefix}:q:{ref}:{mode}"

    def queues(self, ref: str) -> tuple[str, str]:
        """Both queues of a revision, the sync one first."""
        return self.queue(ref, model.Mode.SYNC), self.queue(ref, model.Mode.ASYNC)

    @property
    def refs(self) -> str:
        """Set of the revisions that have queues. Forever."""
        return f"{self.prefix}:refs"

    @property
    def active(self) -> str:
        """Set of the revisions whose queues hold something, waiting or claimed, and of some that did lately.

        Each script that puts an entry into an empty queue adds its revision, and ``waiting.lua`` takes out those whose
        queues are empty. It says where to look and counts nothing. Nodes go round all revisions, some at each
        heartbeat, and add what is missing: an older platform that uses the same Redis does not know of this set.
        """
        return f"{self.refs}:active"

    def counts(self, ref: str) -> str:
        """Hash ``accepted``, ``done``, ``dead`` of one revision. Forever. Hand-offs count once shipped."""
        return f"{self.prefix}:counts:{ref}"

    @property
    def held(self) -> str:
        """Hash ``entries``, ``bytes`` (of all queue streams, `retrying` and outboxes) and ``unrecorded``. Forever.

        What is waiting counts, what is claimed, and what is due later. The last is the bytes in `records`.

        The hash ``held:shares`` beside it has the bytes of each function under its name, those of each caller under
        ``@`` and its name, and their entries under the same with `` n`` behind. A field lives as long as it has one.
        The hash ``held:unrecorded`` has the bytes of each function's records that are not in the ledger yet.
        """
        return f"{self.prefix}:held"

    @property
    def synced(self) -> str:
        """String that is set before each wait for the server's disk (`faas.queue.fsync`); its value means nothing."""
        return f"{self.prefix}:synced"

    @property
    def nodes(self) -> str:
        """Set of node ids that may hold claims; a node leaves it when nothing is left to take over."""
        return f"{self.prefix}:nodes"

    def node(self, node: str) -> str:
        """String: what a node says of itself (JSON `catalog.NodeState`), other with each renewal of its lease.

        It lives as long as the lease, by Redis's clock. Whether a node is dead is for `faas.cluster.watch` to say.
        """
        return f"{self.prefix}:node:{node}"

    @property
    def journals(self) -> str:
        """Hash of the nodes' journals: name to the position up to which it was shipped. A field lives as long as it."""
        return f"{self.prefix}:journals"

    def handed_off(self, node: str) -> tuple[str, str]:
        """What platforms of format 4 and before kept of a node's hand-offs; only `faas.queue.upgrade` asks.

        A hash of those that ran, ``<ref> <id>`` to the msgpack of the invocation, and a set of those that had ended.
        """
        return f"{self.prefix}:running:{node}", f"{self.prefix}:settled:{node}"

    def slots(self, node: str) -> str:
        """Hash of a node's slots that exist or are being made: ref to number. Its lifetime is the node's lease."""
        return f"{self.prefix}:slots:{node}"

    @property
    def demand(self) -> str:
        """Stream of requests for sandboxes. Fields: ``ref``, ``why`` (waiting, load, warm), ``reply`` (a list key)."""
        return f"{self.prefix}:demand"

    def demanded(self, ref: str) -> str:
        """String, lives 1 s at most: demand for the revision was signalled and is being looked at."""
        return f"{self.prefix}:demanded:{ref}"

    def first(self, ref: str) -> str:
        """String, lives 1 s: the node that is about to make the first slot of the revision."""
        return f"{self.prefix}:first:{ref}"

    def load_reply(self, request: str) -> str:
        """List with the one answer to a `load` request; lives a minute."""
        return f"{self.prefix}:load:{request}"

    @property
    def records(self) -> str:
        """Stream of finished attempts on their way to the ledger and other sinks. Each has a consumer group.

        Field ``r`` is the msgpack of one `model.Record`, ``b`` instead of it that of an array of several. The record of
        one that is dead brings ``i`` along, the msgpack of its `model.Invocation`: its dead letter.
        """
        return f"{self.prefix}:records"

    @property
    def sinks(self) -> str:
        """Hash of the sinks beside the ledger: group to ``must``, or ``may`` when it may miss entries. Forever."""
        return f"{self.prefix}:sinks"

    @property
    def unreadable(self) -> str:
        """Stream of entries (records, invocations) that could not be decoded, as they were, with ``reason``.

        Kept for a person.
        """
        return f"{self.prefix}:unreadable"

    def reply(self, address: str) -> str:
        """Stream of outcomes for one process's callers: ``i`` (id), ``o`` (msgpack `model.Outcome`), once or more.

        Lives a minute past its last entry.
        """
        return f"{self.prefix}:reply:{address}"

    @property
    def retrying(self) -> str:
        """Sorted set of what is due again at a time (Redis's clock, ms); members are ``<mode> <ref> <id>``.

        The hash ``retrying:clock`` beside it holds that clock as it was at the ``last`` look, and by how many ms the
        times in the set are ahead of it (``behind``), since it was set back. Forever.
        """
        return f"{self.prefix}:retrying"

    def retrying_of(self, ref: str) -> str:
        """Hash of one revision's invocations that are due again: id to the msgpack of the invocation as it will wait.

        Whatever is a member of `retrying` is a field here, and the other way round.
        """
        return f"{self.prefix}:retrying:{ref}"

    def call(self, invocation_id: str) -> str:
        """Hash of an async invocation, for whoever asks: ``ref``, ``entry`` ('' until it is due) and ``why`` it is.

        Once settled ``settled`` (done, dead) and ``outcome`` (msgpack `model.Outcome`), for a set time.
        """
        return f"{self.prefix}:call:{invocation_id}"

    def call_of(self, invocation: model.Invocation) -> tuple[str, ...]:
        """The key of an invocation's call, where it has one."""
        return (self.call(invocation.id),) if invocation.mode is model.Mode.ASYNC else ()

    def once(self, name: str) -> str:
        """Hash of an idempotency key: ``id``, ``digest``, and ``accepted`` or ``answer`` (msgpack `model.Outcome`).

        Lives as long as the claim, then as long as the answer is kept.
        """
        return f"{self.prefix}:once:{name}"

    @property
    def kept(self) -> str:
        """List of settled ones, oldest first: ``<bytes of the outcome> <call key>``. How much is kept is bounded.

        The integer ``kept:bytes`` beside it is their sum. Both live as long as the last outcome.
        """
        return f"{self.prefix}:kept"

    @property
    def answers(self) -> str:
        """List of `once` keys that are kept, oldest first: ``<bytes> <invocation id> <once key> <function> <caller>``.

        300 of the bytes are for the key itself. A row has had its time when its key is gone, or is another invocation's
        by now. The integer ``answers:bytes`` beside it is their sum, the hash ``answers:shares`` has those of functions
        and callers (with ``@`` before them). All live as long as the last one.
        """
        return f"{self.prefix}:answers"

    def guard(self, name: str) -> str:
        """Hash of what was enqueued before: timers' last due times, objects' last versions. Forever."""
        return f"{self.prefix}:guard:{name}"

    @property
    def skipped(self) -> str:
        """Hash of due times that timers skipped: function to how many, and ``<function>/<timer>`` to its last. Forever.

        The latter lives as long as the timer.
        """
        return f"{self.prefix}:skipped"

    def unfit(self, bucket: str) -> str:
        """String: what a scheduler found in a bucket that cannot become an event (JSON `unfit.Told`).

        It lives for three times as long as the scheduler waits before it looks again.
        """
        return f"{self.prefix}:unfit:{bucket}"

    def outbox(self, ref: str, way: str) -> str:
        """Stream of records for one revision's destination of ``success`` or ``failure``. Gone when it is empty.

        Fields ``s`` (msgpack of `destined.Settled`) and ``i`` (msgpack of the `model.Invocation`); or, of the way
        ``message``, ``m`` (msgpack of `destined.Message`) and ``to`` (that of its `model.Destination`). Its group is
        ``destinations``, its consumers are schedulers. An entry leaves when it is delivered, or given up and in SQL.
        """
        return f"{self.prefix}:outbox:{ref}:{way}"

    @property
    def outboxes(self) -> str:
        """Set of the outboxes that may hold something: ``<ref> <way>``."""
        return f"{self.prefix}:outboxes"

    def posted(self, message_id: str, ref: str) -> str:
        """String, lives a day: a message of this id was put into the outbox that has this place for a revision."""
        return f"{self.prefix}:posted:{message_id}:{ref}"

    def put_back(self, invocation_id: str, given_up_at_ms: int) -> str:
        """String, lives an hour: a record that was given up then is in its outbox again. By then its row is gone."""
        return f"{self.prefix}:put-back:{invocation_id}:{given_up_at_ms}"

    def deployment(self, id: str) -> str:
        """List of what has changed of a deployment since it began: JSON of `builds.progress.Change`, oldest first.

        It lives at least as long as the deployment's job.
        """
        return f"{self.prefix}:deployment:{id}"

    @property
    def chain_secret(self) -> str:
        """String: what signs the places in chains that go to URLs (`faas.core.calls.lineage`). Made once. Forever."""
        return f"{self.prefix}:chain-secret"

    def login_code(self, digest: str) -> str:
        """String, lives a minute: a one-time code of `faas open`, by its SHA-256, that nobody has used yet."""
        return f"{self.prefix}:login-code:{digest}"

    def ended_session(self, id: str) -> str:
        """String: somebody logged out of this session of the page. It lives as long as the session would have."""
        return f"{self.prefix}:ended-session:{id}"

    @property
    def catalog(self) -> str:
        """Pub/sub channel: a new version number of the catalog of functions."""
        return f"{self.prefix}:catalog"

    @property
    def wanted_lines(self) -> str:
        """Pub/sub channel: whose lines somebody wants as they are printed (msgpack `live_lines.Want`), each second."""
        return f"{self.prefix}:wanted-lines"

    @property
    def live_lines(self) -> str:
        """Pub/sub channel: those lines (msgpack array of `live_lines.PrintedNow`)."""
        return f"{self.prefix}:live-lines"

    @property
    def runtimes(self) -> str:
        """Hash: runtimes that nodes have, ``python3.11`` to JSON (``machine``, ``libc``). Written at a node's start."""
        return f"{self.prefix}:runtimes"

    @property
    def format(self) -> str:
        """String: `FORMAT` of the newest platform that wrote here."""
        return f"{self.prefix}:format"
