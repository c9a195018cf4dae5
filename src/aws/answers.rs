//! What SQS's answers mean.

use aws_sdk_sqs::types::BatchResultErrorEntry;

use crate::aws::fault::{Fault, Kind};

/// Why one entry of a batch failed, when the call as a whole did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryFailure {
    pub fault: Fault,
    /// Its receipt is void.
    pub void: bool,
}

/// What became of the entry with this id. One that the answer does not mention has failed.
pub(super) fn entry<'a>(
    id: usize,
    mut done: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Result<(), EntryFailure> {
    let id = id.to_string();
    if let Some(entry) = failed.iter().find(|entry| entry.id() == id) {
        let status = if entry.sender_fault() { 400 } else { 500 };
        let fault = Fault::answered(status, Some(entry.code()), entry.message());
        return Err(EntryFailure { fault, void: is_void(Some(entry.code()), entry.message()) });
    }
    if done.any(|done| done == id) {
        return Ok(());
    }
    let fault = Fault::new(Kind::Garbled, &format!("nothing is said about entry {id}"));
    Err(EntryFailure { fault, void: false })
}

/// Whether a code says that there is no such queue.
pub(super) fn is_absent(code: Option<&str>) -> bool {
    matches!(code.map(bare), Some("QueueDoesNotExist" | "NonExistentQueue"))
}

/// Whether a refusal says that the receipt is void. FIFO queues say so of an expired one with a parameter's error;
/// standard queues accept it.
pub(super) fn is_void(code: Option<&str>, message: Option<&str>) -> bool {
    match code.map(bare) {
        Some("ReceiptHandleIsInvalid" | "MessageNotInflight") => true,
        Some("InvalidParameterValue" | "InvalidParameterValueException") => {
            message.is_some_and(|message| message.contains("ReceiptHandle"))
        }
        _ => false,
    }
}

/// A code without what the older protocol puts before some of them.
fn bare(code: &str) -> &str {
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_receipts_are_told_from_other_refusals() {
        let expired =
            "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
        for (code, message, void) in [
            ("ReceiptHandleIsInvalid", None, true),
            ("AWS.SimpleQueueService.MessageNotInflight", None, true),
            ("InvalidParameterValue", Some(expired), true),
            (
                "InvalidParameterValue",
                Some("Value 99999999 for parameter VisibilityTimeout is invalid"),
                false,
            ),
            ("InvalidParameterValue", None, false),
            ("RequestThrottled", Some(expired), false),
        ] {
            assert_eq!(is_void(Some(code), message), void, "{code} {message:?}");
        }
    }

    #[test]
    fn every_entry_has_a_fate() {
        let failed =
            BatchResultErrorEntry::builder().id("1").code("InternalError").sender_fault(false).build();
        let failed = [failed.unwrap()];
        assert_eq!(entry(0, ["0"].into_iter(), &failed), Ok(()));
        assert_eq!(entry(1, ["0"].into_iter(), &failed).unwrap_err().fault.kind, Kind::Broken);
        assert_eq!(entry(2, ["0"].into_iter(), &failed).unwrap_err().fault.kind, Kind::Garbled);
    }

    #[test]
    fn an_absent_queue_has_two_names() {
        for code in ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"] {
            assert!(is_absent(Some(code)), "{code}");
        }
        assert!(!is_absent(None) && !is_absent(Some("AccessDenied")));
    }
}
