//! Where the input comes from, and what happens when it cannot be read.

use crate::{
    bad_input::{azure_sso, timbr_installation},
    run::{entra, folder, platform, run, run_in, stream},
};

/// Neither valid YAML nor short.
const BROKEN: &str = "a: 1\nb:\n  - c\n d: [\n";

#[test]
fn folders_are_read_whole_and_in_order() {
    let bad = stream(&[timbr_installation()]).replace("web", "Web");
    let folder = folder(
        "folders",
        &[
            ("z.yaml", &bad.replace("main", "z")),
            ("a/deep/b.yml", &bad.replace("main", "b")),
            ("a/c.json", &bad.replace("---\n", "").replace("main", "c")),
            ("a/notes.txt", BROKEN),
            ("values.yaml", "kind: none\n"),
        ],
    );
    let lines = |arguments: &str| {
        let run = run_in(folder.clone(), arguments, &bad);
        assert_eq!(run.code, 1, "{}", run.err);
        let mut files: Vec<String> = run.out.lines().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
        files.dedup();
        files
    };
    assert_eq!(lines("validate -f ."), ["./a/c.json:1", "./a/deep/b.yml:1", "./z.yaml:1"]);
    assert_eq!(lines("validate -f z.yaml -f a -f - -f a/c.json"), ["z.yaml:1", "a/c.json:1", "a/deep/b.yml:1", "-:1"]);
}

#[test]
fn lists_are_opened_and_their_number_stays() {
    let mut sso = azure_sso();
    sso["spec"]["tenantId"] = "common".into();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [entra(), sso, platform()]});
    let run = run("validate -f -", &format!("kind: Other\n---\n{list}\n"));
    assert!(run.out.starts_with("-:2: error: spec.tenantId: ") && run.out.lines().count() == 1, "{}", run.out);
}

#[test]
fn a_namespace_for_those_that_name_none() {
    let mut secret = entra();
    secret["metadata"]["namespace"] = "timbr".into();
    let input = stream(&[azure_sso(), secret, platform()]);
    assert_eq!(run("validate -f - -n timbr", &input).out, "");
    let without = run("validate -f -", &input);
    assert!(without.out.contains("[NotInInput]"), "{}", without.out);
}

#[test]
fn what_cannot_be_read_ends_with_two() {
    let folder =
        folder("unreadable", &[("broken.yaml", BROKEN), ("empty/readme.md", "x"), ("binary.yaml", "a: \u{1}\n")]);
    for command in ["validate", "render"] {
        let fails = |arguments: &str, expected: &str| {
            let run = run_in(folder.clone(), &format!("{command} {arguments}"), BROKEN);
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments}: {}", run.err);
            assert!(run.err.starts_with(expected), "{arguments}: {}", run.err);
            run.err
        };
        assert!(fails("-f broken.yaml", "error: broken.yaml: line ").len() > 30);
        fails("-f -", "error: -: line ");
        fails("-f nowhere.yaml", "error: nowhere.yaml: No such file or directory");
        fails("-f empty", "error: empty: the folder holds no .yaml, .yml or .json file");
        fails("-f binary.yaml", "error: binary.yaml: line 1: ");
        fails("", "error: the following required arguments were not provided");
        fails("-f - -o nonsense", "error: invalid value 'nonsense'");
        fails("-f - --cloud custom", "error: --cloud custom needs --authority-url");
    }
    assert_eq!(run("render -f - --diff -o env", "").code, 2);
}

#[test]
fn nothing_of_ours_is_no_error() {
    let run = run("validate -f -", "");
    assert_eq!(
        (run.code, run.out.as_str(), run.err.as_str()),
        (0, "", "nothing of identity.timbr.ai is in the input\n")
    );
    for (output, expected) in [("manifests", ""), ("env", ""), ("compose", "services: {}\n")] {
        let run = crate::run::run(&format!("render -f - -o {output}"), &stream(&[platform(), entra()]));
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, expected, ""));
    }
}
