//! What `timbr_identity::yaml` promises, with kubectl as the judge of both directions: a text means
//! what kubectl reads in it, and what is written gives every reader the same strings.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use timbr_identity::yaml::{read, write, write_stream};

/// The pinned kubectl.
fn kubectl() -> &'static Path {
    static KUBECTL: LazyLock<PathBuf> = LazyLock::new(|| testkit::assets::path("kubectl"));
    &KUBECTL
}

/// The objects that kubectl reads in a text, or its complaint. A local patch that changes nothing
/// takes objects of any kind and needs no cluster.
fn kubectl_reads(text: &str) -> Result<Vec<Value>, String> {
    let mut child = Command::new(kubectl())
        .args(["patch", "--local", "-f", "-", "--type=merge", "-p", "{}", "-o", "json"])
        .env("KUBECONFIG", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    let mut stdin = child.stdin.take().expect("kubectl has an input");
    let output = thread::scope(|scope| {
        // kubectl may have given up before it has read everything.
        scope.spawn(move || stdin.write_all(text.as_bytes()).ok());
        child.wait_with_output().expect("kubectl ends")
    });
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<Value>()
        .map(|object| Ok(with_kubernetes_numbers(object.expect("kubectl prints JSON"))))
        .collect()
}

/// An integer that is too large for Kubernetes is a float to it, but kubectl prints both alike.
fn with_kubernetes_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_i64().is_none() => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(with_kubernetes_numbers).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, with_kubernetes_numbers(value))).collect()
        }
        other => other,
    }
}

/// The values of a stream's documents.
fn values(text: &str) -> Vec<Value> {
    let documents = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().map(|document| document.value).collect()
}

/// The value of a text that is one document.
fn value(text: &str) -> Value {
    let [value] = <[Value; 1]>::try_from(values(text)).expect("one document");
    value
}

/// The sentence with which a text is refused.
fn refusal(text: &str) -> String {
    match read(text) {
        Ok(documents) => panic!("{text:?} was read: {documents:?}"),
        Err(error) => error.to_string(),
    }
}

/// Makes an object of a few lines, so that kubectl takes them.
fn object(lines: &str) -> String {
    format!("apiVersion: example.com/v1\nkind: Example\nmetadata: {{name: example}}\n{lines}\n")
}

/// The words of a table.
fn words(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.split_ascii_whitespace()
}

// Reading.

