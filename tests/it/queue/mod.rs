//! Router and worker over the queues, bus and blobs of this process, on a paused clock: what becomes of messages.

mod answers;
mod drains;
mod loses_nothing;
mod refuses;
mod relays;
mod yard;
