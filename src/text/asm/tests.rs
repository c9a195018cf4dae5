//! One row per sentence of the contract on listings, as a client sees them.

use proptest::prelude::*;

use super::{filter, labels, lines, process};
use crate::domain::filters::Filters;

/// The filters with these names, and no others.
fn filters(names: &str) -> Filters {
    let mut filters = Filters::NONE;
    for name in names.split_whitespace() {
        assert!(filters.set(name, true), "{name}");
    }
    filters
}

/// Texts of the listing.
fn texts(text: &str, names: &str) -> Vec<String> {
    process(text, filters(names)).lines().map(|line| line.text.to_owned()).collect()
}

const SITE: &str = "labels directives commentOnly";

#[test]
fn what_is_shown() {
    for (sentence, names, text, expected) in [
        ("blank runs collapse whatever the filters", "", "\n\na\n\n \t\n\nb\n", &["a", "", "b"][..]),
        ("one trailing blank survives", SITE, " ret\n\n\n\n", &[" ret", ""]),
        ("an empty text has no lines", SITE, "", &[]),
        ("comments go", SITE, "# c\n ret # c\n@ c\n; c\n// c\n", &[" ret # c"]),
        ("a comment that starts a label stays", "commentOnly", "@f:\n# c\n", &["@f:"]),
        ("comments stay without the filter", "labels directives", "# c\n", &["# c"]),
        ("block comments go over the whole text", SITE, " ret\n/* a\n b */\n nop\n", &[" ret", "nop"]),
        ("directives go", SITE, " .align 4\n ret\n.size x, 1\n", &[" ret"]),
        ("directives stay without the filter", "labels commentOnly", " .align 4\n", &[" .align 4"]),
        ("unused labels go", SITE, "a:\n ret\n", &[" ret"]),
        ("a label with anything behind the colon counts as used", SITE, "a: \nb: # c\n", &["a: ", "b: # c"]),
        ("unused labels stay without the filter", "directives", "a:\n", &["a:"]),
        (
            "data under a used label stays",
            SITE,
            "a:\n .long 1\n .string \"x\"\n jmp a\n",
            &["a:", " .long 1", " .string \"x\"", " jmp a"],
        ),
        ("data under an unused label goes", SITE, "a:\n .long 1\n ret\n", &[" ret"]),
        ("a dropped label clears the previous one", SITE, "a:\n jmp a\nb:\n .long 1\n", &["a:", " jmp a"]),
        (
            "the end of a block clears the previous label",
            SITE,
            "a:\n jmp a\n .text\n .long 1\n",
            &["a:", " jmp a"],
        ),
        (
            "words of block ends count anywhere",
            SITE,
            "a:\n jmp a # .data\n .long 1\n",
            &["a:", " jmp a # .data"],
        ),
        (".inst stays", SITE, " .inst 1\n .inst.n 2\n", &[" .inst 1", " .inst.n 2"]),
        (".set a, b stays", SITE, " .set a, b\n .set c, .+4\n", &[" .set a, b", " .set c, .+4"]),
        (
            ".set X, . goes if X is unused",
            SITE,
            " .set a, .\n .set b, .\n jmp b\n",
            &[" .set b, .", " jmp b"],
        ),
        (
            "assignments are labels with a value",
            SITE,
            "a = 1\n.b = .\n c=.\n jmp c\n",
            &["a = 1", " c=.", " jmp c"],
        ),
        (
            "inside custom asm labels lose their indentation",
            SITE,
            "#APP\n  a:\n#NO_APP\n jmp a\n",
            &["a:", " jmp a"],
        ),
        (
            "CUDA parameters stay",
            SITE,
            ".entry f(\n .param .u64 a\n)\n{\n .reg .b32 r\n ret;\n}\n",
            &[".entry f(", " .param .u64 a", ")", "{", " ret;", "}"],
        ),
        ("CUDA comments", SITE, ".entry f(\n)\n; c\n@p bra x;\n", &[".entry f(", ")", "@p bra x;"]),
        ("tabs are expanded", SITE, "\tmov\ta, b\n", &["        mov     a, b"]),
        ("trim squeezes behind the tabs", "trim", "\tmov\ta,  b\n", &["  mov a, b"]),
        ("CRLF", SITE, " ret\r\n\r\n nop\r\n", &[" ret", "", " nop"]),
        ("MIPS labels", SITE, "$L1:\n b $L1\n", &["$L1:", " b $L1"]),
        ("a label starting with a dot is dropped with directives shown too", "labels", ".a:\nb:\n", &["b:"]),
    ] {
        assert_eq!(texts(text, names), expected, "{sentence}");
    }
}