/// Plain scalars and tags, and what kubectl makes of them.
fn scalars() -> Vec<(&'static str, Value)> {
    let mut table = Vec::new();
    for text in ["", "~", "null", "Null", "NULL", "!!null ''", "# nothing"] {
        table.push((text, Value::Null));
    }
    for text in words("y Y yes Yes YES true True TRUE on On ON").chain(["!!bool 'yes'"]) {
        table.push((text, json!(true)));
    }
    for text in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
        table.push((text, json!(false)));
    }
    for (text, integer) in [
        ("0", 0),
        ("-0", 0),
        ("+1", 1),
        ("-1", -1),
        ("42", 42),
        ("0777", 0o777),
        ("-0777", -0o777),
        ("0o17", 0o17),
        ("0O17", 0o17),
        ("0x1F", 0x1F),
        ("0X1f", 0x1F),
        ("-0x1F", -0x1F),
        ("0x_1F", 0x1F),
        ("0b1", 1),
        ("0B1", 1),
        ("-0b11", -3),
        ("0b-1", -1),
        ("0b+1", 1),
        ("1_000", 1000),
        ("1__0", 10),
        ("1_", 1),
        ("-_1", -1),
        ("0_7", 7),
        ("08", 8),
        ("1.0", 1),
        ("1.", 1),
        ("-0.0", 0),
        ("1e3", 1000),
        ("12e03", 12000),
        ("1E+2", 100),
        ("1_0e1_0", 100_000_000_000),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("0x7FFFFFFFFFFFFFFF", i64::MAX),
        ("1234567890123456768.0", 1_234_567_890_123_456_800),
        ("!!int '5'", 5),
        ("!!float 5", 5),
    ] {
        table.push((text, json!(integer)));
    }
    for (text, float) in [
        (".5", 0.5),
        ("-.5", -0.5),
        ("+.5", 0.5),
        (".5_0", 0.5),
        ("1.5", 1.5),
        ("1_0.5", 10.5),
        ("1e-3", 0.001),
        ("09.5", 9.5),
        ("1e20", 1e20),
        ("1e21", 1e21),
        ("1e300", 1e300),
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ("18446744073709551615", 18_446_744_073_709_551_615.0),
        ("0xFFFFFFFFFFFFFFFF", 18_446_744_073_709_551_615.0),
        ("99999999999999999999", 1e20),
        ("0777777777777777777777777", 777_777_777_777_777_777_777_777.0),
        ("!!float '1.5'", 1.5),
    ] {
        table.push((text, json!(float)));
    }
    for text in words(
        "yEs oN tRUE nULL none nil truely -a + . .. +-1 --1 1- 1+1 1.2.3 10.0.0.1 1e 1e+ \
        e1 1e999 _1 ._1 .5_ .1__2 0x 0b 0o 0b2 0xg 0x-1 -0b-1 08a 0xFFFFFFFFFFFFFFFFFF \
        190:20:30 12:30:45 1:0 2020-01-01 2001-12-14t21:59:43.10-05:00 = inf nan \
        Infinity +inf .infinity 100m 1Gi v1 http://a.b/c?d#e a:b x]",
    )
    .chain(["2001-12-14 21:59:43.10", "a b"])
    {
        table.push((text, json!(text)));
    }
    for (text, string) in [
        ("'5'", "5"),
        ("\"no\"", "no"),
        ("'~'", "~"),
        ("''", ""),
        ("'it''s'", "it's"),
        (r#""a\tb\n\x41\u00e9\U0001F600\e\0\N\L\P\_""#, "a\tb\nAé😀\u{1b}\0\u{85}\u{2028}\u{2029}\u{a0}"),
        ("!!str 5", "5"),
        ("!!str", ""),
        ("!!str no", "no"),
        ("! 5", "5"),
        ("! no", "no"),
        ("!app 5", "5"),
        ("!app", ""),
        ("!!timestamp 2020-01-01", "2020-01-01"),
        ("\"a\n\n   b\"", "a\nb"),
        ("a\n   b", "a b"),
        ("|\n   a\n    b\n", "a\n b\n"),
        ("|-\n   a\n", "a"),
        ("|+\n   a\n", "a\n\n"),
        ("|2\n   a\n", " a\n"),
        (">\n   a\n   b\n\n   c\n", "a b\nc\n"),
        ("|\n   no\n", "no\n"),
        ("|\n   a # b\n", "a # b\n"),
        ("|\n   a\n   \tb\n", "a\n\tb\n"),
    ] {
        table.push((text, json!(string)));
    }
    table
}

/// Keys, and what kubectl makes of them.
const KEYS: &[(&str, &str)] = &[
    ("a", "a"),
    ("'a b'", "a b"),
    ("y", "true"),
    ("off", "false"),
    ("'on'", "on"),
    ("1", "1"),
    ("0777", "511"),
    ("'0777'", "0777"),
    ("1.10", "1.1"),
    ("1e6", "1e+06"),
    ("123456.5", "123456.5"),
    ("1e-5", "1e-05"),
    ("0.0001", "0.0001"),
    ("3.14159265358979", "3.1415927"),
    ("-2.5e-7", "-2.5e-07"),
    (".inf", ".inf"),
    ("-.inf", "-.inf"),
    (".nan", ".nan"),
    ("1e300", ".inf"),
    ("2020-01-01", "2020-01-01"),
    ("=", "="),
    ("'<<'", "<<"),
    ("!!str 2", "2"),
    ("!app 3", "3"),
    ("? explicit", "explicit"),
];

