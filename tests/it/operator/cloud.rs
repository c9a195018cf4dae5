//! A server of the test's that answers as Amazon documents it, for what no emulator does: targets that drain, instances
//! that come and go in their own time, refreshes, and services in trouble. Each look moves the world a step on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use compilation_worker::lifecycle;
use compilation_worker::operate::permissions;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::patterns;
use crate::aws::server::{Act, Request, Server};
use crate::support::daemon::program;

/// An instance.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) id: &'static str,
    pub(super) lifecycle: &'static str,
    pub(super) protected: bool,
    /// How the balancer finds it; nothing if it does not know it.
    pub(super) target: Option<&'static str>,
    /// Whether its daemon says that it takes jobs; nothing if it says nothing.
    pub(super) consuming: Option<bool>,
    /// Seconds ago that it said so.
    pub(super) said_ago: i64,
    pub(super) version: &'static str,
}

/// A rule of the listener: its priority, the target groups that it shares between, with their weights, and what it does
/// if that is not to forward.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) priority: &'static str,
    pub(super) shares: Vec<(&'static str, u32)>,
    pub(super) action: Option<&'static str>,
}

/// The world behind the server.
#[derive(Debug)]
pub(super) struct World {
    pub(super) min: u32,
    pub(super) desired: u32,
    pub(super) max: u32,
    pub(super) machines: Vec<Machine>,
    /// Looks until the balancer finds healthy what came back.
    pub(super) initial: u8,
    /// Whether daemons notice that they are in Standby, or no longer.
    pub(super) daemons_notice: bool,
    /// An activity's status and message.
    pub(super) activity: Option<(&'static str, &'static str)>,
    /// Statuses that a refresh goes through, a look each, with its hundredths.
    pub(super) refresh: Vec<(&'static str, u8)>,
    /// Refreshes that were begun by a call; the newest is named after their number.
    pub(super) begun: u32,
    /// The rules of the listener.
    pub(super) rules: Vec<Rule>,
    /// Figures by what `metric` calls them, one a minute.
    pub(super) figures: BTreeMap<String, Vec<f64>>,
    /// Minutes ago of the newest of them.
    pub(super) figures_ago: i64,
    /// What happens once after the next answer to an action.
    pub(super) then: BTreeMap<&'static str, fn(&mut Self)>,
    /// Log events: stream, milliseconds of Unix time, message.
    pub(super) events: Vec<(&'static str, i64, String)>,
    /// What is done to an action instead, and how often.
    pub(super) faults: BTreeMap<&'static str, (Act, usize)>,
    /// Actions whose next answer is lost after they were carried out.
    pub(super) lost: BTreeSet<&'static str>,
    /// Every action that was asked, with what it said.
    pub(super) asked: Vec<(String, BTreeMap<String, String>)>,
}

/// The world and its server.
pub(super) struct Cloud {
    server: Server,
    world: Arc<Mutex<World>>,
}

pub(super) const LISTENER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:1:listener/app/main/50dc6c495c0c9188/f2f7dc8efc522ab2";
pub(super) const OLD: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/lambda/0000000000000001";
pub(super) const NEW: &str =
    "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/compilation-instances/0000000000000002";

pub(super) const OTHER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/routers/0000000000000003";

impl Machine {
    pub(super) fn new(id: &'static str) -> Self {
        Self {
            id,
            lifecycle: "InService",
            protected: false,
            target: Some("healthy"),
            consuming: Some(true),
            said_ago: 10,
            version: "0.1.0",
        }
    }

    /// As `fleet isolate` leaves it.
    pub(super) fn isolated(id: &'static str) -> Self {
        let consuming = Some(false);
        Self { lifecycle: "Standby", protected: true, target: None, consuming, ..Self::new(id) }
    }
}

impl Rule {
    pub(super) fn new(priority: &'static str, shares: &[(&'static str, u32)]) -> Self {
        Self { priority, shares: shares.to_vec(), action: None }
    }

