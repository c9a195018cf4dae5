//! What the running system's own tests promise, and where ours show it, or which decision has changed it (contract-cloud
//! 8.1 to 8.7), and what no test of theirs promised (8.9). Rows of 8.1 have numbers there; those of the others are numbered
//! here, in the order of their text.

use std::collections::BTreeMap;

use super::sources;

/// What has become of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Kept, and shown by these tests.
    Kept(&'static [&'static str]),
    /// Changed by this decision, and what is so now is shown by these.
    Changed(&'static str, &'static [&'static str]),
    /// It speaks of an inner part of the other program, and not of anything that can be seen from outside.
    Inner(&'static str),
}

use Fate::{Changed, Inner, Kept};

const STATUSES: &str = "interop::statuses::every_row_has_its_status_its_shape_and_its_words";
const PAGES: &str = "interop::pages::health_and_the_lever_for_caches_look_as_they_did";
const PATHS: &str = "interop::pages::every_spelling_of_a_path_leads_to_its_compiler";
const SHOWN: &str = "interop::pages::results_are_shown_as_they_were";
const BODIES: &str = "interop::messages::every_kind_of_body_becomes_a_job_or_is_refused";
const MEMBERS: &str = "interop::messages::a_job_has_the_members_that_workers_read";
const PARKED: &str = "interop::messages::the_largest_job_is_sent_and_a_larger_one_is_parked";
const LOOKUPS: &str = "interop::messages::routes_are_looked_up_once_until_they_are_forgotten";
const FORWARDED: &str = "interop::forwards::what_belongs_to_a_connection_stays_and_all_else_passes_both_ways";
const WORDS: &str = "interop::sockets::every_word_is_one_that_was_agreed";
const PATIENT: &str =
    "interop::sockets::patience_outlasts_that_of_the_deployed_halves_and_ends_with_the_process";
const WISHES: &str = "interop::behind_our_router::what_clients_wish_arrives_in_the_words_it_knows";
const OUTAGE: &str = "interop::production::born_in_an_outage_they_say_so_and_are_well_when_it_ends";
const EXCHANGE: &str =
    "events::hub::exchange::tests::results_go_to_subscribers_and_receipts_to_the_last_sender";
const GARBAGE: &str = "events::garbage::the_hub_answers_what_it_does_not_know_and_goes_on";
const TROUBLES: &str = "fleet::faults::no_trouble_costs_a_result";
const GAP: &str = "events::survives::what_is_asked_and_offered_in_a_gap_goes_through_when_it_ends";
const REPEATS: &str = "interop::behind_our_router::each_repeat_gets_its_receipt_again";
const GATEWAY: &str = "interop::sockets::late_subscriptions_lost_receipts_and_repeats_cost_no_result";
const EARLY: &str = "interop::before_our_worker::a_result_that_comes_before_its_waiter_comes_again";
const LEAVES: &str = "interop::behind_our_router::a_client_who_leaves_costs_it_nothing";
const VECTORS: &str = "routing::queue_url::tests::golden_vectors";

/// Section, what it promises, and what has become of it.
const ROWS: &[(&str, &str, Fate)] = &[
    ("8.1.1", "health is 200 with its members", Kept(&[PAGES])),
    ("8.1.2", "health is 503 when dials are exhausted", Changed("D7: they never are", &[OUTAGE, PATIENT])),
    ("8.1.3", "clear-cache is 200 with its members", Kept(&[PAGES])),
    ("8.1.4", "clear-cache has the three CORS headers", Kept(&[PAGES])),
    ("8.1.5", "clear-cache is JSON of booleans and strings", Kept(&[PAGES])),
    ("8.1.6", "clear-cache can be asked again and again", Kept(&[PAGES])),
    ("8.1.7", "health has CORS headers", Kept(&[PAGES])),
    ("8.1.8", "OPTIONS on a compile path is 200", Kept(&[PAGES])),
    ("8.1.9", "a compile returns asm, code, stdout and stderr", Kept(&[SHOWN])),
    ("8.1.10", "a project build is answered", Kept(&[PATHS])),
    ("8.1.11", "no result in time is 408", Kept(&[STATUSES])),
    ("8.1.12", "a failed subscription is 500", Changed("D26: 503", &[STATUSES])),
    ("8.1.13", "a dead URL is not 200", Kept(&[STATUSES])),
    ("8.1.14", "JSON is accepted", Kept(&[BODIES])),
    ("8.1.15", "text is accepted", Kept(&[BODIES])),
    ("8.1.16", "JSON by default", Kept(&[SHOWN])),
    ("8.1.17", "text for those who ask for it", Kept(&[SHOWN])),
    ("8.2.1", "names are UUIDs of version 4, and unique", Kept(&[MEMBERS, WORDS])),
    ("8.2.2", "the compiler's id is read off every spelling of a path", Kept(&[PATHS])),
    ("8.2.3", "a path without a compiler has none", Kept(&[PATHS])),
    ("8.2.4", "cmake is told from compile", Kept(&[PATHS])),
    ("8.2.5", "a JSON body becomes the job's members", Kept(&[MEMBERS, BODIES])),
    ("8.2.6", "a text body becomes the source", Kept(&[BODIES])),
    ("8.2.7", "bad JSON becomes the source", Changed("D26: 400", &[BODIES, STATUSES])),
    ("8.2.8", "an empty body becomes an empty job", Changed("D26: 400, as the native service", &[BODIES])),
    ("8.2.9", "a body without a type becomes the source", Kept(&[BODIES])),
    (
        "8.2.10",
        "errors have their shape",
        Changed("D26: the native service's on the compile API", &[STATUSES]),
    ),
    ("8.2.11", "guid and s3Key are left out, all else is passed on", Kept(&[SHOWN])),
    ("8.2.12", "both content types, exactly", Kept(&[SHOWN])),
    ("8.2.13", "text has banner, listing and output", Kept(&[SHOWN])),
    ("8.2.14", "terminal codes are removed on request", Kept(&[SHOWN])),
    ("8.2.15", "text has the execution", Kept(&[SHOWN])),
    ("8.2.16", "text has the exit code and the errors", Kept(&[SHOWN])),
    ("8.3.1", "a small job travels inline, and no bucket is asked", Kept(&[MEMBERS])),
    ("8.3.2", "a large job is parked, and a note travels", Kept(&[PARKED])),
    ("8.3.3", "bucket and prefix are the operator's choice", Kept(&[PARKED])),
    (
        "8.3.4",
        "so is the limit",
        Changed("D10, D24: it is the queue's own, less a job's remaining time", &[PARKED]),
    ),
    ("8.3.5", "a job of exactly the limit travels inline", Kept(&[PARKED])),
    ("8.3.6", "after clearing, SSM and DynamoDB are asked again", Kept(&[LOOKUPS])),
    ("8.3.7", "before it, they are not", Kept(&[LOOKUPS])),
    ("8.3.8", "there may be nothing to clear", Kept(&[LOOKUPS])),
    (
        "8.4.1",
        "a trailing slash is trimmed, and nothing else",
        Kept(&[FORWARDED, "relay::forward::tests::targets"]),
    ),
    ("8.4.2", "a header given twice arrives whole", Kept(&[FORWARDED])),
    ("8.4.3", "what belongs to a connection is dropped from requests", Kept(&[FORWARDED])),
    ("8.4.4", "length, authorization and cookies are kept", Kept(&[FORWARDED])),
    ("8.4.5", "what belongs to a connection is dropped from replies", Kept(&[FORWARDED])),
    ("8.4.6", "and the rest of them is kept", Kept(&[FORWARDED])),
    ("8.4.7", "the headers given are not changed in place", Inner("a function's arguments")),
    ("8.4.8", "there may be none", Kept(&["relay::forward::tests::headers_of_a_connection_stay_with_it"])),
    ("8.5.1", "it connects", Kept(&[WORDS])),
    ("8.5.2", "a second connect does nothing", Inner("a method's second call; here are two connections")),
    (
        "8.5.3",
        "sending while disconnected fails at once",
        Changed("D26: it waits within the budget", &[STATUSES, OUTAGE]),
    ),
    (
        "8.5.4",
        "subscriptions are a set",
        Kept(&["events::waiters::tests::subscriptions_are_counted_and_leave_nothing", WORDS]),
    ),
    ("8.5.5", "frames are `subscribe: <guid>` and `unsubscribe: <guid>`", Kept(&[WORDS])),
    ("8.5.6", "JSON frames are heard", Kept(&[WORDS])),
    ("8.5.7", "malformed frames do not end the connection", Kept(&[WORDS])),
    (
        "8.5.8",
        "a connection that broke off is replaced",
        Kept(&[PATIENT, "events::restarts::a_hub_that_is_killed_and_started_again_costs_no_result"]),
    ),
    ("8.5.9", "after ten dials it stops", Changed("D7: it never does", &[PATIENT])),
    ("8.5.10", "after its own close, with code 1000, it does not dial", Kept(&[PATIENT])),
    (
        "8.5.11",
        "attempts are counted, and can be exhausted",
        Changed("D7: the members stay, and say none", &[PAGES]),
    ),
    ("8.6.1", "GET is 405", Kept(&[STATUSES, "interop::pages::a_wrong_method_is_told_in_json"])),
    ("8.6.2", "a bad path is 400", Changed("D26: 404", &[STATUSES, PATHS])),
    ("8.6.3", "a URL's request is passed on whole, and no queue hears of it", Kept(&[FORWARDED])),
    ("8.6.4", "a failed forward is 500", Changed("D15: 502, as today's router", &[STATUSES])),
    ("8.6.5", "a failed subscription is 500", Changed("D26: 503", &[STATUSES])),
    ("8.6.6", "a queue is sent the job with everything it needs", Kept(&[MEMBERS])),
    (
        "8.6.7",
        "cmake is told to the worker",
        Kept(&[WISHES, "http::elsewhere::project_builds_travel_by_name"]),
    ),
    ("8.6.8", "the id behind an environment's prefix is found", Kept(&[PATHS])),
    ("8.6.9", "a failed look-up is 500", Changed("D14: 503", &[STATUSES])),
    ("8.6.10", "a failed send is 500", Changed("D26: 503", &[STATUSES])),
    ("8.6.11", "no result in time is 408", Kept(&[STATUSES])),
    ("8.6.12", "a name without a color takes the live one", Kept(&[VECTORS])),
    ("8.6.13", "a colored name is kept, whichever is live", Kept(&[VECTORS])),
    ("8.6.14", "a suffix is taken off and put on again", Kept(&[VECTORS])),
    ("8.6.15", "words that begin like a color are none", Kept(&[VECTORS])),
    ("8.6.16", "an empty name is spelled out", Kept(&[VECTORS])),
    (
        "8.6.17",
        "a color without an address is an error",
        Changed(
            "D13, D27: every address follows from one that is configured",
            &["routing::queue_url::tests::an_address_stays_in_its_place_and_is_spelled_once"],
        ),
    ),
    ("8.6.18", "what a client leaves out is filled in", Kept(&[MEMBERS])),
    ("8.6.19", "the dedup id is the guid", Kept(&[MEMBERS])),
    ("8.6.20", "the group is `default`", Changed("D4: the guid", &[MEMBERS])),
    ("8.6.21", "no queue URL is an error", Changed("D14: 404", &[STATUSES])),
    ("8.7.1", "the hub remembers who asked for what", Kept(&[EXCHANGE])),
    ("8.7.2", "it relays a result as it came", Kept(&[EXCHANGE])),
    ("8.7.3", "without a subscriber it goes on", Kept(&[EXCHANGE, GARBAGE])),
    ("8.7.4", "ping is answered by pong", Kept(&[GARBAGE])),
    ("8.7.5", "unknown texts are told to be unknown", Kept(&[GARBAGE])),
    ("8.7.6", "it forgets who unsubscribes", Kept(&[EXCHANGE])),
    ("8.7.7", "a receipt goes to the last sender", Kept(&[EXCHANGE])),
    ("8.7.8", "table items, their keys, times and errors", Inner("our hub has no table")),
    ("8.9.1", "a connection that breaks while a request waits", Kept(&[TROUBLES, GAP])),
    ("8.9.2", "receipts, and receipts again", Kept(&[WORDS, REPEATS])),
    ("8.9.3", "a result that comes twice", Kept(&[GATEWAY])),
    (
        "8.9.4",
        "a result before its waiter",
        Kept(&["events::says::an_early_result_is_kept_for_its_waiter", EARLY]),
    ),
    (
        "8.9.5",
        "a result that nobody asked for",
        Kept(&["events::waiters::tests::an_early_result_is_kept_for_a_moment_and_in_bounds"]),
    ),
    (
        "8.9.6",
        "a result in the bucket: found, not found, and under what the frame says",
        Kept(&[
            "interop::behind_our_router::large_jobs_and_results_are_found_where_it_puts_them",
            STATUSES,
            "wire::relayed::tests::the_frame_wins_over_what_is_parked",
        ]),
    ),
    (
        "8.9.7",
        "a color that changes under a warm cache",
        Kept(&["interop::production::a_deployment_moves_jobs_to_the_new_color_and_its_workers_alone"]),
    ),
    (
        "8.9.8",
        "an outage of table or color",
        Kept(&[STATUSES, "routing::tests::an_outage_is_bridged_by_what_was_known"]),
    ),
    ("8.9.9", "a row under a bare id", Kept(&["routing::tests::a_row_older_than_environments_is_found"])),
    (
        "8.9.10",
        "what is known to be absent",
        Kept(&["routing::tests::absence_is_believed_for_a_moment_and_never_stands_in"]),
    ),
    (
        "8.9.11",
        "408 before the balancer's patience ends",
        Kept(&["config::tests::values_that_contradict_each_other_are_told_in_sentences", STATUSES]),
    ),
    (
        "8.9.12",
        "SIGTERM with requests open",
        Kept(&[
            "interop::sockets::the_last_receipt_is_said_before_the_end",
            "daemon::ends::told_to_stop_it_answers_everything_it_has_received",
        ]),
    ),
    (
        "8.9.13",
        "a client who leaves",
        Kept(&[LEAVES, "queue::relays::what_a_caller_who_left_asked_for_is_not_done"]),
    ),
    ("8.9.14", "forms, and bodies without a type", Kept(&[BODIES])),
    ("8.9.15", "bodies that are too large", Kept(&[STATUSES])),
    ("8.9.16", "sizes of what is not ASCII", Kept(&[PARKED])),
    (
        "8.9.17",
        "a charset beside the type",
        Kept(&[BODIES, WISHES, "interop::before_our_worker::what_it_sends_is_understood_as_it_was_meant"]),
    ),
    (
        "8.9.18",
        "a client who writes the envelope",
        Kept(&[WISHES, "wire::envelope::tests::a_client_cannot_write_the_router_members"]),
    ),
    ("8.9.19", "project builds and queries behind a URL", Kept(&[FORWARDED])),
    ("8.9.20", "lengths that are not those of what is written anew", Kept(&[FORWARDED])),
    ("8.9.21", "many at once", Kept(&["queue::relays::five_hundred_at_once_and_none_lost", TROUBLES])),
    (
        "8.9.22",
        "when a message is deleted",
        Kept(&["queue::answers::a_job_is_answered_and_its_message_deleted"]),
    ),
    (
        "8.9.23",
        "how today's worker sends",
        Kept(&[
            "interop::behind_our_router::its_results_are_acknowledged_at_once_and_the_next_job_is_taken",
            "events::interoperates::the_deployed_worker_is_heard_and_told_so_at_once",
            REPEATS,
        ]),
    ),
];

#[test]
fn every_section_is_whole_and_in_order() {
    let mut sections: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, _, _) in ROWS {
        let (section, number) = row.rsplit_once('.').unwrap();
        sections.entry(section).or_default().push(number.parse().unwrap());
    }
    assert_eq!(
        sections.keys().copied().collect::<Vec<_>>(),
        ["8.1", "8.2", "8.3", "8.4", "8.5", "8.6", "8.7", "8.9"]
    );
    for (section, numbers) in sections {
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "{section}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut named = Vec::new();
    for (row, _, fate) in ROWS {
        match fate {
            Kept(tests) | Changed(_, tests) => {
                assert!(!tests.is_empty(), "{row} is shown by nothing");
                named.extend(tests.iter().copied());
            }
            Inner(why) => assert!(!why.is_empty(), "{row}"),
        }
        let decided = !matches!(fate, Changed(by, _) if !by.starts_with('D'));
        assert!(decided, "{row} is changed by no decision");
    }
    assert_eq!(sources::missing(named), Vec::<&str>::new());
}