/// Lines of an object that mean the same here and to kubectl, each with what they mean.
fn lines() -> Vec<(&'static str, Value)> {
    vec![
        ("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}})),
        ("a: &x 1\nb: &x 2\nc: *x", json!({"a": 1, "b": 2, "c": 2})),
        ("a: &x b\n*x : c", json!({"a": "b", "b": "c"})),
        ("&x a: *x", json!({"a": "a"})),
        // What is written below `<<` wins; what is written above it loses.
        ("<<: {a: 1, b: 1}\na: 2", json!({"a": 2, "b": 1})),
        ("a: 2\n<<: {a: 1, b: 1}", json!({"a": 1, "b": 1})),
        ("<<: [{a: 1}, {a: 2, b: 2}]", json!({"a": 1, "b": 2})),
        ("<<: {a: 1}\n<<: {a: 2}", json!({"a": 2})),
        ("x: &x {a: 1}\nd: {<<: *x, b: 2}", json!({"x": {"a": 1}, "d": {"a": 1, "b": 2}})),
        (
            "x: &x {a: 1}\nz: &z {<<: *x, b: 2}\nd: {<<: [*z, {c: 3}]}",
            json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}, "d": {"a": 1, "b": 2, "c": 3}}),
        ),
        ("'<<': {a: 1}", json!({"<<": {"a": 1}})),
        ("!!merge <<: {a: 1}", json!({"a": 1})),
        ("a: <<", json!({"a": "<<"})),
        ("a: [1, [], {}, no]", json!({"a": [1, [], {}, false]})),
        ("a:\n- b\n- - c\n  - d\n- e: f\n  g: h", json!({"a": ["b", ["c", "d"], {"e": "f", "g": "h"}]})),
        ("a: !!set {b, c}", json!({"a": {"b": null, "c": null}})),
        ("a: !app {b: c}", json!({"a": {"b": "c"}})),
        ("a: \"b\nc\"", json!({"a": "b c"})),
        ("a: [b: c]", json!({"a": [{"b": "c"}]})),
        ("a: {\"b\":1,'c':2}", json!({"a": {"b": 1, "c": 2}})),
        ("a: 1\r\nb: |\r\n  c\r\n  d\r", json!({"a": 1, "b": "c\nd\n"})),
        ("a: 1\n...", json!({"a": 1})),
        ("a: 1\n...\n# the end", json!({"a": 1})),
        ("a: b# c # d", json!({"a": "b# c"})),
        ("a: 'b'\t# c", json!({"a": "b"})),
        ("a: |\n  x", json!({"a": "x\n"})),
        ("a: |2-\n    x\n   y\n", json!({"a": "  x\n y"})),
    ]
}

/// Lines that make no object, here and to kubectl, each with the sentence that says why.
const REFUSED: &[(&str, &str)] = &[
    ("a: .inf", "line 4: `.inf` is a number that JSON, and so Kubernetes, doesn't have"),
    ("a: .nan", "line 4: `.nan` is a number that JSON, and so Kubernetes, doesn't have"),
    ("a: !!int x", "line 4: the value is not of the type that its tag !!int says"),
    ("a: !!bool 1", "line 4: the value is not of the type that its tag !!bool says"),
    ("a: !!null x", "line 4: the value is not of the type that its tag !!null says"),
    ("a: !!float x", "line 4: the value is not of the type that its tag !!float says"),
    ("a: !b!c d", "line 4: the handle wasn't declared"),
    ("~: a", "line 4: null cannot be a key"),
    ("18446744073709551615: a", "line 4: an integer of this size cannot be a key"),
    ("? [a]\n: b", "line 4: a list or a mapping cannot be a key"),
    ("<<: a", "line 4: `<<` takes a mapping or a list of mappings"),
    ("<<:", "line 4: `<<` takes a mapping or a list of mappings"),
    ("<<: [a]", "line 4: `<<` takes a mapping or a list of mappings"),
    ("x: &x [{a: 1}]\n<<: *x", "line 5: `<<` takes a mapping or a list of mappings"),
    ("a: *x", "line 4: while parsing node, found unknown anchor"),
    ("a: &x [*x]", "line 4: the alias stands inside of the node that it repeats"),
    ("a: b: c", "line 4: mapping values are not allowed in this context"),
    ("a: [", "line 4: "),
    ("a: 'b", "line 4: "),
    ("a: @b", "line 4: unexpected character: `@'"),
    ("a: `b", "line 4: unexpected character: ``'"),
    ("a: %b", "line 4: "),
    ("a: - b", "line 4: block sequence entries are not allowed in this context"),
    ("a: b\n c: d", "line 5: "),
    ("a:\n  b: c\n d: e", "line 6: "),
    ("a:\n\tb: c", "line 5: "),
    ("a: \"\\q\"", "line 4: while parsing a quoted scalar, found unknown escape character"),
    ("a: \u{1}", "line 4: U+0001 cannot stand in YAML as it is; write it as an escape in double quotes"),
    ("a:\n- b\u{7f}", "line 5: U+007F cannot stand in YAML as it is; write it as an escape in double quotes"),
    ("--- a", "line 4: only a comment may follow `---` on its line"),
    ("---a: b", "line 4: only a comment may follow `---` on its line"),
];