    fn arn(&self) -> String {
        format!("arn:rule/{}", self.priority)
    }

    fn xml(&self) -> String {
        let share = |(group, weight): &(&str, u32)| {
            format!("<member><TargetGroupArn>{group}</TargetGroupArn><Weight>{weight}</Weight></member>")
        };
        let shares = self.shares.iter().map(share).collect::<Vec<_>>().concat();
        let forward = format!(
            "<member><Type>forward</Type><ForwardConfig><TargetGroups>{shares}</TargetGroups>\
             <TargetGroupStickinessConfig><Enabled>true</Enabled><DurationSeconds>60</DurationSeconds>\
             </TargetGroupStickinessConfig></ForwardConfig></member>"
        );
        let first =
            self.action.map_or_else(String::new, |action| format!("<member><Type>{action}</Type></member>"));
        format!(
            "<member><RuleArn>{}</RuleArn><Priority>{}</Priority><Conditions><member>\
             <Field>path-pattern</Field><Values><member>/api/compiler/*/compile</member></Values></member>\
             </Conditions><Actions>{first}{forward}</Actions></member>",
            self.arn(),
            self.priority
        )
    }
}

/// What a command printed, said and returned.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) code: Option<i32>,
}

impl Cloud {
    /// A fleet of two that serves.
    pub(super) async fn start() -> Self {
        let world = Arc::new(Mutex::new(World {
            min: 2,
            desired: 2,
            max: 4,
            machines: vec![Machine::new("i-1"), Machine::new("i-2")],
            initial: 0,
            daemons_notice: true,
            activity: None,
            refresh: Vec::new(),
            begun: 0,
            rules: vec![Rule::new("70", &[(OLD, 90), (NEW, 10)]), Rule::new("default", &[(OLD, 1)])],
            figures: BTreeMap::new(),
            figures_ago: 1,
            then: BTreeMap::new(),
            events: Vec::new(),
            faults: BTreeMap::new(),
            lost: BTreeSet::new(),
            asked: Vec::new(),
        }));
        let behind = Arc::clone(&world);
        let server = Server::start(move |request| behind.lock().unwrap().answer(request)).await;
        Self { server, world }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Runs a command line of the program to its end. It may have asked only for what its help says.
    pub(super) async fn run(&self, words: &[&str]) -> Run {
        let before = self.world().asked.len();
        let mut command = self.command(words);
        let output = lifecycle::blocking("program", move || command.output()).await.unwrap().unwrap();
        let command = if words[0] == "cost" { "cost".to_owned() } else { words[..2].join(" ") };
        for (action, _) in &self.world().asked[before..] {
            let listed = permissions::of(&command).contains(&action.as_str());
            assert!(listed, "{command} asks for {action}, of which its help says nothing");
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }

    pub(super) fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = program();
        command.args(words).env("AWS_ENDPOINT_URL", format!("http://{}", self.server.host()));
        command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("COMPILATION_WORKER_FLEET_LISTENER", LISTENER);
        command
    }

    /// The weights of the rule at this priority.
    pub(super) fn weights(&self, priority: &str) -> Vec<u32> {
        let world = self.world();
        let rule = world.rules.iter().find(|rule| rule.priority == priority).unwrap();
        rule.shares.iter().map(|(_, weight)| *weight).collect()
    }

    /// The actions so far that changed something, in order.
    pub(super) fn changes(&self) -> Vec<String> {
        let reads = ["Describe", "Get", "Filter"];
        let world = self.world();
        let names = world.asked.iter().map(|(action, _)| action.split(':').nth(1).unwrap().to_owned());
        names.filter(|name| !reads.iter().any(|read| name.starts_with(read))).collect()
    }
}

impl World {
    pub(super) fn machine(&mut self, id: &str) -> &mut Machine {
        self.machines.iter_mut().find(|machine| machine.id == id).unwrap()
    }

