//! Which rights each of the operator's commands needs. The help prints this table, the policy for operators is written
//! from it, and tests compare it with what the commands really ask for.

/// A command and its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The command, such as `queue stats`.
    pub command: &'static str,
    /// IAM actions, such as `sqs:GetQueueAttributes`. A call on several things at once needs the same action as one on
    /// one thing: IAM knows no `sqs:SendMessageBatch`.
    pub actions: &'static [&'static str],
}

/// Every command that needs rights, and all that it may ask for with any of its options.
pub const PERMISSIONS: &[Permission] = &[
    Permission {
        command: "queue stats",
        actions: &["cloudwatch:GetMetricData", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"],
    },
    Permission {
        command: "queue peek",
        actions: &["s3:GetObject", "sqs:ChangeMessageVisibility", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
    },
    Permission {
        command: "queue redrive",
        actions: &[
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        ],
    },
    Permission {
        command: "queue purge",
        actions: &["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:PurgeQueue"],
    },
    Permission { command: "routes list", actions: &["dynamodb:Scan"] },
    Permission {
        command: "routes set",
        actions: &["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"],
    },
    Permission {
        command: "routes import",
        actions: &["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"],
    },
    Permission { command: "routes validate", actions: &["dynamodb:Scan", "sqs:GetQueueUrl"] },
    Permission {
        command: "fleet status",
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeInstanceRefreshes",
            "autoscaling:DescribeScalingActivities",
            "cloudwatch:GetMetricData",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "logs:GetLogEvents",
        ],
    },
    Permission {
        command: "fleet scale",
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeScalingActivities",
            "autoscaling:UpdateAutoScalingGroup",
        ],
    },
    Permission {
        command: "fleet isolate",
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:EnterStandby",
            "autoscaling:SetInstanceProtection",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "logs:GetLogEvents",
        ],
    },
    Permission {
        command: "fleet rejoin",
        actions: &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:ExitStandby",
            "autoscaling:SetInstanceProtection",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "logs:GetLogEvents",
        ],
    },
    Permission { command: "fleet logs", actions: &["logs:FilterLogEvents"] },
    Permission {
        command: "fleet refresh",
        actions: &[
            "autoscaling:CancelInstanceRefresh",
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeInstanceRefreshes",
            "autoscaling:StartInstanceRefresh",
        ],
    },
    Permission {
        command: "migrate weights",
        actions: &[
            "cloudwatch:GetMetricData",
            "elasticloadbalancing:DescribeRules",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "elasticloadbalancing:ModifyRule",
        ],
    },
    Permission {
        command: "cost",
        actions: &["autoscaling:DescribeAutoScalingGroups", "cloudwatch:GetMetricData"],
    },
];

/// What a command needs; nothing for one that is not in the table.
pub fn of(command: &str) -> &'static [&'static str] {
    PERMISSIONS.iter().find(|row| row.command == command).map_or(&[], |row| row.actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_no_doubles() {
        for (index, row) in PERMISSIONS.iter().enumerate() {
            assert!(PERMISSIONS[index + 1..].iter().all(|other| other.command != row.command), "{row:?}");
            assert!(row.actions.is_sorted_by(|a, b| a < b), "{row:?}");
            assert!(row.actions.iter().all(|action| action.contains(':')), "{row:?}");
            assert_eq!(of(row.command), row.actions);
        }
        assert!(of("serve").is_empty());
    }
}
