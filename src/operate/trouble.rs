//! A call that failed, told to an operator: which call, on which thing, and what to do about it.

use crate::aws::{Fault, Kind};

/// Codes of an access key that nobody knows.
const UNKNOWN_KEY: [&str; 3] = ["InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"];
/// Codes of a signature that does not fit.
const MISSIGNED: [&str; 3] = ["IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"];

/// Codes of what the service does only so often.
const TOO_SOON: [&str; 2] = ["AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress"];

/// Codes of what cannot be done while the group does something else.
const UNDER_WAY: [&str; 3] = ["InstanceRefreshInProgress", "ResourceContention", "ScalingActivityInProgress"];

/// A call, in words for messages.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What it was to do, as after "could not": `read the attributes of`.
    pub doing: &'a str,
    /// What with: `queue compilation-queue.fifo`.
    pub thing: &'a str,
    /// The right it needs: `sqs:GetQueueAttributes`.
    pub action: &'static str,
    /// The configuration's key that names the thing: `queues.own`.
    pub key: &'static str,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {what}: {fault}\nfix: {fix}")]
pub struct Trouble {
    /// What was to be done.
    pub what: String,
    /// What went wrong.
    pub fault: Fault,
    /// What to do about it.
    pub fix: String,
}

impl Trouble {
    /// What `fault` means for `call`, made in `region`.
    pub fn new(call: &Call<'_>, region: &str, fault: Fault) -> Self {
        let fix = fix(call, region, &fault);
        Self { what: format!("{} {}", call.doing, call.thing), fault, fix }
    }

    /// Whether the thing is not there.
    pub fn is_absence(&self) -> bool {
        is_absence(&self.fault)
    }
}

/// Whether a service says that there is no such thing. Each has a word of its own for it.
fn is_absence(fault: &Fault) -> bool {
    let Some(code) = fault.code.as_deref() else { return false };
    // Auto Scaling calls a group that is not there an invalid value.
    let invalid = code == "ValidationError" && fault.detail.contains("not found");
    invalid || ["NotFound", "DoesNotExist", "NonExistent", "NoSuch"].iter().any(|word| code.contains(word))
}

/// Whether Auto Scaling says that an instance is not in the state that it was seen in.
fn is_overtaken(fault: &Fault) -> bool {
    fault.code.as_deref() == Some("ValidationError") && fault.detail.contains(" is not in ")
}

fn fix(call: &Call<'_>, region: &str, fault: &Fault) -> String {
    let Call { thing, action, key, .. } = call;
    let said = |codes: &[&str]| fault.code.as_deref().is_some_and(|code| codes.contains(&code));
    let elsewhere = format!("{region} is where it was looked for: another place is named with --aws-region");
    match fault.kind {
        _ if is_absence(fault) => {
            format!("name one that exists with {} ({key}); {elsewhere}", flag(key))
        }
        _ if said(&TOO_SOON) => "it is done once a minute; wait a minute, and look whether it is done".to_owned(),
        _ if said(&UNDER_WAY) => {
            "`fleet status` shows what the group does; wait until that is over, and do it again".to_owned()
        }
        _ if is_overtaken(fault) => "its state has changed meanwhile: run the command again to go on".to_owned(),
        Kind::NoCredentials => {
            "name a profile (AWS_PROFILE), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run this on an \
             instance with a role"
                .to_owned()
        }
        Kind::Expired => "log in again, or fetch new credentials".to_owned(),
        Kind::Denied if said(&UNKNOWN_KEY) => {
            "these credentials are of no account here: check AWS_PROFILE or AWS_ACCESS_KEY_ID".to_owned()
        }
        Kind::Denied if said(&MISSIGNED) => {
            format!(
                "check the secret key, this machine's clock, and that {region} is the right --aws-region"
            )
        }
        Kind::Denied => {
            format!("allow these credentials {action} on {thing}, or use others; --help lists all rights")
        }
        Kind::Throttled => "too many calls are made; wait a minute, and do it again".to_owned(),
        Kind::Broken => "the service has trouble of its own; do it again later".to_owned(),
        Kind::TimedOut | Kind::Unreachable => {
            format!("check the network, that {region} is the right --aws-region, and --aws-endpoint if it is set")
        }
        Kind::Garbled => {
            "what answered is not the service: check --aws-endpoint, and what stands between".to_owned()
        }
        Kind::Refused => format!("check {} ({key}); {elsewhere}", flag(key)),
    }
}

/// The flag of a key, by the one rule for names.
fn flag(key: &str) -> String {
    format!("--{}", key.replace(['.', '_'], "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call {
        doing: "read the attributes of",
        thing: "queue jobs.fifo",
        action: "sqs:GetQueueAttributes",
        key: "queues.dead_letters",
    };

    fn fault(kind: Kind, code: Option<&str>) -> Fault {
        Fault { kind, detail: "group not found".to_owned(), code: code.map(ToOwned::to_owned) }
    }

    #[test]
    fn each_failure_names_the_call_the_thing_and_the_way_out() {
        for (kind, code, fix) in [
            (Kind::Denied, Some("AccessDenied"), "sqs:GetQueueAttributes on queue jobs.fifo"),
            (Kind::Denied, None, "allow these credentials"),
            (Kind::Denied, Some("InvalidClientTokenId"), "AWS_PROFILE"),
            (Kind::Denied, Some("SignatureDoesNotMatch"), "eu-west-1 is the right --aws-region"),
            (Kind::Throttled, Some("RequestThrottled"), "wait a minute"),
            (Kind::Refused, Some("AWS.SimpleQueueService.NonExistentQueue"), "--queues-dead-letters"),
            (Kind::Refused, Some("ResourceNotFoundException"), "another place is named with --aws-region"),
            (Kind::Refused, Some("ValidationError"), "name one that exists"),
            (Kind::Refused, Some("InvalidParameterValue"), "check --queues-dead-letters"),
            (Kind::Denied, Some("PurgeQueueInProgress"), "once a minute"),
            (Kind::Refused, Some("InstanceRefreshInProgress"), "wait until that is over"),
            (Kind::NoCredentials, None, "AWS_ACCESS_KEY_ID"),
            (Kind::Expired, Some("ExpiredToken"), "log in again"),
            (Kind::TimedOut, None, "check the network"),
            (Kind::Unreachable, None, "--aws-endpoint"),
            (Kind::Garbled, None, "not the service"),
            (Kind::Broken, None, "later"),
        ] {
            let trouble = Trouble::new(&CALL, "eu-west-1", fault(kind, code));
            assert!(trouble.fix.contains(fix), "{kind:?} {code:?}: {trouble}");
            let told = trouble.to_string();
            assert!(told.starts_with("could not read the attributes of queue jobs.fifo: "), "{told}");
            assert!(told.contains(kind.as_str()) && told.contains("\nfix: "), "{told}");
        }
        let overtaken = Fault {
            detail: "ValidationError: The instance i-1 is not in InService.".to_owned(),
            ..fault(Kind::Refused, Some("ValidationError"))
        };
        assert!(Trouble::new(&CALL, "x", overtaken).fix.contains("run the command again"));
        let trouble = |code| Trouble::new(&CALL, "x", fault(Kind::Refused, Some(code)));
        assert!(trouble("QueueDoesNotExist").is_absence() && !trouble("InvalidParameterValue").is_absence());
    }
}