#[test]
fn label_definitions() {
    for (sentence, names, text, expected) in [
        ("1-based numbers of shown lines", SITE, "# c\na:\n jmp a\nb:\n jmp b\n", &[("a", 1), ("b", 3)][..]),
        ("an unused label that is shown has none", "directives", "a:\n ret\n", &[]),
        ("the last definition counts", SITE, "1: jmp a\n1: jmp b\n", &[("1", 2)]),
        (".set and assignments", SITE, "x = 1\n .set y, x\n", &[("x", 1), ("y", 2)]),
        ("a PTX opening is known by its word", SITE, ".visible .entry f(\n", &[("entry", 1)]),
        ("numbers come first", SITE, "a: x\n2: x\n1: x\n", &[("1", 3), ("2", 2), ("a", 1)]),
    ] {
        let listing = process(text, filters(names));
        let definitions: Vec<_> =
            listing.label_definitions.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(definitions, expected, "{sentence}");
    }
}

#[test]
fn label_uses() {
    for (sentence, text, expected) in [
        ("only labels that are defined", "a:\n\tjmp\ta, b\n", &["a 17 18"][..]),
        ("forward too", "\tjmp\ta\na:\n", &["a 17 18"]),
        ("label lines have none", "a: jmp a\n", &[]),
        ("a .set is a label line", "a:\n jmp a\n .set b, a\n", &["a 6 7"]),
        ("what every JavaScript object has is defined", " call constructor\n", &["constructor 7 18"]),
        ("with a suffix the target counts", "f:\n call f@PLT\n", &["f@PLT 7 12"]),
        ("labels that start with @ are found", "@f: x\n call @f\n", &["@f 7 9"]),
        ("what follows the letters of a mnemonic", "sd: # c\n\tcvtsi2sd xmm0, eax\n", &["sd 15 17"]),
        ("digits do not belong to it", "b: # c\n\tcrc32b w0, w0\n", &["b 14 15"]),
        ("one letter behind them is enough", "r: # c\n\tld1r {v0.4s}, [x0]\n", &["r 12 13"]),
        ("nor do dots", ".L1: # c\n\tb.L1 x\n", &[".L1 10 13"]),
        ("nor do underscores", "_x: # c\n\tb_x y\n", &["_x 10 12"]),
        ("quoted labels", "\"a b\":\n\"a.b\":\n call \"a.b\"\n", &["\"a.b\" 7 12"]),
    ] {
        let listing = process(text, filters(SITE));
        let uses: Vec<_> = listing
            .lines()
            .flat_map(|line| line.labels)
            .map(|one| format!("{} {} {}", one.name, one.start, one.end))
            .collect();
        assert_eq!(uses, expected, "{sentence}");
    }
}

const FILES: &str = "\t.file 1 \"/app/example.cpp\"\n\t.file 2 \"/usr/include/x.h\"\n";

/// Each shown line with the source it has.
fn sources(text: &str, names: &str) -> Vec<String> {
    let listing = process(&format!("{FILES}{text}"), filters(names));
    let shown = listing.lines().map(|line| match line.source {
        Some(source) => format!("{} {}:{}", line.text, source.file.as_deref().unwrap_or("main"), source.line),
        None => line.text.to_owned(),
    });
    shown.collect()
}

