//! The jail's own side: everything that runs in the helper and in its clones.
//!
//! ```text
//! daemon (many threads, large; never forks)
//!  └─ helper (this program again: one thread, small)        `helper`: user namespace, template root, lanes
//!      ├─ init of jail 0 (pid 1 of its own namespace)       `init::live`: walls, then waits, kills, reports
//!      │   └─ payload's process                             `init::payload`: confines itself, waits for a job
//!      │       └─ the job's program, and all it starts
//!      ├─ init of jail 1 ...                                 one per lane: slots running + twice as many standing
//! ```
//!
//! # The order of building, and why
//!
//! Once, in the helper:
//! 1. Close every inherited descriptor; the environment is empty from the start.
//! 2. User namespace, its ids mapped by the daemon, then the helper's own id in it. From here on nothing in this tree
//!    is root outside, and all that follows needs privileges in this namespace only.
//! 3. Mount namespace; an empty network namespace per lane. A new one costs 0.4 ms, an empty one cannot be dirtied
//!    by jobs that can make no socket, and its jail is dead before the next one enters.
//! 4. The template root ([`template`]), read-only, and the exchange of roots: what a jail does not inherit it cannot
//!    leak.
//!
//! For each jail, in its init, while it still has the privileges:
//! 5. Die with the helper, before anything else can go wrong. Join the cgroup before anything is worth counting.
//! 6. Close what belongs to other jails; enter the lane's network; mount `/app`, `/tmp` and a new `/proc`, and
//!    only then drop the host's, which the kernel wants to see for the third.
//! 7. Fork the payload's process; then drop all capabilities but the one to kill another user's processes.
//!
//! In the payload's process, each step needing what the next one takes away:
//! 8. Streams, descriptors, session; bounding set, groups, user, capabilities, `no_new_privs`.
//! 9. Landlock ([`landlock`]), which needs `no_new_privs` and opens paths; then the system-call filter ([`filter`]),
//!    which would forbid all of the above.
//! 10. Wait for a job: the jail *stands*. What is left when one comes is to write its files (as its own user, into
//!     a directory nobody has seen), lower its limits, and become its program.
//!
//! # What always holds
//!
//! * No jail is used twice. No process, mount, file or message of one job can meet another.
//! * The program never has the socket that [`protocol::Record`]s travel on, so it cannot claim to be a failure of
//!   ours, nor its failure be taken for one.
//! * A record of an end is sent only when every process but init is dead, so whoever reads the work directory
//!   afterwards reads what nobody can change.
//! * Whoever dies takes along all below: the daemon the helper (parent-death signal, and the end of its socket), the
//!   helper each init (parent-death signal), init everything in its namespace (the kernel).
//! * Nothing here prints, but for the helper's complaint that it cannot build; failures travel as [`protocol::Step`]
//!   or [`protocol::Failure`], with the kernel's error number.

mod bpf;
pub(in crate::sandbox) mod filter;
pub(in crate::sandbox) mod helper;
mod init;
mod landlock;
pub(in crate::sandbox) mod protocol;
pub(in crate::sandbox) mod sys;
mod template;