/// Lines of which kubectl makes an object that is hardly the one that was meant.
const REFUSED_BUT_BY_KUBECTL: &[(&str, &str)] = &[
    ("a: 1\na: 2", "line 5: the key `a` is written twice"),
    ("a: {b: 1, 'b': 2}", "line 4: the key `b` is written twice"),
    ("yes: 1\n'true': 2", "line 5: the key `true` is written twice"),
    ("a: 1\n...\nb: 2", "line 6: the document has ended; the next one starts with a `---` line"),
    ("a: !!binary aGk=", "line 4: !!binary is not supported; Kubernetes takes base64 as plain text"),
    ("# a\u{2028}b: c", "line 4: U+2028 cannot stand in YAML as it is; write it as an escape in double quotes"),
    ("a: b\u{FEFF}", "line 4: U+FEFF cannot stand in YAML as it is; write it as an escape in double quotes"),
];

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let scalars = scalars();
    let mut text = object("scalars:");
    for (scalar, _) in &scalars {
        text += &format!("- {scalar}\n");
    }
    let meanings: Vec<_> = scalars.iter().map(|(_, meaning)| meaning.clone()).collect();
    let ours = value(&text);
    let theirs = &kubectl_reads(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))[0];
    for (index, (scalar, meaning)) in scalars.iter().enumerate() {
        assert_eq!(&ours["scalars"][index], meaning, "{scalar}");
        assert_eq!(&theirs["scalars"][index], meaning, "kubectl, {scalar}");
    }
    assert_eq!(ours["scalars"], json!(meanings));
}

#[test]
fn keys_mean_what_they_mean_to_kubectl() {
    let mut text = object("keys:");
    for (key, _) in KEYS {
        let separator = if key.starts_with('?') { "\n  : " } else { ": " };
        text += &format!("- {key}{separator}x\n");
    }
    let meanings: Vec<_> = KEYS.iter().map(|(_, key)| json!({*key: "x"})).collect();
    assert_eq!(value(&text)["keys"], json!(meanings));
    assert_eq!(kubectl_reads(&text).expect("read")[0]["keys"], json!(meanings));
}

#[test]
fn documents_mean_what_they_mean_to_kubectl() {
    for (lines, meaning) in lines() {
        let mut whole = value(&object(""));
        let entries = meaning.as_object().expect("lines of an object").clone();
        whole.as_object_mut().expect("an object").extend(entries);
        let text = object(lines);
        assert_eq!(value(&text), whole, "{text}");
        assert_eq!(kubectl_reads(&text), Ok(vec![whole]), "{text}");
    }
}

#[test]
fn what_kubectl_refuses_is_refused_with_the_line() {
    for (lines, sentence) in REFUSED {
        let text = object(lines);
        let refusal = refusal(&text);
        assert!(refusal.starts_with(sentence), "{lines:?}: {refusal}");
        assert!(kubectl_reads(&text).is_err(), "{lines:?}");
    }
}

#[test]
fn what_kubectl_should_refuse_is_refused_with_the_line() {
    for (lines, sentence) in REFUSED_BUT_BY_KUBECTL {
        let text = object(lines);
        assert_eq!(refusal(&text), *sentence, "{lines:?}");
        assert!(kubectl_reads(&text).is_ok(), "{lines:?}");
    }
    let kept = &kubectl_reads(&object("a: 1\na: 2")).expect("read")[0];
    assert_eq!(kept["a"], 2);
    let dropped = &kubectl_reads(&object("a: 1\n...\nb: 2")).expect("read")[0];
    assert_eq!(dropped.get("b"), None);
}

