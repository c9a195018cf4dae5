//! What has broken the running system, and where it is weak: for each row, what cannot happen here, and the tests that show
//! it (contract-cloud 9 and 10).

use super::sources;

/// Why a row has no test here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// These tests show it.
    By(&'static [&'static str]),
    /// These show our part of it; the rest is somebody else's, who is named.
    Partly(&'static [&'static str], &'static str),
    /// Nothing of it is in this program; whose it is.
    Elsewhere(&'static str),
}

use Shown::{By, Elsewhere, Partly};

/// Images, boot scripts, alarms, scaling, rights and health checks of the cloud.
const INFRASTRUCTURE: &str = "issue 4: image, units, terraform, alarms";

/// The failures.
const FAILURES: &[(&str, &str, Shown)] = &[
    (
        "F-1",
        "no subscription replaces another of its connection, and there is no cold start to wait for",
        By(&[
            "events::hub::exchange::tests::results_go_to_subscribers_and_receipts_to_the_last_sender",
            "events::survives::ten_thousand_subscriptions_move_to_a_new_connection",
        ]),
    ),
    (
        "F-2",
        "a result above the limit of a frame arrives",
        By(&[
            "interop::before_our_worker::what_is_too_large_goes_through_the_buckets_both_ways",
            "interop::behind_our_router::large_jobs_and_results_are_found_where_it_puts_them",
            "queue::answers::a_large_result_is_parked_byte_for_byte",
        ]),
    ),
    (
        "F-3",
        "two fleets do not eat from one queue: each worker takes from the one queue it was given",
        By(&[
            "interop::production::a_deployment_moves_jobs_to_the_new_color_and_its_workers_alone",
            "routing::queues::tests::our_own_queue_is_recognized_in_any_spelling",
        ]),
    ),
    (
        "F-4",
        "bodies that are not JSON and query parameters reach the worker",
        By(&[
            "interop::behind_our_router::what_clients_wish_arrives_in_the_words_it_knows",
            "wire::envelope::tests::a_text_body_becomes_the_source",
        ]),
    ),
    (
        "F-5",
        "subscriptions are bare texts",
        By(&[
            "wire::frame::tests::requests_are_bare_texts",
            "events::says::a_subscription_stands_when_the_hub_has_read_it",
        ]),
    ),
    (
        "F-6",
        "a socket that drops, on either side or on both, costs no result",
        By(&[
            "events::survives::what_is_asked_and_offered_in_a_gap_goes_through_when_it_ends",
            "events::restarts::a_hub_that_is_killed_and_started_again_costs_no_result",
            "events::says::a_lost_receipt_makes_the_result_come_again",
            "interop::mixed::todays_router_may_lose_its_connection_while_our_worker_works",
            "interop::mixed::todays_worker_may_lose_its_connection_while_our_router_waits",
            "interop::sockets::late_subscriptions_lost_receipts_and_repeats_cost_no_result",
            "fleet::faults::no_trouble_costs_a_result",
        ]),
    ),
    (
        "F-7",
        "a subscriber who is gone takes no result from the others",
        By(&[
            "interop::production::a_subscriber_who_is_gone_takes_no_result_from_the_others",
            "events::garbage::a_client_that_does_not_read_keeps_nobody_waiting",
        ]),
    ),
    (
        "F-8",
        "a job over 256 KiB is done",
        By(&[
            "interop::behind_our_router::large_jobs_and_results_are_found_where_it_puts_them",
            "queue::answers::a_job_too_large_for_the_queue_is_fetched",
            "fleet::large_jobs_and_results_go_through_the_buckets",
        ]),
    ),
    (
        "F-9",
        "a machine without a queue of its own takes no jobs",
        By(&["interop::production::a_machine_without_a_queue_takes_no_jobs"]),
    ),
    (
        "F-10",
        "a forwarded request has one path and one length",
        By(&[
            "relay::forward::tests::targets",
            "relay::forward::tests::headers_of_a_connection_stay_with_it",
            "http::elsewhere::a_request_is_handed_on_byte_for_byte",
        ]),
    ),
    (
        "F-11",
        "a router that has lost its hub goes on dialing, says so, and serves again without a restart",
        By(&[
            "interop::production::born_in_an_outage_they_say_so_and_are_well_when_it_ends",
            "interop::sockets::patience_outlasts_that_of_the_deployed_halves_and_ends_with_the_process",
            "events::survives::a_hub_that_is_down_is_dialed_at_a_measured_pace",
        ]),
    ),
    (
        "F-12",
        "a warm route does not pin a color",
        By(&[
            "interop::production::a_deployment_moves_jobs_to_the_new_color_and_its_workers_alone",
            "routing::tests::the_color_is_that_of_the_send_however_warm_the_route",
        ]),
    ),
    (
        "F-13",
        "what the machine did to a job is not remembered as its result",
        By(&[
            "engine::run::tests::what_the_machine_did_is_not_remembered",
            "daemon::failures::a_compile_that_takes_too_long_is_killed_and_never_remembered",
        ]),
    ),
    (
        "F-14",
        "a process that hangs is found and replaced",
        Partly(
            &["notify::tests::the_watchdog_is_fed_only_while_work_moves"],
            "there is no Node and no io_uring here",
        ),
    ),
    (
        "F-15",
        "a job that never ends is ended, leaves nothing, and holds up nobody",
        By(&[
            "daemon::failures::a_real_compiler_that_never_ends_is_stopped_too",
            "daemon::silence::a_hung_compiler_stops_nobody_else",
            "hostile::resources::what_a_job_leaves_running_ends_with_it",
            "telemetry::log::tests::a_reader_that_stops_loses_lines_and_holds_nobody",
        ]),
    ),
    (
        "F-16",
        "a large result lies where its announcement says, under its job's name and no other",
        By(&[
            "queue::answers::a_large_result_is_parked_byte_for_byte",
            "queue::answers::a_result_that_nobody_takes_is_left_under_its_name",
            "queue::relays::a_result_that_lies_nowhere_is_told_as_a_failure_of_ours",
        ]),
    ),
    (
        "F-17",
        "a source that kills workers is tried three times and put aside; a source that eats memory is a result",
        By(&[
            "queue::refuses::a_job_that_keeps_failing_is_told_and_put_aside_at_the_third_receive",
            "fleet::a_job_that_may_have_taken_workers_down_runs_under_half_the_limits",
            "hostile::resources::what_overwhelms_a_compiler_is_a_result",
            "jail::cannot_fill_the_machine::when_the_machine_runs_out_of_memory_jobs_go_first",
        ]),
    ),
    (
        "F-18",
        "jobs cannot fill a disk: their files count as their memory",
        By(&[
            "jail::cannot_fill_the_machine::scratch_space_is_bounded",
            "hostile::resources::scratch_files_count_as_memory",
        ]),
    ),
    (
        "F-19",
        "build/<system> is routed",
        By(&[
            "http::elsewhere::project_builds_travel_by_name",
            "interop::behind_our_router::what_clients_wish_arrives_in_the_words_it_knows",
        ]),
    ),
    (
        "F-20",
        "no connection is given up for ever, and health says whether there is one",
        By(&[
            "interop::production::born_in_an_outage_they_say_so_and_are_well_when_it_ends",
            "interop::sockets::patience_outlasts_that_of_the_deployed_halves_and_ends_with_the_process",
            "events::survives::a_hub_that_is_down_is_dialed_at_a_measured_pace",
        ]),
    ),
    (
        "F-21",
        "our answer comes before the edge's, and work that nobody waits for is not done",
        By(&[
            "config::tests::values_that_contradict_each_other_are_told_in_sentences",
            "queue::relays::no_answer_is_told_at_the_deadline",
            "queue::refuses::what_nobody_waits_for_any_more_is_not_done",
        ]),
    ),
    (
        "F-22",
        "without the control groups it needs, a worker says so at its birth",
        Partly(&["jail::elsewhere::strict_mode_without_cgroups_is_refused"], INFRASTRUCTURE),
    ),
    (
        "F-23",
        "a birth in an outage makes no compiler unknown",
        By(&[
            "interop::production::born_in_an_outage_they_say_so_and_are_well_when_it_ends",
            "interop::statuses::every_row_has_its_status_its_shape_and_its_words",
            "routing::tests::no_outage_turns_a_compiler_into_the_default",
        ]),
    ),
];

