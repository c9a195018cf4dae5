//! What must not happen, by name. Every test ends with a healthy sandbox: the bed runs one more job when dropped.

mod bed;
mod cannot_fill_the_machine;
mod cannot_outlive_its_job;
mod cannot_see_the_host;
mod compiles;
mod elsewhere;
mod host_is_not_led_astray;
mod leaves_nothing;
mod on_cgroup_v2;
mod reaches_no_network;
mod refuses_to_start;