#[test]
fn documents_have_the_numbers_and_lines_of_the_stream() {
    for (text, expected) in [
        ("", vec![]),
        ("\n# nothing\n", vec![]),
        ("---\n", vec![]),
        ("---\n---\nnull\n---\n~", vec![]),
        ("a: 1", vec![(1, 1)]),
        ("# about\n\na: 1\n", vec![(1, 3)]),
        ("---\na: 1\n", vec![(1, 2)]),
        ("--- # about\n\n# more\na: 1\n---\nb: 1\n", vec![(1, 4), (2, 6)]),
        ("# about\n---\na: 1\n---\nb: 1\n", vec![(1, 3), (2, 5)]),
        ("a: 1\n---\n# nothing\n---\nb: 1\n---\n", vec![(1, 1), (3, 5)]),
        ("---\n---\na: 1", vec![(2, 3)]),
        ("a: 1\r\n---\r\nb: 1\r\n", vec![(1, 1), (2, 3)]),
        ("\u{FEFF}a: 1\n---\n\u{FEFF}b: 1\n", vec![(1, 1), (2, 3)]),
        ("a: |\n  ---\n  b\n---\nc: 1", vec![(1, 1), (2, 5)]),
        ("- a\n...\n---\n- b\n", vec![(1, 1), (2, 4)]),
        ("{a: 1}\n---\n{b: 1}\n", vec![(1, 1), (2, 3)]),
        ("{\"a\": 1}\n---\n{\"b\": 1}\n", vec![(1, 1), (2, 3)]),
        ("{\"a\": 1}{\"b\": 1}\n\n  {\"c\":\n1}", vec![(1, 1), (2, 1), (3, 3)]),
    ] {
        let documents = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let places: Vec<_> = documents.iter().map(|d| (d.number, d.line)).collect();
        assert_eq!(places, expected, "{text:?}");
    }
}

#[test]
fn kubectl_finds_the_same_documents_in_a_stream() {
    let (a, b) = (object("a: 1"), object("b: 1"));
    for stream in [
        format!("{a}---\n{b}"),
        format!("---\n# about\n{a}\n--- # and\n---\n# nothing\n---\n{b}---\n"),
        format!("# about\n---\n{a}---\nnull\n---   \n{b}"),
        format!("\u{FEFF}{a}---\n{b}").replace('\n', "\r\n"),
        format!("{}\n{}", value(&a), value(&b)),
        format!("{:#}\n---\n{b}", value(&a)),
    ] {
        assert_eq!(values(&stream), [value(&a), value(&b)], "{stream}");
        assert_eq!(kubectl_reads(&stream), Ok(values(&stream)), "{stream}");
    }
}

#[test]
fn a_malformed_document_is_named_and_does_not_blur_into_the_next() {
    let stream = "a: 1\n---\n\n---\nb: [\n---\nc: 1\n";
    let error = read(stream).expect_err("malformed");
    assert_eq!(error.document, Some(3));
    assert!((5..=6).contains(&error.line), "{error}");
    assert!(error.to_string().contains("(document 3): "), "{error}");
    assert_eq!(refusal("a: 1\n---\nb: 1\nb: 2\n"), "line 4 (document 2): the key `b` is written twice");
    // Directives would need a document of their own: kubectl has none of them either.
    let directive = "%YAML 1.1\n---\na: 1\n";
    assert!(refusal(directive).contains("(document 1): "));
    assert!(kubectl_reads(directive).is_err());
}

#[test]
fn json_is_read_as_json() {
    let text = r#"{"a": "\/\ud83d\ude00", "b": [1.0, 1e3, -0.0, 1.5, 18446744073709551615, 1e20]}"#;
    let expected = json!({"a": "/😀", "b": [1, 1000, 0, 1.5, 18_446_744_073_709_551_615.0, 1e20]});
    assert_eq!(value(text), expected);
    let long = format!("{{\"{}\": \"a\u{2028}b\u{7f}\"}}", "k".repeat(5000));
    assert_eq!(value(&long), json!({"k".repeat(5000): "a\u{2028}b\u{7f}"}));
    assert_eq!(refusal(r#"{"a": 1, "a": 2}"#), "line 1 (document 1): the key `a` is written twice");
    assert_eq!(refusal("{\"a\": 1}\n{\"b\": 1}\n\n{\"c\": }"), "line 4 (document 3): expected value");
    // What only looks like JSON is YAML.
    assert_eq!(value("{a: no, 'b': 0x1F,}"), json!({"a": false, "b": 31}));
}

// Limits.

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(refusal(&bomb).ends_with("anchors and aliases copy more than 16 MiB"), "{}", refusal(&bomb));
    // A few nodes of much text, and merges, count as well.
    let fat = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(1000));
    assert!(refusal(&fat).starts_with("line 2: anchors and aliases copy"));
    let merged = format!("a: &a {{k: {}}}\nb: [{}]\n", "x".repeat(1 << 20), "{<<: *a}, ".repeat(1000));
    assert!(refusal(&merged).starts_with("line 2: anchors and aliases copy"));
    // Each document has a budget of its own, and it is ample.
    let honest = format!("a: &a {}\nb: [{}]\n---\n", "x".repeat(1 << 20), "*a, ".repeat(8));
    assert_eq!(values(&honest.repeat(3)).len(), 3);
}

