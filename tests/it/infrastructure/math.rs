//! `CloudWatch`'s metric math, as far as `terraform/` uses it: which functions there are, what they take, and what comes
//! of them. A figure is a series, one for each period, or a single number; what an alarm or a plot shows is a series.

use std::collections::{BTreeMap, BTreeSet};

/// What a part of an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Series,
}

use Kind::{Number, Series};

/// A part of an expression: what it is, and what comes of it in a single period. Nothing measured is no number.
#[derive(Debug, Clone, Copy)]
struct Part {
    kind: Kind,
    value: f64,
}

/// Functions of one argument: what they take, and what they make of it.
const OF_ONE: [(&str, Kind, Kind); 7] = [
    ("AVG", Series, Number),
    ("MAX", Series, Number),
    ("MIN", Series, Number),
    ("PERIOD", Series, Number),
    ("RATE", Series, Series),
    ("SUM", Series, Number),
    ("TIME_SERIES", Number, Series),
];

/// By rank: what binds more loosely comes first.
const OPERATORS: [&[&str]; 4] =
    [&["&&", "||"], &[">=", "<=", "==", "!=", ">", "<"], &["+", "-"], &["*", "/"]];

/// Reads an expression over these `ids`; an error says what `CloudWatch` would not take.
pub(super) fn check(expression: &str, ids: &BTreeSet<String>) -> Result<(), String> {
    let figures = ids.iter().map(|id| (&**id, 1.0)).collect();
    value(expression, &figures).map(drop)
}