    /// What the last call of an action said.
    pub(super) fn last(&self, action: &str) -> &BTreeMap<String, String> {
        let mut asked = self.asked.iter().rev();
        &asked
            .find(|(asked, _)| asked.ends_with(action))
            .unwrap_or_else(|| panic!("{action} was not asked"))
            .1
    }

    /// Answers the action with a fault so many times.
    pub(super) fn trouble(&mut self, action: &'static str, act: Act, times: usize) {
        self.faults.insert(action, (act, times));
    }

    fn answer(&mut self, request: &Request) -> Act {
        let (action, said) = read(request);
        self.asked.push((action.clone(), said.clone()));
        let name = action.split(':').nth(1).unwrap();
        if let Some((act, times)) = self.faults.get_mut(name).filter(|(_, times)| *times > 0) {
            *times -= 1;
            return act.clone();
        }
        let act = self.carry_out(name, &said);
        if let Some(then) = self.then.remove(name) {
            then(self);
        }
        if self.lost.remove(name) { Act::Reset } else { act }
    }

    fn carry_out(&mut self, name: &str, said: &BTreeMap<String, String>) -> Act {
        match name {
            "DescribeAutoScalingGroups" => xml(name, &self.group()),
            "DescribeScalingActivities" => xml(name, &self.activities()),
            "DescribeInstanceRefreshes" => xml(name, &self.refreshes()),
            "UpdateAutoScalingGroup" => self.resize(said),
            "SetInstanceProtection" => {
                self.machine(&said["InstanceIds.member.1"]).protected =
                    said["ProtectedFromScaleIn"] == "true";
                xml(name, "")
            }
            "EnterStandby" => {
                let machine = self.machine(&said["InstanceIds.member.1"]);
                if machine.lifecycle != "InService" {
                    return refusal(400, "ValidationError", "The instance i-1 is not in InService.");
                }
                (machine.lifecycle, machine.target) = ("EnteringStandby", Some("draining"));
                self.desired -= u32::from(said["ShouldDecrementDesiredCapacity"] == "true");
                xml(name, &activity("InProgress", ""))
            }
            "ExitStandby" => {
                let machine = self.machine(&said["InstanceIds.member.1"]);
                if machine.lifecycle != "Standby" {
                    return refusal(400, "ValidationError", "The instance i-1 is not in Standby.");
                }
                (machine.lifecycle, machine.target) = ("Pending", Some("initial"));
                self.initial = 3;
                self.desired += 1;
                xml(name, &activity("InProgress", ""))
            }
            "StartInstanceRefresh" => {
                self.begun += 1;
                xml(name, &format!("<InstanceRefreshId>r-{}</InstanceRefreshId>", self.begun))
            }
            "CancelInstanceRefresh" => {
                self.refresh = vec![("Cancelling", 40), ("Cancelled", 40)];
                xml(name, "")
            }
            "DescribeTargetGroups" => target_group(said),
            "DescribeTargetHealth" => xml(name, &self.health()),
            "DescribeRules" => xml(name, &self.rules(said.get("Marker"))),
            "ModifyRule" => self.modify(said),
            "GetMetricData" => self.metrics(said),
            "GetLogEvents" => self.word(&said["logStreamName"]),
            "FilterLogEvents" => self.search(said),
            other => panic!("{other} was not expected"),
        }
    }