#[test]
fn deep_nesting_is_refused_and_never_exhausts_the_stack() {
    let mut indented = String::new();
    for level in 0..2000 {
        indented += &format!("{}a:\n", " ".repeat(level));
    }
    let mut aliased = "a0: &a0 [x]\n".to_owned();
    for level in 1..1000 {
        aliased += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    for deep in [
        "[".repeat(10_000),
        "{a: ".repeat(10_000),
        "- ".repeat(10_000),
        "? ".repeat(10_000),
        "{\"a\":".repeat(10_000),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        indented,
        aliased,
    ] {
        let refusal = refusal(&deep);
        assert!(
            refusal.ends_with("more than 127 levels are nested") || refusal.ends_with("cannot be a key"),
            "{refusal}"
        );
    }
    let just = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(write(&value(&just(127))).expect("written"), format!("{}[]\n", "- ".repeat(126)));
    assert_eq!(refusal(&just(128)), "line 1: more than 127 levels are nested");
}

#[test]
fn large_manifests_are_read() {
    let secret = object(&format!("data:\n  a: {}", "QUJD".repeat(1 << 18)));
    assert_eq!(value(&secret)["data"]["a"].as_str().map(str::len), Some(1 << 20));
    let block = object(&format!("data:\n  a: |\n{}", "    one line of many\n".repeat(50_000)));
    assert_eq!(value(&block)["data"]["a"].as_str().map(str::len), Some(50_000 * 17));
    let document = object("spec:\n  list:\n  - {a: 1, b: 'two', c: [three]}\n  - d: |\n      text\n");
    let bundle = format!("{document}---\n").repeat((5 << 20) / document.len());
    assert_eq!(values(&bundle).len(), (5 << 20) / document.len());
    let list = object(&format!("items:\n{}", "- name: x\n  value: \"1\"\n".repeat(100_000)));
    assert_eq!(value(&list)["items"].as_array().map(Vec::len), Some(100_000));
}

// Writing.

/// Strings that some reader takes for something else when they are not quoted, or not escaped.
fn strings() -> Vec<String> {
    let certificate = format!(
        "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n",
        "MIIBszCCAVmgAwIBAgIUQ0FOVElOQSBERSBMQSBQTEFZQSBOTyBFWElTVEUgQVE=\n".repeat(3)
    );
    let mut strings: Vec<String> = words(
        "a - -a -- --- ---a ... a: a:b : :a :: # #x a#b | > |- ? ?a ! !tag !!str & &a * \
        *a % %x @ @x ` `x { {a} } {} [ [a] ] [] , ' 'a' it's '' << = < ~ ~a null Null \
        NULL nULL none nil y Y yes Yes YES n N no No NO on On ON off Off OFF true True \
        TRUE false False FALSE 0 1 -1 +1 00 07 08 0777 0o17 0O17 0x1F 0X1F 0x 0x_1F \
        -0x1F 0b1 0b-1 0b+1 0b2 1_000 1__0 1_ _1 -_1 ._1 .5_0 1.0 1. .5 -.5 +.5 . .. \
        1.2.3 10.0.0.1 1e3 1e 1E+2 12e03 1e999 .inf -.inf +.Inf .INF inf Infinity .nan \
        .NaN nan 190:20:30 1:0 12:30 12:30:45.5 2020-01-01 2020-1-1 2001-12-14t21:59:43Z \
        99999999999999999999 18446744073709551615 100m 1Gi v1",
    )
    .chain(
        "|  | a|a | - |- a|? |? a|a: b|a :b|: |a #b|key: |--- |... a|!!str a|%YAML 1.1|, a|a, b|\
        {{ .Values.a }}|2001-12-14 21:59:43.10 -5|日本語"
            .split('|'),
    )
    // Lines, by `/`.
    .chain("/ // /// a/ a// /a a/b a/b/ a/b// a//b/ ---/ ---/a/ a/---/b/ .../ a/.../ #/b a/#b/ -/ ~/".split(' '))
    .map(|string| string.replace('/', "\n"))
    .collect();
    strings.push(certificate.trim_end().to_owned());
    strings.push(certificate.replace('\n', "\r\n"));
    strings.push(certificate);
    strings.extend([" a\nb\n", "a\n b\n", "a \nb\n", "a\n \nb\n", "a\n  "].map(str::to_owned));
    strings.push("word ".repeat(100) + "word");
    strings.push("x".repeat(5000));
    strings.push("long line of a text ".repeat(50).trim_end().to_owned() + "\nand another\n");
    // Every character that is special to YAML, or to some version of it.
    for c in ('\0'..='\u{A0}')
        .chain("é😀\u{200B}\u{2028}\u{2029}\u{3000}\u{FEFF}\u{FFFD}\u{FFFE}\u{FFFF}\u{D7FF}\u{E000}\u{10FFFF}".chars())
    {
        strings.extend([
            format!("{c}"),
            format!("{c}a"),
            format!("a{c}"),
            format!("a{c}b"),
            format!("a {c} b"),
            format!("{c}a\nb\n"),
            format!("a{c}\n{c}b"),
        ]);
    }
    strings
}

/// Strings of what has a meaning somewhere in YAML, and any strings.
fn string() -> impl Strategy<Value = String> {
    let pieces = "a b é 😀 - --- ... ? : , # [ ] { } & * ! | > % @ ` = << ~ \" ' \\ \u{85} \u{2028} \
        \u{FEFF} \u{FFFE} \u{A0} \0 \u{1B} \u{7F}";
    let pieces: Vec<_> = pieces.split(' ').chain([" ", "  ", "\n", "\n\n", "\t", "\r"]).collect();
    let pieces = prop::sample::select(pieces);
    prop_oneof![
        prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat()),
        "[0-9_+.eExXoObBaFTZ:~nyf -]{0,8}",
        any::<String>(),
        prop::collection::vec(any::<char>(), 0..6).prop_map(String::from_iter),
    ]
}

