//! The operators' two-letter codes. Knows nothing of their operands but how many there are.

/// How an operator is used in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Unary,
    Binary,
    /// `new` and `new[]`, with placement and initializer.
    New,
    /// Named casts.
    Cast,
    /// A word and a type or expression in parentheses.
    Wrapped,
    /// Only a name.
    Name,
}

/// One operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    /// As it is written behind `operator`.
    pub(super) text: &'static str,
    /// How it is used.
    pub(super) how: Use,
}

/// The operator with this code.
pub(super) fn operator(code: &str) -> Option<Operator> {
    use Use::{Binary, Cast, Name, New, Unary, Wrapped};
    let (text, how) = match code {
        "aN" => ("&=", Binary),
        "aS" => ("=", Binary),
        "aa" => ("&&", Binary),
        "ad" => ("&", Unary),
        "an" => ("&", Binary),
        "aw" => ("co_await ", Unary),
        "cc" => ("const_cast", Cast),
        "cl" => ("()", Name),
        "cm" => (",", Binary),
        "co" => ("~", Unary),
        "dV" => ("/=", Binary),
        "da" => ("delete[] ", Unary),
        "dc" => ("dynamic_cast", Cast),
        "de" => ("*", Unary),
        "dl" => ("delete ", Unary),
        "ds" => (".*", Binary),
        "dt" => (".", Binary),
        "dv" => ("/", Binary),
        "eO" => ("^=", Binary),
        "eo" => ("^", Binary),
        "eq" => ("==", Binary),
        "ge" => (">=", Binary),
        "gt" => (">", Binary),
        "ix" => ("[]", Name),
        "lS" => ("<<=", Binary),
        "le" => ("<=", Binary),
        "ls" => ("<<", Binary),
        "lt" => ("<", Binary),
        "mI" => ("-=", Binary),
        "mL" => ("*=", Binary),
        "mi" => ("-", Binary),
        "ml" => ("*", Binary),
        "mm" => ("--", Unary),
        "na" => ("new[]", New),
        "ne" => ("!=", Binary),
        "ng" => ("-", Unary),
        "nt" => ("!", Unary),
        "nw" => ("new", New),
        "nx" => ("noexcept", Wrapped),
        "oR" => ("|=", Binary),
        "oo" => ("||", Binary),
        "or" => ("|", Binary),
        "pL" => ("+=", Binary),
        "pl" => ("+", Binary),
        "pm" => ("->*", Binary),
        "pp" => ("++", Unary),
        "ps" => ("+", Unary),
        "pt" => ("->", Binary),
        "qu" => ("?", Name),
        "rM" => ("%=", Binary),
        "rS" => (">>=", Binary),
        "rc" => ("reinterpret_cast", Cast),
        "rm" => ("%", Binary),
        "rs" => (">>", Binary),
        "sc" => ("static_cast", Cast),
        "ss" => ("<=>", Binary),
        "st" => ("sizeof ", Wrapped),
        "sz" => ("sizeof ", Unary),
        "at" => ("alignof ", Wrapped),
        "az" => ("alignof ", Unary),
        "te" | "ti" => ("typeid ", Wrapped),
        "tw" => ("throw ", Unary),
        _ => return None,
    };
    Some(Operator { text, how })
}
