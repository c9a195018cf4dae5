//! Which user arguments an operator allows (`optionsAllowedRe`, `optionsForbiddenRe`).

use regex::Regex;

use crate::compilers::problems::Problems;
use crate::compilers::properties::{Properties, quote};

const ALLOWED: &str = "optionsAllowedRe";
const FORBIDDEN: &str = "optionsForbiddenRe";
/// How a file that follows Compiler Explorer writes "forbid nothing": it needs a lookahead, which we do not have.
const NOTHING: &str = "(?!)";

/// The operator's two expressions, each searched for anywhere in an argument.
#[derive(Debug, Default)]
pub struct OptionRules {
    allowed: Option<Regex>,
    forbidden: Option<Regex>,
    /// An expression could not be read. What it would have refused is unknown, so everything is refused.
    closed: bool,
}

impl OptionRules {
    /// Reads the rules from the first of `bases` that has them.
    pub fn read(bases: &[&Properties], problems: &mut Problems) -> Self {
        let mut rules = Self::default();
        let mut expression = |key: &str| {
            let property = bases.iter().find_map(|base| base.find(key))?;
            if property.text.is_empty() || (key == FORBIDDEN && property.text == NOTHING) {
                return None;
            }
            let expression = Regex::new(&property.text).ok();
            if expression.is_none() {
                rules.closed = true;
                let message = format!(
                    "{key} {} is not an expression we can search for, so every user argument is refused; rewrite \
                     it without lookaround and backreferences",
                    quote(&property.text)
                );
                problems.note(&property.origin, message);
            }
            expression
        };
        let (allowed, forbidden) = (expression(ALLOWED), expression(FORBIDDEN));
        Self { allowed, forbidden, ..rules }
    }

    /// Those of `arguments` that are refused.
    pub fn refused<'a>(&self, arguments: &'a [String]) -> Vec<&'a str> {
        arguments.iter().map(String::as_str).filter(|argument| self.refuses(argument)).collect()
    }

    fn refuses(&self, argument: &str) -> bool {
        self.closed
            || self.allowed.as_ref().is_some_and(|allowed| !allowed.is_match(argument))
            || self.forbidden.as_ref().is_some_and(|forbidden| forbidden.is_match(argument))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    fn refused(contents: &[&str], arguments: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut problems = Problems::default();
        let bases = contents.iter().map(|contents| {
            let mut base = Properties::default();
            base.lay(&Arc::from(Path::new("f")), contents.as_bytes(), &mut problems);
            base
        });
        let bases: Vec<Properties> = bases.collect();
        let rules = OptionRules::read(&bases.iter().collect::<Vec<_>>(), &mut problems);
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let refused = rules.refused(&arguments).into_iter().map(str::to_owned).collect();
        (refused, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn anything_goes_by_default() {
        for contents in ["", "optionsAllowedRe=\noptionsForbiddenRe=", "optionsForbiddenRe=(?!)"] {
            assert_eq!(refused(&[contents], &["-wrapper", "@f", ""]), (vec![], vec![]), "{contents}");
        }
    }

    #[test]
    fn an_argument_must_match_the_allowed_and_not_the_forbidden_searched_unanchored() {
        let rules = "optionsAllowedRe=^-|x\noptionsForbiddenRe=^(-Wl,)?(-fplugin|@.*)";
        let arguments = ["-O2", "file", "axb", "-fplugin=a", "-Wl,@f", "@f", "-x@f"];
        assert_eq!(refused(&[rules], &arguments).0, ["file", "-fplugin=a", "-Wl,@f", "@f"]);
    }

    #[test]
    fn the_language_overrides_everybody() {
        let bases = ["optionsForbiddenRe=-a", "optionsForbiddenRe=-b\noptionsAllowedRe=-."];
        assert_eq!(refused(&bases, &["-a", "-b", "c"]).0, ["-a", "c"]);
    }

    #[test]
    fn an_unreadable_rule_refuses_everything() {
        for key in ["optionsAllowedRe", "optionsForbiddenRe"] {
            let (refused, problems) = refused(&[&format!("\n{key}=(?<!a)b")], &["-O2"]);
            assert_eq!(refused, ["-O2"]);
            assert!(problems[0].starts_with(&format!("f:2: {key} `(?<!a)b` is not an expression")));
        }
    }
}