/// What a reader of YAML 1.2 reads.
fn serde_yaml_reads(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The places where a string may stand.
fn around(string: &str) -> Value {
    json!({
        "value": string,
        "list": [string, [string, [string]], {"a": string, "b": [string]}],
        "map": {string: string, "nested": {string: {"c": [string]}}},
    })
}

#[test]
fn every_reader_reads_back_the_strings_that_were_written() {
    for string in strings() {
        for value in [json!(string), json!([string]), json!({string.as_str(): 1}), around(&string)] {
            let text = write(&value).expect("written");
            assert_eq!(self::value(&text), value, "{text}");
            assert_eq!(serde_yaml_reads(&text), value, "{text}");
        }
    }
}

#[test]
fn kubectl_reads_back_the_strings_that_were_written() {
    let mut strings = strings();
    let mut runner = TestRunner::deterministic();
    for _ in 0..600 {
        strings.push(string().new_tree(&mut runner).expect("a string").current());
    }
    let data: BTreeMap<_, _> = (0..).map(|n| format!("key-{n}")).zip(&strings).collect();
    let config_map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "strings"},
        "data": data,
    });
    let text = write(&config_map).expect("written");
    assert_eq!(kubectl_reads(&text), Ok(vec![config_map]));

    let anywhere = json!({
        "apiVersion": "example.com/v1",
        "kind": "Example",
        "metadata": {"name": "strings"},
        "spec": strings.iter().map(|string| around(string)).collect::<Vec<_>>(),
    });
    let text = write(&anywhere).expect("written");
    assert_eq!(kubectl_reads(&text), Ok(vec![anywhere]));
}

#[test]
fn numbers_are_the_same_to_every_reader() {
    let numbers = json!([0, 1, -1, i64::MIN, i64::MAX, 0.5, -1.5, 1e-7, 1.5e20, 1e21, 1e300, 5e-324, 123_456_789.123]);
    let text = write(&numbers).expect("written");
    assert_eq!(value(&text), numbers);
    assert_eq!(serde_yaml_reads(&text), numbers);
    let spec = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": numbers});
    assert_eq!(kubectl_reads(&write(&spec).expect("written")), Ok(vec![spec]));
}