#[test]
fn sources_of_lines() {
    for (sentence, text, expected) in [
        (
            "lines with an opcode have the current source",
            ".loc 1 7 0\n nop\n.loc 2 8 0\n ret\n",
            &[" nop main:7", " ret x.h:8"][..],
        ),
        ("others have none", ".loc 1 7 0\na:\n .long 1\n jmp a\n", &["a:", " .long 1", " jmp a main:7"]),
        ("labels with an opcode behind have it", ".loc 1 7 0\n1: nop\n", &["1: nop main:7"]),
        ("the end of a block clears it", ".loc 1 7 0\n.cfi_endproc\n nop\n", &[" nop"]),
        (
            "stabs clear it, and the label",
            ".loc 1 7 0\na:\n jmp a\n.stabn 100,0,1,x\n nop\n .long 1\n",
            &["a:", " jmp a main:7", " nop"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|line| line.replace("x.h", "/usr/include/x.h")).collect();
        assert_eq!(sources(text, SITE), expected, "{sentence}");
    }
    assert_eq!(process(FILES, filters(SITE)).filtered_count, 2);
}

#[test]
fn library_code() {
    let names = "labels directives commentOnly libraryCode";
    for (sentence, text, expected) in [
        (
            "library functions go, labels included",
            "f:\n.loc 2 1 0\n nop\n ret\n.text\nmain:\n.loc 1 2 0\n ret\n call f\n call main\n",
            &["main:", " ret", " call f", " call main"][..],
        ),
        (
            "inlined code in user functions stays",
            "main:\n.loc 2 1 0\n nop\n.loc 1 1 0\n call main\n.text\n",
            &["main:", " nop", " call main"],
        ),
        ("code without source stays", "f:\n nop\n call f\n", &["f:", " nop", " call f"]),
        ("inline code below other lines is kept", " nop\n.loc 2 1 0\n ret\n", &[" nop", " ret"]),
    ] {
        let shown: Vec<_> = process(&format!("{FILES}{text}"), filters(names))
            .lines()
            .map(|line| line.text.to_owned())
            .collect();
        assert_eq!(shown, expected, "{sentence}");
    }
}

#[test]
fn hostile_inputs_take_linear_time() {
    let each = |write: fn(usize) -> String| (0..25_000).map(write).collect::<Vec<_>>().concat();
    let chain = each(|label| format!("l{label}:\n .long l{}\n", label + 1));
    let inputs = [
        chain + " jmp l0\n",
        "a".repeat(512 << 10),
        "\t".repeat(512 << 10),
        "\"".repeat(512 << 10),
        ".func (".repeat(64 << 10) + "(",
        "/*\n".repeat(128 << 10),
        "x: .func (a) (\n".repeat(32 << 10),
        "1:\n .long 1\n".repeat(32 << 10),
        each(|file| format!(".file {file} \"f\"\n.loc {file} 1 1\n nop\n")),
        "l:\n".repeat(32 << 10) + " jmp l\n",
        "\"\\\"".repeat(128 << 10),
        // Library code begins again and again behind one long line.
        format!(".file 2 \"x.h\"\n{}\n", "a".repeat(256 << 10)) + &".text\n.loc 2 1 0\n".repeat(16 << 10),
    ];
    let mut all = filters("labels directives commentOnly libraryCode trim");
    for (input, library_code) in inputs.iter().flat_map(|input| [(input, true), (input, false)]) {
        let start = tokio::time::Instant::now();
        all.library_code = library_code;
        let listing = process(input, all);
        assert!(listing.len() <= input.len());
        // Half a megabyte takes milliseconds; quadratic time would take minutes.
        assert!(start.elapsed().as_secs() < 30, "{} took too long", &input[..20]);
    }
}

#[test]
fn the_names_of_files_do_not_swell_a_listing() {
    for length in [1 << 20, 4000] {
        let text = format!(".file 2 \"{}\"\n", "x".repeat(length))
            + &".loc 2 1 0\n nop\n.loc 2 2 0\n nop\n".repeat(10_000);
        let listing = process(&text, filters(SITE));
        let names = listing.lines().filter_map(|line| line.source?.file.as_deref());
        assert!(names.map(str::len).sum::<usize>() <= 64 << 20);
        assert!(listing.lines().next().unwrap().source.unwrap().file.is_some(), "the first is told");
        assert_eq!(listing.len(), 20_000);
    }
}

fn line() -> impl Strategy<Value = String> {
    let indent = prop_oneof![Just(""), Just("\t"), Just("  "), Just("\u{a0}")];
    let body = prop_oneof![
        Just("a:"),
        Just(".L1:"),
        Just("a = ."),
        Just(".set a, ."),
        Just("jmp a"),
        Just("call a@PLT"),
        Just(".long a"),
        Just(".text"),
        Just(".cfi_startproc"),
        Just("#APP"),
        Just("#NO_APP"),
        Just(".loc 1 2 3"),
        Just(".file 1 \"x\""),
        Just("/* c"),
        Just("*/"),
        Just("# c"),
        Just(".entry f("),
        Just(")"),
        Just("\"q"),
        Just("\u{e9}\u{1f600}\tx a"),
        Just("\u{e9}proc a:"),
        Just("a\u{1f600}:"),
        Just("jmp \u{1b}[0ma\0"),
        Just(".file 1 \"\u{1f600}\" \"\u{e9}\""),
        Just("@\u{e9}"),
        Just(""),
    ];
    (indent, body, prop_oneof![Just("\n"), Just("\r\n"), Just(" ")])
        .prop_map(|(indent, body, end)| format!("{indent}{body}{end}"))
}

proptest! {
    #[test]
    fn line_counts_add_up_and_columns_are_in_the_text(lines in prop::collection::vec(line(), 0..30), bits: [bool; 6]) {
        let text: String = lines.concat();
        let mut filters = Filters::NONE;
        for (name, on) in ["labels", "directives", "commentOnly", "libraryCode", "trim", "dontMaskFilenames"].into_iter().zip(bits) {
            filters.set(name, on);
        }
        let listing = process(&text, filters);
        if !filters.comment_only {
            let shown = i64::try_from(listing.len()).unwrap();
            let read = i64::try_from(text.replace("\r\n", "\n").lines().count()).unwrap();
            prop_assert_eq!(listing.filtered_count, read - shown);
        }
        for line in listing.lines() {
            let units: Vec<u16> = line.text.encode_utf16().collect();
            for label in line.labels {
                let range = label.start as usize - 1..label.end as usize - 1;
                prop_assert_eq!(String::from_utf16(&units[range]).unwrap(), label.name.clone());
            }
        }
        for (_, line) in &listing.label_definitions {
            prop_assert!(*line >= 1 && *line as usize <= listing.len());
        }
    }

    #[test]
    fn without_filters_a_listing_is_its_own_listing(lines in prop::collection::vec(line(), 0..30)) {
        let once = texts(&lines.concat(), "");
        let joined: String = once.iter().map(|line| line.clone() + "\n").collect();
        prop_assert_eq!(texts(&joined, ""), once);
    }

    #[test]
    fn no_line_that_is_known_to_name_no_label_names_one(
        lines in prop::collection::vec("[ab$@.\"1 ,=]{0,3}[:=]?|\tcall[ab$@.\"1 ,#]{0,6}|[\t ][ab$@.\"1 ,#]{0,6}|#(NO_)?APP", 0..12),
    ) {
        let text = lines.join("\n");
        let [mut lines, mut unread] = [lines::read(&text), lines::read(&text)];
        let used = labels::used(&mut lines, false);
        labels::used(&mut unread, false);
        unread.all.iter_mut().for_each(|line| line.names_none = false);
        prop_assert_eq!(filter::build(lines, &used, Filters::NONE), filter::build(unread, &used, Filters::NONE));
    }

    #[test]
    fn never_panics(text in any::<String>(), bits: [bool; 4]) {
        let mut filters = Filters::NONE;
        for (name, on) in ["labels", "directives", "commentOnly", "trim"].into_iter().zip(bits) {
            filters.set(name, on);
        }
        process(&text, filters);
    }
}
