//! Watching a fleet after its share was moved, and taking that back.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::cli::migrate::{Judging, Weights};
use crate::cli::out::Streams;
use crate::cli::patience::Operator;
use crate::operate::fleet::back::Returned;
use crate::operate::fleet::verdict::{Doing, Limits, Verdict, judge};
use crate::operate::fleet::weights::{Left, Scales, Step, Weighed, name};

/// A change that stands, and of which nothing could be said: try again later, as `EX_TEMPFAIL` is.
const EXIT_NOT_JUDGED: u8 = 75;
/// Age of the newest figures beyond which no more come: the youngest that are counted are three minutes old, and five more
/// is later than the balancer's ever are.
const STALE: SignedDuration = SignedDuration::from_mins(8);

/// What is watched.
pub(super) struct Watch<'a> {
    pub(super) weights: &'a Weights,
    pub(super) scales: &'a Scales,
    /// How the rules stood before.
    pub(super) weighed: &'a Weighed,
    /// Hundredths of the requests that go to the fleet now.
    pub(super) percent: u8,
    /// Each rule's step, from where it is taken back to.
    pub(super) way: Vec<Step>,
}

/// What was seen: what it means, and of which minute the newest of it is.
type Sight = (Verdict, Option<Timestamp>);

/// Since when figures count. What the fleet did before the change in that minute counts too: figures are for whole ones.
pub(super) fn beginning(since: Option<Duration>) -> Timestamp {
    let now = Timestamp::now();
    let ago = SignedDuration::try_from(since.unwrap_or_default()).unwrap_or(SignedDuration::MAX);
    minute(now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The beginning of this minute.
fn minute(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second() / 60 * 60).unwrap_or(at)
}

impl Watch<'_> {
    /// Says of which rules nothing would be taken back.
    pub(super) fn tell_no_way(&self, streams: &mut Streams) {
        let Self { weighed, percent, way, .. } = self;
        for Step { rule, from, .. } in way {
            let (name, before) = (name(rule), weighed.percent(from));
            if before == *percent {
                streams.say(format_args!(
                    "{name} stands at {percent} % already, and no way back is known: nothing is taken back if the fleet does \
                     worse, unless --back-to names what it had before"
                ));
            } else if before > *percent {
                streams.say(format_args!(
                    "{name} goes down from {before} %: if the fleet does worse, it stays down"
                ));
            }
        }
    }

    /// Watches both sides, and takes the change back if the new one does worse.
    pub(super) async fn run(
        &self,
        from: Timestamp,
        span: Duration,
        streams: &mut Streams,
    ) -> anyhow::Result<ExitCode> {
        let (begun, mut operator) = (Instant::now(), Operator::listen()?);
        let mut told = String::new();
        loop {
            if !operator.pause(self.weights.every.min(span)).await {
                let why = "it was interrupted, and nobody watches the fleet any more";
                return self.not_judged(why, from, streams);
            }
            let now = Timestamp::now();
            let seen = match self.look([from, now], &mut told, streams).await {
                Ok((Verdict::Worse(how), _)) => return self.worse(&how, streams).await,
                Ok(seen) => Some(seen),
                // Nothing is taken back because nothing could be seen.
                Err(error) => {
                    streams.say(format_args!("{error:#}"));
                    None
                }
            };
            if begun.elapsed() < span {
                continue;
            }
            return match end(seen, now) {
                Ok(why) => {
                    streams.data(format!("well    {why}\n").as_bytes())?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(why) => self.not_judged(&why, from, streams),
            };
        }
    }

    async fn look(
        &self,
        [from, to]: [Timestamp; 2],
        told: &mut String,
        streams: &mut Streams,
    ) -> anyhow::Result<Sight> {
        let health = self.scales.health(&self.weighed.new).await;
        // Figures tell of that minutes later, and of a group without targets nothing at all.
        if let (Ok((0, targets)), 1..) = (&health, self.percent) {
            return Ok((Verdict::Worse(format!("none of its {targets} targets is healthy")), None));
        }
        let [old, new] = self.scales.doing(self.weighed, from, to).await?;
        let health = health.map_or_else(|_| "?".to_owned(), |(healthy, all)| format!("{healthy} of {all}"));
        let line = format!("old: {}; new: {}, {health} healthy", said(old), said(new));
        if line != *told {
            streams.say(&line);
            *told = line;
        }
        let Judging { worse_errors, worse_latency, latency_ceiling, .. } = self.weights.judging;
        let ceiling = latency_ceiling.map(|ceiling| ceiling.as_secs_f64());
        Ok((judge(old, new, Limits { errors: worse_errors, latency: worse_latency, ceiling }), new.newest))
    }

    async fn worse(&self, how: &str, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        streams.data(format!("worse   {how}\n").as_bytes())?;
        if self.weights.judging.no_rollback {
            bail!("the fleet does worse, and the weights stay as they are");
        }
        let fix =
            "fix: compilation-worker migrate weights N, N being what it had before; 0 takes all of it back";
        let returned = self.scales.take_back(&self.way, self.weights.force).await;
        let Returned { back, left, failed } =
            returned.with_context(|| format!("the fleet does worse, and nothing was taken back\n{fix}"))?;
        for Left { name, why } in left.iter().chain(&failed) {
            streams.say(format_args!("{name} is not taken back: {why}"));
        }
        let shares = back.iter().map(|step| self.weighed.percent(&step.from));
        let (Some(lowest), Some(highest)) = (shares.clone().min(), shares.max()) else {
            bail!("the fleet does worse, and nothing was taken back\n{fix}");
        };
        let now = if lowest == highest { lowest.to_string() } else { format!("{lowest} to {highest}") };
        match left.len() + failed.len() {
            0 => bail!("the fleet does worse: back to {now} %; terraform: set instances_weight = {lowest}"),
            stay => bail!(
                "the fleet does worse: {} of its rules went back to {now} %, and {stay} did not\n{fix}",
                back.len()
            ),
        }
    }

    /// The end of a watch that says nothing of the fleet.
    fn not_judged(&self, why: &str, from: Timestamp, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        streams.data(format!("not judged: {why}\n").as_bytes())?;
        let Self { weighed, percent, way, .. } = self;
        let back = way.iter().map(|step| weighed.percent(&step.from)).filter(|before| before < percent).min();
        let back = back.map_or_else(String::new, |back| format!(" --back-to {back}"));
        let watch = written(self.weights.watch.unwrap_or_default());
        let seconds = Timestamp::now().duration_since(from).as_secs().max(1);
        streams.say(format_args!(
            "the weights stay as they are: go back, or watch on with this, and the other flags as they were:\n\
             compilation-worker migrate weights {percent} --watch {watch}{back} --since {seconds}s"
        ));
        Ok(ExitCode::from(EXIT_NOT_JUDGED))
    }
}

/// What is said at the end of a watch during which the fleet never did worse: that it does well, or why that is not known.
fn end(seen: Option<Sight>, now: Timestamp) -> Result<String, String> {
    match seen {
        None => Err("no figures could be read at the end".to_owned()),
        Some((_, Some(newest))) if now.duration_since(newest) > STALE => {
            Err(format!("the newest figures of the fleet are those of {newest}"))
        }
        Some((Verdict::Well(why), _)) => Ok(why),
        Some((Verdict::Open(why) | Verdict::Worse(why), _)) => Err(why),
    }
}

fn said(doing: Doing) -> String {
    let Doing { requests, errors, p95, .. } = doing;
    let p95 = p95.map_or_else(|| "no latency".to_owned(), |p95| format!("p95 {p95:.3} s"));
    format!("{requests} requests, {errors} failed, {p95}")
}

/// A span as it is read.
fn written(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", span.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::patience;

    #[test]
    fn figures_begin_with_a_whole_minute() {
        for (at, begins) in [(0, 0), (59, 0), (60, 60), (119, 60)] {
            assert_eq!(minute(Timestamp::from_second(at).unwrap()).as_second(), begins);
        }
        let ago = Timestamp::now().duration_since(beginning(Some(Duration::from_mins(10)))).as_secs();
        assert!((600..670).contains(&ago), "{ago}");
    }

    #[test]
    fn spans_are_written_as_they_are_read() {
        for (text, expected) in [("90s", "90s"), ("1h", "60m"), ("200ms", "200ms"), ("2m", "2m")] {
            let span = patience::span(text).unwrap();
            let again = written(span);
            assert_eq!((&*again, patience::span(&again)), (expected, Ok(span)));
        }
    }
}