    fn group(&mut self) -> String {
        let mut instances = Vec::new();
        for machine in &mut self.machines {
            let Machine { id, lifecycle, protected, .. } = machine;
            instances.push(format!(
                "<member><InstanceId>{id}</InstanceId><InstanceType>t4g.medium</InstanceType>\
                 <AvailabilityZone>us-east-1a</AvailabilityZone><LifecycleState>{lifecycle}</LifecycleState>\
                 <HealthStatus>Healthy</HealthStatus><ProtectedFromScaleIn>{protected}</ProtectedFromScaleIn></member>"
            ));
            *lifecycle = match *lifecycle {
                "EnteringStandby" => "Standby",
                "Pending" => "InService",
                other => other,
            };
        }
        let instances = instances.concat();
        format!(
            "<AutoScalingGroups><member><MinSize>{}</MinSize><DesiredCapacity>{}</DesiredCapacity>\
             <MaxSize>{}</MaxSize><Instances>{instances}</Instances></member></AutoScalingGroups>",
            self.min, self.desired, self.max
        )
    }

    fn activities(&mut self) -> String {
        match self.activity {
            Some((status, message)) => activity(status, message),
            None => "<Activities/>".to_owned(),
        }
    }

    fn refreshes(&mut self) -> String {
        let Some(&(status, percent)) = self.refresh.first() else { return "<InstanceRefreshes/>".to_owned() };
        if self.refresh.len() > 1 {
            self.refresh.remove(0);
        }
        format!(
            "<InstanceRefreshes><member><InstanceRefreshId>r-{}</InstanceRefreshId><Status>{status}</Status>\
             <PercentageComplete>{percent}</PercentageComplete><InstancesToUpdate>1</InstancesToUpdate>\
             </member></InstanceRefreshes>",
            self.begun
        )
    }

    fn resize(&mut self, said: &BTreeMap<String, String>) -> Act {
        let number = |name: &str| said.get(name).map(|number| number.parse::<u32>().unwrap());
        self.min = number("MinSize").unwrap_or(self.min);
        self.max = number("MaxSize").unwrap_or(self.max);
        self.desired = number("DesiredCapacity").unwrap();
        let all = ["i-1", "i-2", "i-3", "i-4"];
        self.machines.truncate(self.desired as usize);
        for id in &all[self.machines.len()..self.desired as usize] {
            self.machines.push(Machine { lifecycle: "Pending", ..Machine::new(id) });
        }
        xml("UpdateAutoScalingGroup", "")
    }

    fn health(&mut self) -> String {
        let mut all = Vec::new();
        self.initial = self.initial.saturating_sub(1);
        for Machine { id, target, .. } in &mut self.machines {
            let Some(state) = *target else { continue };
            all.push(format!(
                "<member><Target><Id>{id}</Id><Port>10240</Port></Target>\
                 <TargetHealth><State>{state}</State></TargetHealth></member>"
            ));
            *target = match state {
                "draining" => None,
                "initial" if self.initial == 0 => Some("healthy"),
                other => Some(other),
            };
        }
        format!("<TargetHealthDescriptions>{}</TargetHealthDescriptions>", all.concat())
    }

    /// A page for each rule, the last first.
    fn rules(&self, marker: Option<&String>) -> String {
        let left = marker.map_or(self.rules.len(), |marker| marker.parse().unwrap());
        let Some(rule) = left.checked_sub(1).map(|at| &self.rules[at]) else { return "<Rules/>".to_owned() };
        let next = if left > 1 { format!("<NextMarker>{}</NextMarker>", left - 1) } else { String::new() };
        format!("<Rules>{}</Rules>{next}", rule.xml())
    }

    fn modify(&mut self, said: &BTreeMap<String, String>) -> Act {
        let rule = self.rules.iter_mut().find(|rule| rule.arn() == said["RuleArn"]).unwrap();
        let share = |number: u8| {
            let group = format!("Actions.member.1.ForwardConfig.TargetGroups.member.{number}");
            let arn = said.get(&format!("{group}.TargetGroupArn"))?;
            let known = [OLD, NEW, OTHER].into_iter().find(|known| known == arn).unwrap();
            Some((known, said[&format!("{group}.Weight")].parse().unwrap()))
        };
        rule.shares = (1..).map_while(share).collect();
        xml("ModifyRule", "")
    }

