//! What `queue` shows to people.

use std::fmt::Write as _;

use crate::cli::out::escaped;
use crate::cli::table::{Table, shown};
use crate::operate::queue::{Order, Outcome, Seen, Stats};

/// Letters of one reason that are listed by name.
const LISTED: usize = 10;

/// Both queues side by side, and what is odd about them.
pub(super) fn stats(both: &[Stats]) -> String {
    let mut table = Table::new(&["queue", "name", ">visible", ">in flight", ">delayed", ">oldest"]);
    let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    for one in both {
        table.row([
            one.role.words().to_owned(),
            one.queue.clone(),
            count(one.visible),
            count(one.in_flight),
            count(one.delayed),
            one.oldest_seconds.map_or_else(|| "-".to_owned(), |age| span(age.max(0.0).round())),
        ]);
    }
    let mut page = table.render();
    for one in both {
        for warning in &one.warnings {
            // Writing to a String cannot fail.
            let _infallible = writeln!(page, "warning: {}: {warning}", one.queue).is_err();
        }
    }
    page
}

/// One line for each message, or a page for each if they were looked at in full.
pub(super) fn messages(seen: &[Seen]) -> String {
    if seen.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["guid", "compiler", ">age", ">receives", ">bytes", "what"]);
    for one in seen {
        table.row([
            one.guid.clone().unwrap_or_else(|| format!("({})", one.message)),
            one.compiler.clone().unwrap_or_else(|| "-".to_owned()),
            seconds(one.age_seconds),
            one.receives.to_string(),
            one.bytes.to_string(),
            what(one),
        ]);
    }
    let mut page = table.render();
    for one in seen {
        for (name, value) in [("message", &one.envelope), ("fetched", &one.job)] {
            if let Some(value) = value {
                let title = one.guid.as_deref().unwrap_or(&one.message);
                let value = escaped(format!("{value:#}"));
                let _infallible = writeln!(page, "\n{name} of {}:\n{value}", shown(title)).is_err();
            }
        }
    }
    page
}

fn what(seen: &Seen) -> String {
    let reason = seen.reason.clone().or_else(|| seen.wrong.as_ref().map(|wrong| format!("no job: {wrong}")));
    let parked = seen.parked.as_ref().map(|at| format!("lies at {}/{}", at.bucket, at.key));
    let told: Vec<String> = reason.into_iter().chain(parked).collect();
    told.join("; ")
}

/// What was brought back, and what stays.
pub(super) fn outcome(outcome: &Outcome, order: &Order) -> String {
    let verb = if order.dry_run { "would be brought back" } else { "brought back" };
    let mut page = format!("{} {verb}\n", outcome.moved.len());
    let mut listed = |names: &[&str]| {
        for name in names.iter().take(LISTED) {
            let _infallible = writeln!(page, "  {}", shown(name)).is_err();
        }
        if names.len() > LISTED {
            let _infallible = writeln!(page, "  and {} more", names.len() - LISTED).is_err();
        }
    };
    listed(&outcome.moved.iter().map(String::as_str).collect::<Vec<_>>());
    let mut reasons: Vec<&str> = Vec::new();
    for left in &outcome.left {
        if !reasons.contains(&left.why.as_str()) {
            reasons.push(&left.why);
        }
    }
    for reason in reasons {
        let names: Vec<&str> =
            outcome.left.iter().filter(|left| left.why == reason).map(|left| left.guid.as_str()).collect();
        let _infallible = writeln!(page, "{} left where they are: {}", names.len(), shown(reason)).is_err();
        for name in names.iter().take(LISTED) {
            let _infallible = writeln!(page, "  {}", shown(name)).is_err();
        }
        if names.len() > LISTED {
            let _infallible = writeln!(page, "  and {} more", names.len() - LISTED).is_err();
        }
    }
    for group in &outcome.blocked {
        let note = "what stands behind them, if anything, was not reached";
        let _infallible = writeln!(page, "group {}: {note}", shown(group)).is_err();
    }
    for name in &outcome.undeleted {
        let note = "was sent, but its letter could not be deleted and will show up again";
        let _infallible = writeln!(page, "{} {note}", shown(name)).is_err();
    }
    page
}

fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The same for a figure that comes with a point.
fn span(age: f64) -> String {
    // No queue keeps anything for longer than two weeks, so a figure that is odd is shown as the largest.
    std::time::Duration::try_from_secs_f64(age).map_or_else(|_| "?".to_owned(), |age| seconds(age.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::queue::{Left, Role};

    #[test]
    fn both_queues_stand_side_by_side() {
        let stats = |role, oldest_seconds, warnings: &[&str]| Stats {
            role,
            queue: "q.fifo".to_owned(),
            url: "https://q/1/q.fifo".to_owned(),
            visible: Some(3),
            in_flight: None,
            delayed: Some(0),
            oldest_seconds,
            warnings: warnings.iter().map(|text| (*text).to_owned()).collect(),
        };
        let page = super::stats(&[
            stats(Role::Jobs, Some(41.0), &[]),
            stats(Role::DeadLetters, None, &["it is odd"]),
        ]);
        assert_eq!(
            page,
            "queue         name    visible  in flight  delayed  oldest\n\
             jobs          q.fifo        3          ?        0     41s\n\
             dead letters  q.fifo        3          ?        0       -\n\
             warning: q.fifo: it is odd\n"
        );
        assert_eq!(span(f64::NAN), "?");
        assert_eq!([119, 120, 7200, 200_000].map(seconds), ["119s", "2m", "2h", "2d"]);
    }

    #[test]
    fn what_stays_is_told_by_its_reason() {
        let left = |guid: usize, why: &str| Left { guid: guid.to_string(), why: why.to_owned() };
        let mut all: Vec<Left> = (0..12).map(|guid| left(guid, "too old")).collect();
        all.push(left(99, "no job"));
        let outcome = Outcome {
            moved: vec!["a".to_owned()],
            left: all,
            undeleted: vec!["a".to_owned()],
            blocked: ["default".to_owned()].into(),
        };
        let page = super::outcome(&outcome, &Order::default());
        assert!(page.starts_with("1 brought back\n  a\n12 left where they are: too old\n  0\n"), "{page}");
        assert!(
            page.contains("  and 2 more\n1 left where they are: no job\n  99\ngroup default: "),
            "{page}"
        );
        assert!(page.ends_with("will show up again\n"), "{page}");
        let dry = Order { dry_run: true, ..Order::default() };
        assert!(super::outcome(&outcome, &dry).starts_with("1 would be brought back\n"));
    }
}
