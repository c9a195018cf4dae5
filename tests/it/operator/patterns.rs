//! The part of CloudWatch's language of patterns that is spoken here: `"a phrase"`, or `?this ?"or that"`. Case counts, and a
//! backslash before a quote or a backslash within quotes stands for nothing of its own.

/// Whether a line fits.
pub(super) fn fits(pattern: &str, line: &str) -> bool {
    let (mut rest, mut any, mut all) = (pattern.trim_start(), None, true);
    while !rest.is_empty() {
        let optional = rest.strip_prefix('?');
        let (term, after) = term(optional.unwrap_or(rest));
        let found = line.contains(&term);
        match optional {
            Some(_) => any = Some(any.unwrap_or(false) || found),
            None => all &= found,
        }
        rest = after.trim_start();
    }
    any.unwrap_or(all)
}

/// The first term, and what follows it.
fn term(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        // Anything else has to be quoted, and the service refuses it.
        assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{word} is no term");
        return (word.to_owned(), rest);
    };
    let (mut term, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (term, &quoted[at + 1..]),
            '\\' => term.extend(letters.next().map(|(_, letter)| letter)),
            other => term.push(other),
        }
    }
    panic!("{text} has no end");
}

#[test]
fn patterns_are_read_as_the_service_reads_them() {
    for (pattern, line, fitting) in [
        ("\"a b\"", "x a b", true),
        ("\"a b\"", "x a  b", false),
        (r#""say \"hi\"""#, r#"say "hi""#, true),
        (r#""say \"hi\"""#, r#"{"message":"say \"hi\""}"#, false),
        ("?ERROR ?\"not so good\"", "not so good", true),
        ("?ERROR ?WARN", "error", false),
    ] {
        assert_eq!(fits(pattern, line), fitting, "{pattern} {line}");
    }
}