    /// Each query's figures within the time that is asked for, put together by its period and statistic.
    fn metrics(&self, said: &BTreeMap<String, String>) -> Act {
        let at = |name: &str| said[name].parse::<Timestamp>().unwrap().as_second();
        let (from, to) = (at("StartTime") / 60 * 60, at("EndTime"));
        if from >= to {
            return refusal(400, "ValidationError", "The parameter StartTime must be less than EndTime.");
        }
        let newest = Timestamp::now().as_second() / 60 * 60 - 60 * self.figures_ago;
        let mut all = Vec::new();
        for number in 1.. {
            let query = format!("MetricDataQueries.member.{number}");
            let Some(id) = said.get(&format!("{query}.Id")) else { break };
            let of = |what: &str| &*said[&format!("{query}.MetricStat.{what}")];
            let dimension = |at: u8| {
                let dimension = format!("{query}.MetricStat.Metric.Dimensions.member.{at}");
                Some((&**said.get(&format!("{dimension}.Name"))?, &*said[&format!("{dimension}.Value")]))
            };
            let dimensions: Vec<_> = (1..).map_while(dimension).collect();
            let (statistic, period) = (of("Stat"), of("Period").parse::<i64>().unwrap());
            assert!(period > 0 && period % 60 == 0, "{period}");
            let name = metric(of("Metric.Namespace"), of("Metric.MetricName"), &dimensions, statistic);
            let mut periods: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
            for (value, ago) in self.figures.get(&name).into_iter().flatten().rev().zip(0..) {
                let minute = newest - 60 * ago;
                if (from..to).contains(&minute) {
                    periods.entry(from + (minute - from) / period * period).or_default().push(*value);
                }
            }
            // The newest first, as the service likes to.
            let member = |text: String| format!("<member>{text}</member>");
            let times =
                periods.keys().rev().map(|&at| member(Timestamp::from_second(at).unwrap().to_string()));
            let values =
                periods.values().rev().map(|minutes| member(together(minutes, statistic).to_string()));
            let (times, values) = (times.collect::<String>(), values.collect::<String>());
            all.push(format!(
                "<member><Id>{id}</Id><Timestamps>{times}</Timestamps><Values>{values}</Values></member>"
            ));
        }
        xml("GetMetricData", &format!("<MetricDataResults>{}</MetricDataResults>", all.concat()))
    }

    /// The newest word of a daemon, which notices its state after it was first asked in it.
    fn word(&mut self, stream: &str) -> Act {
        let notices = self.daemons_notice && self.initial <= 1;
        let machine = self.machine(stream);
        let Some(consuming) = machine.consuming else {
            return Act::error(400, "ResourceNotFoundException", "The specified log stream does not exist.");
        };
        let message = json!({
            "Fleet": "compilation", "version": machine.version, "phase": "serving", "consuming": consuming,
            "slots": 2, "slots_busy": 1,
        });
        let at = Timestamp::now().as_millisecond() - 1000 * machine.said_ago;
        let event = json!({ "timestamp": at, "message": message.to_string() });
        if notices && matches!(machine.lifecycle, "Standby" | "InService") {
            (machine.consuming, machine.said_ago) = (Some(machine.lifecycle == "InService"), 0);
        }
        Act::ok(&json!({ "events": [event], "nextBackwardToken": "b" }))
    }