/// What comes of an expression over a single period, of which these figures are known; not a number if one was not
/// measured and has to be there.
pub(super) fn value(expression: &str, figures: &BTreeMap<&str, f64>) -> Result<f64, String> {
    let mut reader = Reader { rest: expression, figures };
    let Part { kind, value } = reader.operation(0)?;
    match (reader.rest.trim(), kind) {
        ("", Series) => Ok(value),
        ("", Number) => Err("it is one number, and no series".to_owned()),
        (rest, _) => Err(format!("{rest:?} is left over")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    figures: &'a BTreeMap<&'a str, f64>,
}

impl Reader<'_> {
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn must(&mut self, token: &str) -> Result<(), String> {
        if self.takes(token) { Ok(()) } else { Err(format!("there is no {token} before {:?}", self.rest)) }
    }

    /// Operators of this rank and those that bind more tightly. A series on either side makes a series.
    fn operation(&mut self, rank: usize) -> Result<Part, String> {
        let Some(operators) = OPERATORS.get(rank) else { return self.operand() };
        let mut left = self.operation(rank + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.takes(operator)) {
            let right = self.operation(rank + 1)?;
            let value = applied(operator, left.value, right.value);
            left = Part { kind: wider(left.kind, right.kind), value };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Part, String> {
        if self.takes("(") {
            let part = self.operation(0)?;
            return self.must(")").map(|()| part);
        }
        let rest = self.rest.trim_start();
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        let (word, rest) = rest.split_at(rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()));
        self.rest = rest;
        if let Some(value) = word.parse::<f64>().ok().filter(|value| value.is_finite()) {
            Ok(Part { kind: Number, value })
        } else if self.takes("(") {
            self.call(word)
        } else if let Some(&value) = self.figures.get(word) {
            Ok(Part { kind: Series, value })
        } else {
            Err(format!("{word:?} is neither a number nor one of {:?}", self.figures.keys()))
        }
    }

    /// A function's arguments, after its bracket.
    fn call(&mut self, name: &str) -> Result<Part, String> {
        let first = self.operation(0)?;
        let part = match name {
            "IF" => {
                self.must(",")?;
                let then = self.operation(0)?;
                self.must(",")?;
                let other = self.operation(0)?;
                // What is not a number is not above 0 either.
                let value = if first.value > 0.0 { then.value } else { other.value };
                Part { kind: wider(first.kind, wider(then.kind, other.kind)), value }
            }
            "FILL" => {
                self.must(",")?;
                let by_rule = self.takes("REPEAT") || self.takes("LINEAR");
                let filling =
                    if by_rule { Part { kind: Number, value: f64::NAN } } else { self.operation(0)? };
                if first.kind != Series || filling.kind != Number {
                    return Err("FILL takes a series, and a number, REPEAT or LINEAR".to_owned());
                }
                Part { kind: Series, value: if first.value.is_nan() { filling.value } else { first.value } }
            }
            _ => {
                let known = OF_ONE.into_iter().find(|(known, ..)| *known == name);
                let (_, takes, makes) = known.ok_or_else(|| format!("there is no function {name}"))?;
                if first.kind != takes {
                    return Err(format!("{name} takes a {takes:?}, and is given a {:?}", first.kind));
                }
                // Of a single period, all of them are what it is; but for those of its length, which nobody asks here.
                let of_length = ["PERIOD", "RATE"].contains(&name);
                Part { kind: makes, value: if of_length { f64::NAN } else { first.value } }
            }
        };
        self.must(")").map(|()| part)
    }
}

fn applied(operator: &str, left: f64, right: f64) -> f64 {
    let truth = |is: bool| f64::from(u8::from(is));
    match operator {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        ">" => truth(left > right),
        ">=" => truth(left >= right),
        "<" => truth(left < right),
        "<=" => truth(left <= right),
        "&&" => truth(left > 0.0 && right > 0.0),
        "||" => truth(left > 0.0 || right > 0.0),
        "==" => truth(left.total_cmp(&right).is_eq()),
        "!=" => truth(left.total_cmp(&right).is_ne()),
        other => unreachable!("{other} is not among the operators"),
    }
}

fn wider(a: Kind, b: Kind) -> Kind {
    if a == Series || b == Series { Series } else { Number }
}

#[test]
fn what_comes_of_an_expression_is_computed() {
    let figures = BTreeMap::from([("a", 6.0), ("b", 4.0), ("gap", f64::NAN)]);
    for (expression, expected) in [
        ("a - b - 1", 1.0),
        ("a + b * 2 / 4", 8.0),
        ("IF(a > b, 100 * a, b)", 600.0),
        ("IF(a >= 7 || b < 1, 1, FILL(gap, 3))", 3.0),
        ("TIME_SERIES(SUM(FILL(gap, 0)) + MAX(a))", 6.0),
    ] {
        let value = value(expression, &figures).unwrap();
        assert!((value - expected).abs() < 1e-9, "{expression}: {value}");
    }
    assert!(value("a + gap", &figures).unwrap().is_nan());
}

#[test]
fn what_cloudwatch_does_not_take_is_found() {
    let ids = ["a", "b", "healthy"].map(str::to_owned).into();
    for good in [
        "a",
        "100 * (FILL(a, 0) + FILL(b, REPEAT)) / a",
        "IF(FILL(a, 0) * b > 0 && b >= 1, a / (a * b), 0)",
        "TIME_SERIES(AVG(100 * IF(FILL(healthy, 0) > 0, 1, 0)))",
        "a / PERIOD(a)",
        "TIME_SERIES(0.1)",
    ] {
        assert_eq!(check(good, &ids), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("FILL(MIN(healthy), 0)", "FILL takes a series"),
        ("FILL(a)", "there is no ,"),
        ("FILL(a, b)", "FILL takes a series"),
        ("IF(a > 0, 1)", "there is no ,"),
        ("AVERAGE(a)", "no function AVERAGE"),
        ("TIME_SERIES(a)", "TIME_SERIES takes a Number"),
        ("SUM(a, b)", "there is no )"),
        ("SUM(a) / SUM(b)", "no series"),
        ("a / HealthyHostCount", "neither a number nor one of"),
        ("a +", "neither a number"),
        ("(a", "there is no )"),
        ("a b", "left over"),
        ("", "neither a number"),
    ] {
        let told = check(bad, &ids).unwrap_err();
        assert!(told.contains(why), "{bad}: {told}");
    }
}
