//! A third party's emulator of what runs a fleet: Auto Scaling, the balancer, logs and figures. It takes ten times the
//! memory of the other one, which has these services in part or not at all.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Client, post};
use super::served::Served;

/// A running emulator.
pub(crate) struct ControlPlane(Served);

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        let served = Served::start("control-plane/bin/moto_server", |command, address| {
            command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
            // Thirteen hundred images take seconds to list, and none is needed.
            command.env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false");
        });
        Self(served.await)
    }

    /// Where every service is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Calls what the adapters have no need of, such as making a group. Answers with the XML.
    pub(crate) async fn form(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let version = match service {
            "autoscaling" => "2011-01-01",
            "ec2" => "2016-11-15",
            "elasticloadbalancing" => "2015-12-01",
            "monitoring" => "2010-08-01",
            other => panic!("{other} takes no forms"),
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", version).extend_pairs(parameters);
        let kind = "application/x-www-form-urlencoded";
        self.ask(service, &format!("Content-Type: {kind}\r\n"), form.finish()).await
    }

    async fn logs(&self, verb: &str, body: &Value) {
        let headers =
            format!("X-Amz-Target: Logs_20140328.{verb}\r\nContent-Type: application/x-amz-json-1.1\r\n");
        self.ask("logs", &headers, body.to_string()).await;
    }

    async fn ask(&self, service: &str, headers: &str, body: String) -> String {
        // Who asks is of no interest to it, but which service is read from the signature.
        let signed = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=x\r\n"
        );
        let mut client = Client::connect(self.0.address).await;
        let reply = client.ask(post("/", &format!("{signed}{headers}"), body)).await;
        assert_eq!(reply.status, 200, "{service}: {}", reply.text());
        reply.text().to_owned()
    }

    /// Makes a fleet as terraform would: target groups, a listener with a rule, a group of two, log groups. Answers with
    /// the listener's ARN.
    pub(crate) async fn make_fleet(&self) -> String {
        let subnets = self.form("ec2", "DescribeSubnets", &[]).await;
        let subnets = found(&subnets, "subnetId");
        let network = self.form("ec2", "DescribeVpcs", &[]).await;
        let network = &found(&network, "vpcId")[0];
        let balancing = "elasticloadbalancing";
        let balancer =
            [("Name", "main"), ("Subnets.member.1", &*subnets[0]), ("Subnets.member.2", &subnets[1])];
        let balancer = self.form(balancing, "CreateLoadBalancer", &balancer).await;
        let balancer = &found(&balancer, "LoadBalancerArn")[0];
        let mut groups = BTreeMap::new();
        for name in ["lambda", "compilation-instances"] {
            let group = [("Name", name), ("Protocol", "HTTP"), ("Port", "10240"), ("VpcId", network)];
            let made = self.form(balancing, "CreateTargetGroup", &group).await;
            groups.insert(name, found(&made, "TargetGroupArn").remove(0));
        }
        let default = ("DefaultActions.member.1.TargetGroupArn", &*groups["lambda"]);
        let listener = [
            ("LoadBalancerArn", &**balancer),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("DefaultActions.member.1.Type", "forward"),
            default,
        ];
        let listener =
            found(&self.form(balancing, "CreateListener", &listener).await, "ListenerArn").remove(0);
        let forward = "Actions.member.1.ForwardConfig";
        let share = |number: u8| format!("{forward}.TargetGroups.member.{number}");
        let names = [
            (format!("{}.TargetGroupArn", share(1)), &*groups["lambda"]),
            (format!("{}.Weight", share(1)), "100"),
            (format!("{}.TargetGroupArn", share(2)), &*groups["compilation-instances"]),
            (format!("{}.Weight", share(2)), "0"),
            (format!("{forward}.TargetGroupStickinessConfig.Enabled"), "true"),
            (format!("{forward}.TargetGroupStickinessConfig.DurationSeconds"), "60"),
        ];
        let mut rule = vec![
            ("ListenerArn", &*listener),
            ("Priority", "70"),
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.PathPatternConfig.Values.member.1", "/api/compiler/*/compile"),
            ("Actions.member.1.Type", "forward"),
        ];
        rule.extend(names.iter().map(|(name, value)| (name.as_str(), *value)));
        self.form(balancing, "CreateRule", &rule).await;
        let template = [
            ("LaunchTemplateName", "compilation"),
            ("LaunchTemplateData.ImageId", "ami-12c6146b"),
            ("LaunchTemplateData.InstanceType", "t4g.medium"),
        ];
        self.form("ec2", "CreateLaunchTemplate", &template).await;
        let group = [
            ("AutoScalingGroupName", "compilation-asg"),
            ("MinSize", "2"),
            ("DesiredCapacity", "2"),
            ("MaxSize", "4"),
            ("LaunchTemplate.LaunchTemplateName", "compilation"),
            ("VPCZoneIdentifier", &subnets[0]),
            ("TargetGroupARNs.member.1", &groups["compilation-instances"]),
        ];
        self.form("autoscaling", "CreateAutoScalingGroup", &group).await;
        for kind in ["daemon", "metrics"] {
            let name = format!("/compilation-worker/compilation/{kind}");
            self.logs("CreateLogGroup", &json!({ "logGroupName": name })).await;
        }
        listener
    }

    /// The group's instances.
    pub(crate) async fn instances(&self) -> Vec<String> {
        found(&self.form("autoscaling", "DescribeAutoScalingGroups", &[]).await, "InstanceId")
    }

    /// Makes an instance's stream in one of the fleet's log groups.
    pub(crate) async fn make_stream(&self, kind: &str, instance: &str) {
        let name = format!("/compilation-worker/compilation/{kind}");
        self.logs("CreateLogStream", &json!({ "logGroupName": name, "logStreamName": instance })).await;
    }

    /// Logs something in an instance's name.
    pub(crate) async fn log(&self, kind: &str, instance: &str, message: &Value) {
        let name = format!("/compilation-worker/compilation/{kind}");
        let event =
            json!({ "timestamp": jiff::Timestamp::now().as_millisecond(), "message": message.to_string() });
        let body = json!({ "logGroupName": name, "logStreamName": instance, "logEvents": [event] });
        self.logs("PutLogEvents", &body).await;
    }
}

/// The texts of all elements of a name.
pub(crate) fn found(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
}
