// Package bus holds every connection, subject, stream and consumer name of
// serin, and is the only importer of the NATS client. Payloads are bytes
// here; what they mean is internal/wire's business.
//
// # What travels how
//
// Core messages (assignments, steps, beats, health, feedback) are sent at most
// once and never buffered over a disconnection: a late control message is
// worse than none, and everything that matters is level-triggered.
//
// Three streams keep what has to be kept:
//
//	SERIN_TRIGGERS  trigger.>  the letter box: a trigger waits here until a leader has taken it
//	SERIN_EVENTS    event.>    the journal that observers read, written by the outbox
//	SERIN_STATE     state.*    the last state of each service
//
// # Feedback
//
// On feedback.<service> anybody publishes what users say about a version, as
// api.Feedback says: {"revision": "1.4.0", "kind": "complaint", "count": 3}. The
// leader counts it, for the gates of the rollout that runs, and answers a request;
// nothing keeps it. What is no feedback is not counted.
//
// # Triggers
//
// A trigger is published plainly, or as a request. The stream does not
// acknowledge (NoAck), so that a request hears the leader and not the stream.
// A request reaches the leader twice: at once through SubscribeTriggers, and
// through ConsumeTriggers; both copies are the same, so that the second can be
// recognised by the id in it, or by its Nats-Msg-Id.
//
// A trigger that is sent twice is stored twice, and the leader knows it by its
// id. The stream does not tell them apart: one that three servers keep answers a
// message whose Nats-Msg-Id it knows, in spite of NoAck, and before the leader
// does. So it forgets ids as soon as a server can, requests pass over what it
// says, and serin's own name triggers in the body alone. Other clients may hear
// the stream if they send the same Nats-Msg-Id twice within that moment.
//
// A plain publish is kept if the stream has a leader at that moment; in the
// seconds after a server of the bus died it may have none (4 to 8 s were
// measured), and the message is lost without a word. Whoever needs to know
// sends a request and repeats it, with the same id, until answered.
//
// # The outbox
//
// Invariants of SERIN_EVENTS, kept by PublishEvent together with the stream:
//
//  1. An event's Nats-Msg-Id is its Seq (the Raft index) in decimal; Seqs rise.
//  2. Each publish names the stream sequence of its predecessor
//     (Nats-Expected-Last-Sequence), so that the stream itself refuses a
//     publisher that does not know the last event: a deposed leader, or one
//     that has not caught up. No dedupe window is needed for that.
//  3. A new leader reads LastEvent and continues after it.
//
// The sequence is used for the chain and not Nats-Expected-Last-Msg-Id,
// though both fence alike: the sequence survives the last event's expiry (a
// fleet that is quiet for 30 days has an empty stream), and in a replicated
// stream it is checked once, before the proposal, by the stream's leader.
package bus
