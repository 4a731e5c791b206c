//! The manual in files: `tests/cases/<name>/in.yaml` is what a person applies, its first line says what
//! it shows, and `out.yaml` is what the operator makes of it: Secrets and Deployments, then the status of
//! each resource once the pods run.
//!
//! `UPDATE_CASES=1 cargo test --test cases` writes the expected files anew, for a person to read and
//! commit; where `CI` is set it is refused.

mod golden;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use timbr_identity::{
    compose::{Lookup, Mail, Memory, Outcome, Plan, Rollout, Settings, compose, statuses},
    offline::{Finding, judge, manifests, read},
    yaml,
};

const NAMESPACE: &str = "timbr";

/// Every case, by name.
fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).expect("tests/cases").map(|entry| entry.expect("a folder").path()).collect();
    cases.sort();
    cases
}

/// What the operator makes of a case.
fn outcome(case: &Path) -> String {
    let documents = read(&[case.join("in.yaml")]).expect("the case can be read");
    let mut judged = judge(&documents, NAMESPACE, &Settings::default());
    // As in a cluster: what is not in the case is not there.
    for installation in &mut judged.installations {
        installation.snapshot.complete = true;
        for lookup in installation.snapshot.networks.values_mut() {
            *lookup = Lookup::Missing;
        }
        installation.plan = compose(&installation.snapshot);
    }
    let mut text = String::from("# Made, or changed:\n");
    text += &manifests(&judged, false).expect("YAML");
    text += "---\n# Said:\n";
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut said = Vec::new();
    for installation in &judged.installations {
        let plan = &installation.plan;
        let statuses = statuses(plan, &written(plan), Memory::Partial, &Mail::default(), now).statuses;
        said.extend(statuses.iter().map(|change| {
            let mut status = serde_json::to_value(&change.status).expect("JSON");
            without_times(&mut status);
            json!({"kind": change.meta.kind.name(), "metadata": {"name": change.meta.name}, "status": status})
        }));
    }
    text += &yaml::write_stream(&said).expect("YAML");
    let findings: Vec<String> = judged.findings.iter().map(|finding| told(finding, case)).collect();
    if !findings.is_empty() {
        text += "---\n# validate says:\n";
        text += &findings.concat();
    }
    text
}

fn told(finding: &Finding, case: &Path) -> String {
    let folder = format!("{}/", case.display());
    format!("# {}\n", finding.to_string().replace(&folder, ""))
}

/// Every Deployment is written, and its pods run.
fn written(plan: &Plan) -> BTreeMap<String, Outcome> {
    let running =
        Rollout { observed_generation: 2, replicas: 1, updated: 1, total: 1, available: 1, ..Rollout::default() };
    let done = |changed| Outcome::Done { generation: 2, changed, rollout: running.clone() };
    plan.deployments.iter().map(|plan| (plan.name.clone(), done(plan.apply.is_some()))).collect()
}

/// All times are one, and would only be in the way.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !matches!(name.as_str(), "lastTransitionTime" | "observedGeneration" | "since"));
            map.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn each_case_comes_out_as_it_is_written() {
    let update = golden::update();
    let mut differ = Vec::new();
    for case in cases() {
        let out = outcome(&case);
        let expected = case.join("out.yaml");
        if update {
            fs::write(&expected, &out).expect("the case can be written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != out {
            let name = case.file_name().expect("a name").to_string_lossy().into_owned();
            let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
            fs::write(&actual, &out).expect("a temporary file");
            differ.push(format!("{}: diff {} {}", case.display(), expected.display(), actual.display()));
        }
    }
    assert_eq!(differ, [] as [String; 0], "see the differences; UPDATE_CASES=1 takes them over");
}

/// The same files without Secrets and Deployments: what is not in the input shows as a placeholder.
#[test]
fn each_case_and_example_renders_without_secrets_and_deployments() {
    let examples = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).expect("examples");
    let inputs = cases().into_iter().map(|case| case.join("in.yaml"));
    let inputs = inputs.chain(examples.map(|entry| entry.expect("a folder").path()));
    let (mut count, mut placeholders) = (0, 0);
    for input in inputs {
        let mut documents = read(std::slice::from_ref(&input)).expect("the case can be read");
        let names_secret = documents.iter().any(|document| document.value["kind"] == "Secret");
        documents.retain(|document| document.value["kind"] != "Secret" && document.value["kind"] != "Deployment");
        let judged = judge(&documents, NAMESPACE, &Settings::default());
        let rendered = manifests(&judged, false).expect("YAML");
        let is_delivered = rendered.contains("kind: Deployment");
        if names_secret && is_delivered {
            assert!(rendered.contains("<Secret "), "{}: {rendered}", input.display());
            placeholders += 1;
        }
        assert!(!rendered.contains("s3cr3t"), "{}", input.display());
        count += usize::from(is_delivered);
    }
    println!("{count} render without Secrets and Deployments, {placeholders} with placeholders");
    assert!(count >= 20 && placeholders >= 12, "{count} {placeholders}");
}

#[test]
fn each_case_says_what_it_shows_and_no_secret_comes_out() {
    for case in cases() {
        let text = fs::read_to_string(case.join("in.yaml")).expect("the case can be read");
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("# ") && first.ends_with('.'), "{}: {first}", case.display());
        let out = fs::read_to_string(case.join("out.yaml")).expect("the case has an outcome");
        assert!(!out.contains("s3cr3t"), "{}", case.display());
    }
}
