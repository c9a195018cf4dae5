//! `cost`: what the fleet costs, beside what Lambda would have cost for the same requests.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::cli::operator::{self, Ground};
use crate::cli::out::Streams;
use crate::cli::patience::span;
use crate::cli::{Misuse, fleet, print_json};
use crate::config::flags::OperatorFlags;
use crate::operate::fleet::cost::{Bill, Prices, Unbilled, bill};

/// Shortest time that has a whole period in it.
const SHORTEST: Duration = Duration::from_mins(2);

/// Which time, and at which prices.
#[derive(Debug, Args)]
pub(super) struct Cost {
    /// From how long ago on.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = span)]
    since: Duration,
    /// Price of an instance's hour by type, such as t4g.medium=0.0336; again for each type.
    #[arg(long, value_name = "TYPE=USD")]
    price_hour: Vec<Price>,
    /// Price of a gigabyte of Lambda's memory for a second.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    lambda_gb_second: Option<f64>,
    /// Price of a Lambda request: of one, not of a million.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    lambda_request: Option<f64>,
    /// Memory of the Lambda function, in megabytes.
    #[arg(long, value_name = "N", value_parser = dollars)]
    lambda_memory_mb: Option<f64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: OperatorFlags,
}

/// What an hour of a type costs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Price {
    /// The instance type.
    pub kind: String,
    /// Dollars.
    pub usd: f64,
}

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, usd) =
            text.split_once('=').ok_or("write a type and its price, as in t4g.medium=0.0336")?;
        Ok(Self { kind: kind.to_owned(), usd: dollars(usd)? })
    }
}

/// A price, or another number that is none below zero.
fn dollars(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "write a number such as 0.0336".to_owned())
}

pub(super) fn help() -> String {
    operator::help(
        "cost",
        "  compilation-worker cost --since 7d --price-hour t4g.medium=0.0336 --price-hour t4g.large=0.0672 \\\n      \
           --lambda-gb-second 0.0000133334 --lambda-request 0.0000002 --lambda-memory-mb 1024\n\n\
         Instances and requests are counted from figures that were measured; prices are those you give, as they change and \
         differ by region. Whole periods count: minutes; of a time that begins more than 15 days ago, five minutes, and \
         more than 63 days ago, hours, because finer figures are not kept for so long. Lambda is billed for as long as a \
         request takes, waiting included. Balancer, queues, traffic and logs are not in it: they cost the same either way. \
         The group's figures have to be switched on (terraform does).",
    )
}

impl Cost {
    pub(super) fn run(self, streams: &mut Streams) -> anyhow::Result<ExitCode> {
        let Self { since, price_hour, lambda_gb_second, lambda_request, lambda_memory_mb, json, flags } =
            self;
        if since < SHORTEST {
            return Err(Misuse("--since is two minutes or more: whole minutes are counted".to_owned()).into());
        }
        let prices = Prices {
            hour: price_hour.into_iter().map(|price| (price.kind, price.usd)).collect(),
            lambda_gb_second,
            lambda_request,
            lambda_memory_mb,
        };
        operator::run(flags, streams, async |ground: &Ground, streams: &mut Streams| {
            let fleet = fleet::open(ground)?;
            let to = Timestamp::now();
            let ago = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
            let from = to.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
            let measured = fleet.measure(from, to).await?;
            match bill(measured, &prices) {
                Err(Unbilled::Prices(missing)) => {
                    bail!("prices are missing, and none are guessed\nfix: add {}", missing.join(" "))
                }
                Err(Unbilled::Figures(what)) => bail!(
                    "there are no figures of {what} in this time\nfix: switch on the metrics of group {} \
                     (GroupTotalInstances), or name a time with --since that has some",
                    fleet.names().group
                ),
                Ok(bill) if json => print_json(streams, &json!(bill))?,
                Ok(bill) => streams.data(page(&bill, &prices).as_bytes())?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// The arithmetic, for people.
fn page(bill: &Bill, prices: &Prices) -> String {
    let measured = &bill.measured;
    let of = |price: Option<f64>| price.unwrap_or_default();
    let mut lines = vec![format!(
        "{} to {}: figures of {:.2} of {:.2} hours, in periods of {} s",
        measured.from, measured.to, measured.hours_with_figures, measured.hours, measured.period_seconds
    )];
    if measured.kinds.len() > 1 {
        let kinds: Vec<String> =
            measured.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        lines.push(format!("types are counted in the proportion of now: {}", kinds.join(", ")));
    }
    lines.push(format!(
        "instances  {:.2} instance-hours x {:.6} USD = {:.2} USD",
        measured.instance_hours, bill.price_hour, bill.instances
    ));
    let Some(lambda) = &bill.lambda else {
        lines.push(
            "lambda     not compared: --lambda-request, --lambda-gb-second and --lambda-memory-mb do"
                .to_owned(),
        );
        return format!("{}\n", lines.join("\n"));
    };
    lines.push(format!(
        "lambda     {:.0} requests x {} USD = {:.2} USD",
        measured.requests,
        of(prices.lambda_request),
        lambda.requests
    ));
    lines.push(format!(
        "           {:.0} s x {} MB / 1024 = {:.0} GB-s x {} USD = {:.2} USD",
        measured.request_seconds,
        of(prices.lambda_memory_mb),
        lambda.gb_seconds,
        of(prices.lambda_gb_second),
        lambda.time
    ));
    lines.push(format!("           together {:.2} USD", lambda.together));
    let difference = lambda.together - bill.instances;
    let kind = if difference >= 0.0 { "less" } else { "more" };
    lines.push(format!(
        "so         the instances cost {:.2} USD {kind} than Lambda would have",
        difference.abs()
    ));
    format!("{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read() {
        let price = "t4g.medium=0.0336".parse();
        assert_eq!(price, Ok(Price { kind: "t4g.medium".to_owned(), usd: 0.0336 }));
        for odd in ["", "t4g.medium", "t4g.medium=", "a=-1", "a=NaN", "a=inf", "a=1,5"] {
            odd.parse::<Price>().unwrap_err();
        }
    }
}