#[test]
fn a_manifest_looks_as_kubectl_prints_it() {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest {
        kind: &'static str,
        api_version: &'static str,
        spec: Value,
    }
    let manifest = Manifest {
        kind: "Example",
        api_version: "example.com/v1",
        spec: json!({
            "args": ["--a=b", "-c", "no", "a: b"],
            "empty": {"list": [], "map": {}, "string": "", "null": null},
            "files": {
                "a.conf": "[a]\n  b = c\n\n# d\n",
                "end": "a\nb",
                "ends": "a\nb\n\n",
                "tab": "a:\n\tb\n",
                "trailing": "a \nb\n",
            },
            "image": "registry.example.com/a:1.25",
            "list": [["a", "b"], [], {}, {"name": "c", "ports": [{"port": 80}]}, "d\ne\n"],
            "long": "word ".repeat(30).trim_end(),
            "numbers": [1, 1.5, 1.0, 1e20],
            "on": true,
        }),
    };
    let expected = r#"kind: Example
apiVersion: example.com/v1
spec:
  args:
  - --a=b
  - -c
  - "no"
  - "a: b"
  empty:
    list: []
    map: {}
    "null": null
    string: ""
  files:
    a.conf: |
      [a]
        b = c

      # d
    end: |-
      a
      b
    ends: |+
      a
      b

    tab: "a:\n\tb\n"
    trailing: "a \nb\n"
  image: registry.example.com/a:1.25
  list:
  - - a
    - b
  - []
  - {}
  - name: c
    ports:
    - port: 80
  - |
    d
    e
  long: word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word
  numbers:
  - 1
  - 1.5
  - 1.0
  - 1.0e+20
  "on": true
"#;
    assert_eq!(write(&manifest).expect("written"), expected);
}

#[test]
fn keys_beyond_what_may_stand_before_a_colon_are_written() {
    let long = "k".repeat(2000);
    let value = json!({"a": {&long: {&long: [1], "b": "c\nd\n"}}, &long: "e"});
    let text = write(&value).expect("written");
    assert_eq!(self::value(&text), value);
    assert_eq!(serde_yaml_reads(&text), value);
    let object = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": value});
    assert_eq!(kubectl_reads(&write(&object).expect("written")), Ok(vec![object]));
}

#[test]
fn a_stream_has_a_separator_between_its_documents() {
    assert_eq!(write_stream::<Value>(&[]).expect("written"), "");
    assert_eq!(write_stream(&[json!({"a": 1})]).expect("written"), "a: 1\n");
    let several = [json!({"a": 1}), json!({"b": "---\nc\n"}), json!({"d": "e\n\n"})];
    let text = write_stream(&several).expect("written");
    assert_eq!(text, "a: 1\n---\nb: |\n  ---\n  c\n---\nd: |+\n  e\n\n");
    assert_eq!(values(&text), several);
}

#[test]
fn what_has_no_json_is_not_written() {
    let keyed_by_lists = BTreeMap::from([(vec![1], 2)]);
    let error = write(&keyed_by_lists).expect_err("keys are strings");
    assert_eq!(error.to_string(), "the value cannot be written: key must be a string");
}

proptest! {
    #[test]
    fn any_string_is_read_back(string in string()) {
        let value = around(&string);
        let text = write(&value).expect("written");
        prop_assert_eq!(values(&text), vec![value.clone()], "{}", text);
        prop_assert_eq!(serde_yaml_reads(&text), value, "{}", text);
    }

    #[test]
    fn any_stream_is_read_back(strings in prop::collection::vec(string(), 1..5)) {
        let objects: Vec<_> = strings.iter().map(|string| around(string)).collect();
        prop_assert_eq!(values(&write_stream(&objects).expect("written")), objects);
    }

    #[test]
    fn any_text_is_read_or_refused(text in string()) {
        if let Err(error) = read(&text) {
            prop_assert!(error.to_string().starts_with("line "));
        }
    }

    #[test]
    fn any_lines_are_read_or_refused(
        lines in prop::collection::vec(
            ("[ \t]{0,3}", "(- |\\? |a: |: |<<: |&a |\\*a |!!int |\\[|\\{|\"|'|\\||>|#|---|\\.\\.\\.){0,3}", string()),
            0..6,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect();
        let _ = read(&lines.join("\n"));
    }
}
