//! Both halves of the running system beside ours, as its contract tells it, and what is promised of that row by row.

mod before_our_worker;
mod behind_our_router;
mod forwards;
mod gateway;
mod history;
mod kept;
mod messages;
mod mixed;
mod pages;
mod production;
mod socket;
mod sockets;
mod sources;
mod statuses;
mod todays_router;
mod todays_worker;
mod yard;
