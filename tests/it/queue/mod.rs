//! The queue door over the queues, bus and blobs of this process, on a paused clock: what a worker does with messages.

mod answers;
mod drains;
mod loses_nothing;
mod refuses;
mod yard;
