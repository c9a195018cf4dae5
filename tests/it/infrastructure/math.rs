//! `CloudWatch`'s metric math, as far as `terraform/` uses it: which functions there are, what they take, and what comes
//! of them. A figure is a series, one for each period, or a single number; what an alarm or a plot shows is a series.

use std::collections::BTreeSet;

/// What a part of an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Series,
}

use Kind::{Number, Series};

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
    let mut reader = Reader { rest: expression, ids };
    let kind = reader.operation(0)?;
    match (reader.rest.trim(), kind) {
        ("", Series) => Ok(()),
        ("", Number) => Err("it is one number, and no series".to_owned()),
        (rest, _) => Err(format!("{rest:?} is left over")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    ids: &'a BTreeSet<String>,
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
    fn operation(&mut self, rank: usize) -> Result<Kind, String> {
        let Some(operators) = OPERATORS.get(rank) else { return self.operand() };
        let mut kind = self.operation(rank + 1)?;
        while operators.iter().any(|operator| self.takes(operator)) {
            kind = wider(kind, self.operation(rank + 1)?);
        }
        Ok(kind)
    }

    fn operand(&mut self) -> Result<Kind, String> {
        if self.takes("(") {
            let kind = self.operation(0)?;
            return self.must(")").map(|()| kind);
        }
        let rest = self.rest.trim_start();
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        let (word, rest) = rest.split_at(rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()));
        self.rest = rest;
        if word.parse::<f64>().is_ok_and(f64::is_finite) {
            Ok(Number)
        } else if self.takes("(") {
            self.call(word)
        } else if self.ids.contains(word) {
            Ok(Series)
        } else {
            Err(format!("{word:?} is neither a number nor one of {:?}", self.ids))
        }
    }

    /// A function's arguments, after its bracket.
    fn call(&mut self, name: &str) -> Result<Kind, String> {
        let first = self.operation(0)?;
        let kind = match name {
            "IF" => {
                self.must(",")?;
                let then = self.operation(0)?;
                self.must(",")?;
                wider(first, wider(then, self.operation(0)?))
            }
            "FILL" => {
                self.must(",")?;
                let by_rule = self.takes("REPEAT") || self.takes("LINEAR");
                if first != Series || !by_rule && self.operation(0)? != Number {
                    return Err("FILL takes a series, and a number, REPEAT or LINEAR".to_owned());
                }
                Series
            }
            _ => {
                let known = OF_ONE.into_iter().find(|(known, ..)| *known == name);
                let (_, takes, makes) = known.ok_or_else(|| format!("there is no function {name}"))?;
                if first != takes {
                    return Err(format!("{name} takes a {takes:?}, and is given a {first:?}"));
                }
                makes
            }
        };
        self.must(")").map(|()| kind)
    }
}

fn wider(a: Kind, b: Kind) -> Kind {
    if a == Series || b == Series { Series } else { Number }
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