    /// Two events a page, and an empty page between: the service may do so.
    fn search(&self, said: &BTreeMap<String, String>) -> Act {
        let from: i64 = said["startTime"].parse().unwrap();
        let of = |stream: &str| said.get("logStreamNames").is_none_or(|names| names.contains(stream));
        let pattern = said.get("filterPattern");
        let fits = |message: &str| pattern.is_none_or(|pattern| patterns::fits(pattern, message));
        let events = self.events.iter().enumerate();
        let events = events.filter(|(_, (stream, at, message))| *at >= from && of(stream) && fits(message));
        let events: Vec<_> = events.collect();
        let page: usize = said.get("nextToken").map_or(0, |token| token.parse().unwrap());
        let most = if page.is_multiple_of(2) { 2 } else { 0 };
        let events_here: Vec<Value> = events.iter().skip(page).take(most).map(|(id, (stream, at, message))| {
            json!({ "eventId": id.to_string(), "logStreamName": stream, "timestamp": at, "message": message })
        }).collect();
        let mut body = json!({ "events": events_here, "searchedLogStreams": [] });
        if page + 1 < events.len() {
            body["nextToken"] = json!((page + 1).to_string());
        }
        Act::ok(&body)
    }
}

/// What a metric's figures are called: all that they are asked for by.
pub(super) fn metric(namespace: &str, name: &str, dimensions: &[(&str, &str)], statistic: &str) -> String {
    let dimensions: BTreeMap<_, _> = dimensions.iter().copied().collect();
    format!("{statistic} of {namespace} {name} {dimensions:?}")
}

/// One figure of several minutes'.
fn together(minutes: &[f64], statistic: &str) -> f64 {
    let sum = minutes.iter().fold(0.0, |sum, value| sum + value);
    match statistic {
        "Sum" => sum,
        "Average" => sum / f64::from(u32::try_from(minutes.len()).unwrap()),
        "Maximum" | "p95" => minutes.iter().copied().fold(f64::MIN, f64::max),
        other => panic!("{other} was not expected"),
    }
}

/// An action by its IAM name, and what it says.
fn read(request: &Request) -> (String, BTreeMap<String, String>) {
    if let Some(target) = request.header("x-amz-target") {
        let (_, verb) = target.split_once('.').unwrap();
        let Value::Object(said) = request.json() else { panic!("{target} says no object") };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return (
            format!("logs:{verb}"),
            said.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        );
    }
    let mut said: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
    let (service, prefix) = match said.remove("Version").unwrap().as_str() {
        "2011-01-01" => ("autoscaling", "autoscaling"),
        "2015-12-01" => ("elasticloadbalancing", "elasticloadbalancing"),
        "2010-08-01" => ("monitoring", "cloudwatch"),
        other => panic!("{other} is no version"),
    };
    assert!(request.header("authorization").unwrap().contains(&format!("/us-east-1/{service}/aws4_request")));
    (format!("{prefix}:{}", said.remove("Action").unwrap()), said)
}

pub(super) fn xml(action: &str, result: &str) -> Act {
    let body = format!(
        "<?xml version=\"1.0\"?><{action}Response xmlns=\"x\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    );
    Act::Answer(200, "content-type: text/xml\r\n".to_owned(), body.into_bytes())
}

/// An error as the services that speak XML write it.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> Act {
    let body = format!(
        "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>1</RequestId></ErrorResponse>"
    );
    Act::Answer(status, "content-type: text/xml\r\n".to_owned(), body.into_bytes())
}

fn activity(status: &str, message: &str) -> String {
    format!(
        "<Activities><member><ActivityId>a-1</ActivityId><Description>Launching an instance</Description>\
         <StatusCode>{status}</StatusCode><StatusMessage>{message}</StatusMessage><Progress>50</Progress>\
         <StartTime>{}</StartTime></member></Activities>",
        Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ")
    )
}

fn target_group(said: &BTreeMap<String, String>) -> Act {
    let wanted = said.values().next().unwrap();
    let known = [("lambda", OLD), ("compilation-instances", NEW), ("routers", OTHER)];
    let Some((name, arn)) = known.into_iter().find(|(name, arn)| wanted == name || wanted == arn) else {
        return refusal(400, "TargetGroupNotFound", "One or more target groups not found");
    };
    xml(
        "DescribeTargetGroups",
        &format!(
            "<TargetGroups><member><TargetGroupArn>{arn}</TargetGroupArn><TargetGroupName>{name}</TargetGroupName>\
             </member></TargetGroups>"
        ),
    )
}