/// The weaknesses.
const WEAKNESSES: &[(&str, &str, Shown)] = &[
    (
        "X-1",
        "a job is deleted when its result has arrived, and not before",
        By(&[
            "queue::answers::a_job_is_answered_and_its_message_deleted",
            "fleet::a_worker_that_is_killed_loses_nothing",
        ]),
    ),
    (
        "X-2",
        "one slow job of a shared group holds up nobody, and our jobs share no group",
        By(&[
            "interop::before_our_worker::its_jobs_share_a_group_and_one_slow_job_holds_up_nobody",
            "queue::answers::one_slow_job_of_a_shared_group_holds_up_nobody",
            "http::elsewhere::a_compiler_of_another_queue_is_served_by_its_workers",
        ]),
    ),
    (
        "X-3",
        "a stop signal loses no work on either side",
        Partly(
            &[
                "queue::drains::running_jobs_are_finished_and_delivered_and_the_rest_is_given_back_at_once",
                "http::drain::everything_received_is_answered_and_nothing_is_reset",
                "daemon::ends::told_to_stop_it_answers_everything_it_has_received",
                "interop::sockets::the_last_receipt_is_said_before_the_end",
            ],
            INFRASTRUCTURE,
        ),
    ),
    (
        "X-4",
        "a lost receipt is given again, and receipts hold up no polling of ours",
        By(&[
            "interop::behind_our_router::its_results_are_acknowledged_at_once_and_the_next_job_is_taken",
            "interop::behind_our_router::each_repeat_gets_its_receipt_again",
            "interop::behind_our_router::a_client_who_leaves_costs_it_nothing",
            "queue::answers::receipts_that_are_late_hold_up_nobody",
        ]),
    ),
    (
        "X-5",
        "what is too large for the hub is sent once, and wedges nobody; sizes are bytes",
        By(&[
            "events::says::a_result_that_is_too_large_fails_alone_and_is_never_sent_again",
            "interop::before_our_worker::what_is_too_large_goes_through_the_buckets_both_ways",
            "events::frames::tests::the_pieces_are_the_whole_and_only_the_last_says_so",
        ]),
    ),
    (
        "X-6",
        "the exact bytes of a large result are stored under its job's name, asked for again, and never made up",
        By(&[
            "queue::answers::a_large_result_is_parked_byte_for_byte",
            "queue::relays::a_result_that_lies_nowhere_is_told_as_a_failure_of_ours",
            "interop::statuses::every_row_has_its_status_its_shape_and_its_words",
        ]),
    ),
    (
        "X-7",
        "a job is sent when its subscription stands; a result that is sooner waits for its subscriber",
        By(&[
            "events::says::a_subscription_stands_when_the_hub_has_read_it",
            "events::says::an_early_result_is_kept_for_its_waiter",
            "queue::loses_nothing::a_late_waiter_gets_the_result_of_an_early_job",
        ]),
    ),
    (
        "X-8",
        "our waiter is there before its job is sent, and our results come again for those whose are not",
        By(&[
            "interop::before_our_worker::a_result_that_comes_before_its_waiter_comes_again",
            "queue::relays::five_hundred_at_once_and_none_lost",
        ]),
    ),
    (
        "X-9",
        "connections are replaced before the gateway cuts them, one after the other",
        By(&["events::survives::rotation_loses_nothing", "events::pace::tests::first_ages_are_staggered"]),
    ),
    (
        "X-10",
        "a half-open socket is found",
        By(&["events::survives::a_half_open_socket_is_found_by_the_missing_pong"]),
    ),
    (
        "X-11",
        "nobody gives up dialing, and an outage of the hub fails no health check",
        By(&[
            "interop::production::born_in_an_outage_they_say_so_and_are_well_when_it_ends",
            "interop::sockets::patience_outlasts_that_of_the_deployed_halves_and_ends_with_the_process",
            "events::survives::a_hub_that_is_down_is_dialed_at_a_measured_pace",
        ]),
    ),
    (
        "X-12",
        "what is offered in a gap is offered until its receipt, like all else",
        By(&["events::survives::what_is_asked_and_offered_in_a_gap_goes_through_when_it_ends"]),
    ),
    (
        "X-13",
        "a job says how long it is worth doing, and is dropped after that; a queue that is too far behind is not asked",
        By(&[
            "queue::relays::a_queue_that_is_too_far_behind_is_not_asked",
            "queue::refuses::what_nobody_waits_for_any_more_is_not_done",
            "queue::answers::a_regrouped_job_keeps_the_time_it_had",
        ]),
    ),
    (
        "X-14",
        "a client who leaves is noticed, and costs its worker nothing; what is not begun is not done",
        By(&[
            "interop::sockets::a_client_who_leaves_ends_its_job",
            "queue::relays::what_a_caller_who_left_asked_for_is_not_done",
            "interop::behind_our_router::a_client_who_leaves_costs_it_nothing",
            "http::elsewhere::the_result_of_a_client_who_left_is_taken_off_the_bus",
            "queue::relays::the_result_of_a_caller_who_left_is_acknowledged",
        ]),
    ),
    (
        "X-15",
        "there is no pause between jobs, and as many are taken as there are free slots",
        By(&[
            "interop::before_our_worker::its_jobs_share_a_group_and_one_slow_job_holds_up_nobody",
            "queue::answers::never_more_at_once_than_there_are_slots",
        ]),
    ),
    (
        "X-16",
        "what no worker can do is put aside with the reason, and what a fleet is scaled by is told",
        Partly(
            &[
                "queue::refuses::a_job_that_keeps_failing_is_told_and_put_aside_at_the_third_receive",
                "daemon::tells::the_metrics_name_what_dashboards_look_for",
            ],
            INFRASTRUCTURE,
        ),
    ),
    (
        "X-17",
        "the budget counts from arrival and ends before the balancer's",
        By(&[
            "queue::relays::no_answer_is_told_at_the_deadline",
            "config::tests::values_that_contradict_each_other_are_told_in_sentences",
        ]),
    ),
    (
        "X-18",
        "negotiation, error statuses and content types are what the interface says",
        By(&[
            "http::replies::renditions_are_negotiated",
            "interop::statuses::every_row_has_its_status_its_shape_and_its_words",
            "interop::before_our_worker::what_it_sends_is_understood_as_it_was_meant",
            "http::statuses::text_and_forms_are_source_text",
        ]),
    ),
    (
        "X-19",
        "a forwarded request keeps path, query, bytes and length, and needs no hub",
        By(&[
            "http::elsewhere::a_request_is_handed_on_byte_for_byte",
            "http::elsewhere::large_bodies_flow_both_ways",
            "interop::statuses::every_row_has_its_status_its_shape_and_its_words",
        ]),
    ),
    (
        "X-20",
        "no client writes the envelope, and no message leads a worker to another place",
        By(&[
            "wire::envelope::tests::a_client_cannot_write_the_router_members",
            "queue::refuses::a_note_leads_nowhere_but_to_the_agreed_place",
            "interop::before_our_worker::a_client_who_forges_a_name_holds_up_nobody_else",
        ]),
    ),
    (
        "X-21",
        "no failure to look up turns into a destination",
        By(&[
            "routing::tests::no_outage_turns_a_compiler_into_the_default",
            "routing::tests::a_color_that_was_never_known_is_not_guessed",
            "interop::statuses::every_row_has_its_status_its_shape_and_its_words",
        ]),
    ),
    (
        "X-22",
        "decisions are remembered and colors are not; one look serves all who ask",
        By(&[
            "routing::tests::the_color_is_that_of_the_send_however_warm_the_route",
            "routing::tests::ten_thousand_callers_are_one_look",
            "routing::table::tests::jitter_has_bounds_and_spreads",
        ]),
    ),
    ("X-23", "build/<system> is routed", By(&["http::elsewhere::project_builds_travel_by_name"])),
    (
        "X-24",
        "what no row and no queue knows is 404 at the edge",
        By(&[
            "http::elsewhere::what_is_wrong_with_a_request_is_told_before_it_is_sent",
            "interop::statuses::every_row_has_its_status_its_shape_and_its_words",
        ]),
    ),
    (
        "X-25",
        "nothing of a request stays behind, however it failed",
        By(&[
            "interop::production::requests_that_fail_leave_no_subscription_behind",
            "events::waiters::tests::subscriptions_are_counted_and_leave_nothing",
            "contract::bus::a_bus_in_this_process_forgets",
        ]),
    ),
    (
        "X-26",
        "our hub has no table",
        Elsewhere("whoever keeps API Gateway: its table is not in this program"),
    ),
    ("X-27", "one binary, which fetches nothing when it boots", Elsewhere(INFRASTRUCTURE)),
    (
        "X-28",
        "a panic costs one request, and the process tells its keeper how it is",
        Partly(
            &[
                "http::statuses::a_panic_costs_one_request",
                "daemon::notifies::ready_alive_and_stopping_are_told",
            ],
            INFRASTRUCTURE,
        ),
    ),
    (
        "X-29",
        "requests have names, each end is told and counted, and no secret travels in a message",
        By(&[
            "http::replies::every_reply_has_its_headers",
            "daemon::tells::how_each_request_ended",
            "daemon::tells::the_metrics_name_what_dashboards_look_for",
            "wire::envelope::tests::a_client_cannot_write_the_router_members",
        ]),
    ),
    (
        "X-30",
        "the lever that drains stops the polling too",
        Partly(
            &[
                "daemon::ends::the_operators_lever_is_as_good_as_a_signal",
                "queue::drains::what_a_receive_brings_after_the_drain_began_is_given_back",
            ],
            INFRASTRUCTURE,
        ),
    ),
    (
        "X-31",
        "live, ready and healthy are three questions",
        Partly(
            &[
                "http::statuses::health_is_told_even_while_jobs_run",
                "http::drain::who_comes_during_the_drain_is_told_so",
                "interop::production::born_in_an_outage_they_say_so_and_are_well_when_it_ends",
            ],
            INFRASTRUCTURE,
        ),
    ),
    (
        "X-32",
        "large outputs are bounded, each and all together",
        By(&[
            "daemon::failures::what_would_take_too_much_memory_as_a_listing_is_too_large",
            "hostile::troubles::presenting_is_bounded_too",
        ]),
    ),
];

fn rows() -> impl Iterator<Item = &'static (&'static str, &'static str, Shown)> {
    FAILURES.iter().chain(WEAKNESSES)
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let names: Vec<&str> = rows().map(|(name, _, _)| *name).collect();
    let failures = (1..=23).map(|number| format!("F-{number}"));
    let expected: Vec<String> = failures.chain((1..=32).map(|number| format!("X-{number}"))).collect();
    assert_eq!(names, expected);
}

#[test]
fn every_test_that_is_named_exists() {
    let mut named = Vec::new();
    for (name, _, shown) in rows() {
        match shown {
            By(tests) | Partly(tests, _) => {
                assert!(!tests.is_empty(), "{name} is shown by nothing");
                named.extend(tests.iter().copied());
            }
            Elsewhere(whose) => assert!(!whose.is_empty(), "{name}"),
        }
    }
    assert_eq!(sources::missing(named), Vec::<&str>::new());
}
